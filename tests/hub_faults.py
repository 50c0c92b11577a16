"""What can go wrong between here and the hub, case by case, each with a whole `forgeml train`."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub_player import HubFault, Spoil, Stage
from local_hub import RESET, SILENCE
from tiny import write_tiny_bert

DAY = {"Retry-After": "86400"}
LOGIN_PAGE = (200, {"Content-Type": "text/html"}, b"<html>Please log in to the network of this hotel.</html>")


def fault(part: str, *answer: Any) -> Spoil:
    """From now on such requests are answered so; `{name}` stands for the name, `{file}` for the path of its file."""
    return lambda stage, name: stage.faults.update({_filled(stage, name, part): answer})


def hiccup(part: str, *answer: Any) -> Spoil:
    """A single one of such requests is answered so."""
    return lambda stage, name: stage.hiccups.update({_filled(stage, name, part): answer})


def body(pieces: Callable[[bytes], list[bytes | float]], *, always: bool = False) -> Spoil:
    """The file is announced as it is and comes like this, once or always."""

    def spoil(stage: Stage, name: str) -> None:
        faults, content = stage.faults if always else stage.hiccups, stage.content(name)
        faults[f"GET {stage.file(name)}"] = (200, {"Content-Length": str(len(content))}, pieces(content))

    return spoil


def _filled(stage: Stage, name: str, part: str) -> str:
    return part.format(name=name, file=stage.file(name) if "{file}" in part else "")


def half(content: bytes) -> bytes:
    """The first half."""
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """With one other bit."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def damage(stage: Stage, name: str) -> None:
    """Flip a bit of the cached weights, as a disk may do."""
    stage.cached(name).write_bytes(flipped(stage.weights))


def is_sound(stage: Stage, name: str) -> bool:
    """Whether the cache has the weights as they are on the hub."""
    return stage.cached(name).read_bytes() == stage.weights


def was_resumed(stage: Stage, name: str) -> bool:
    """Whether only the rest of the weights was asked for in the end."""
    return is_sound(stage, name) and any(path == stage.file(name) for path, _ in stage.ranges)


def odd_etag(stage: Stage, name: str) -> None:
    """Announce the weights under a name that says nothing, as some mirrors do."""
    stage.faults[f"HEAD {stage.file(name)}"] = (200, stage.head(name, "v1-1234"))


def is_of_one_commit(stage: Stage, name: str) -> bool:
    """Whether what is in a commit's folder of the cache is what that commit has on the hub."""
    fetched = [file for file in stage.cached(name).parents[1].glob("*/*") if file.is_file()]
    served = stage.root / "served" / "models" / name
    return len(fetched) > 3 and all(
        file.read_bytes() == (served / file.parent.name / file.name).read_bytes() for file in fetched
    )


def only_a_pickle(stage: Stage, name: str) -> None:
    """Have the weights in no other form, for which the library would ask a service to convert them."""
    folder = Path(shutil.copytree(stage.files, stage.root / "pickled"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    stage.add_model(name, folder)


def move(stage: Stage, name: str) -> None:
    """Let the model get a new commit as soon as its first file was asked for."""
    newer = write_tiny_bert(stage.root / "newer", seed=7)
    stage.then[f"/{name}/resolve/{stage.commit('models', name)}/config.json"] = lambda: stage.add_model(name, newer)


NOTE = "the copy in the cache serves"
UNREACHED = ("cannot be reached", NOTE)

TOO_LONG = HubFault(
    2,
    ("model.max_length: 4000 tokens, but {name} reads at most 128",),
    own="model",
    settings={"model.max_length": "4000"},
    holds=lambda stage, name: not stage.cached(name).exists(),
)
"""No fault of the hub's: what its small files tell saves fetching the large ones."""

FAULTS: dict[str, HubFault] = {
    "M13-flipped-bit-in-the-cache": HubFault(
        0, ("model.safetensors in the cache had another hash", "fetched into"), damage, holds=is_sound
    ),
    "M13-flipped-bit-and-hub-down": HubFault(
        6,
        ("cannot be reached", "missing: model.safetensors; model.safetensors in the cache had another hash"),
        lambda stage, name: (damage(stage, name), stage.down()),
    ),
    "M16-pickle-only": HubFault(4, ("has no model.safetensors",), only_a_pickle, "model"),
    "M21-missing": HubFault(
        6,
        ("model.name: someone/nothing is neither on the hub", "(it is set)"),
        settings={"model.name": "someone/nothing"},
    ),
    "M21-private": HubFault(
        6,
        ("model.name: {name} is neither on the hub", "if it is private", "(it is set)"),
        fault("/{name}", 404, {"X-Error-Code": "RepoNotFound"}),
        own="model",
    ),
    "M21-gated": HubFault(
        6,
        ("model.name: {name} is gated", "(it is set)"),
        fault("/{name}", 403, {"X-Error-Code": "GatedRepo"}),
        own="model",
    ),
    "M22-bad-token": HubFault(
        6,
        ("answered 401 for {name}: it does not accept the token",),
        fault("/{name}", 401, {"X-Error-Message": "Invalid credentials in Authorization header"}),
        own="model",
    ),
    "M23-limited": HubFault(
        6, ("answered 429 for {name}", "in 7 seconds"), fault("/{name}", 429, {"Retry-After": "7"}), own="model"
    ),
    "M24-broken": HubFault(
        6, ("answered 500 for {name}", "is not in the cache"), fault("/{name}", 500, {}), own="model"
    ),
    "M24-broken-and-cached": HubFault(0, ("answered 500 for someone/known", NOTE), fault("/", 500, {}), requests=1),
    "M25-a-503": HubFault(0, ("fetched into",), hiccup("GET {file}", 503, {}), own="model", holds=is_sound),
    "M25-503s-of-data": HubFault(
        6, ("answered 503 for {name}",), fault("GET /datasets/{name}/resolve", 503, {}), own="data"
    ),
    "M26-reset": HubFault(
        0, ("fetched into",), body(lambda content: [half(content), 0.1, RESET]), own="model", holds=was_resumed
    ),
    "M26-cut-off": HubFault(
        0, ("fetched into",), body(lambda content: [half(content)]), own="model", holds=was_resumed
    ),
    "M26-stall": HubFault(
        0, ("fetched into",), body(lambda content: [half(content), 3600.0]), own="model", holds=was_resumed
    ),
    "M26-stalls": HubFault(
        6, ("cannot be reached",), body(lambda content: [half(content), 3600.0], always=True), own="model"
    ),
    "M26-trickle": HubFault(
        6, ("less than 1,000 bytes a second",), body(lambda content: [b"x", 0.05] * 20_000, always=True), own="model"
    ),
    "M27-wrong-bytes-once": HubFault(
        0, ("fetched into",), body(lambda content: [flipped(content)]), own="model", holds=is_sound
    ),
    "M27-wrong-bytes": HubFault(
        6,
        ("model.safetensors of {name} came twice with another hash",),
        body(lambda content: [flipped(content)], always=True),
        own="model",
        holds=lambda stage, name: not stage.cached(name).exists(),
    ),
    "M27-wrong-bytes-of-data-once": HubFault(
        0, ("fetched into",), body(lambda content: [flipped(content)]), own="data"
    ),
    "M27-wrong-bytes-of-data": HubFault(
        6,
        ("train-00000-of-00001.parquet of {name} came twice with another hash",),
        body(lambda content: [flipped(content)], always=True),
        own="data",
    ),
    "M28-portal": HubFault(6, ("is not a model hub", "a login in a browser"), fault("/", *LOGIN_PAGE), own="model"),
    "M28-portal-for-files": HubFault(
        6, ("came with another length", "try another network"), fault("GET /{name}/resolve", *LOGIN_PAGE), own="model"
    ),
    "M28-portal-and-cached": HubFault(0, ("is not a model hub", NOTE), fault("/", *LOGIN_PAGE), requests=1),
    "M28-wrong-etag": HubFault(
        6,
        ("model.safetensors of {name} came twice with another hash",),
        lambda stage, name: stage.faults.update({f"HEAD {stage.file(name)}": (200, stage.head(name, "0" * 64))}),
        own="model",
    ),
    "M28-etag-that-is-no-hash": HubFault(0, ("fetched into",), odd_etag, "model"),
    "M28-etag-that-is-no-hash-and-wrong-bytes": HubFault(
        6,
        ("model.safetensors of {name} came twice with another hash",),
        lambda stage, name: (
            odd_etag(stage, name),
            body(lambda content: [flipped(content)], always=True)(stage, name),
        ),
        "model",
    ),
    "M28-no-commit": HubFault(
        6, ("is not a model hub", "check HF_ENDPOINT"), fault("HEAD /{name}/resolve", 200, {"ETag": '"1"'}), own="model"
    ),
    "M29-names-without-answer": HubFault(
        6, ("cannot be reached", "{name} is not in the cache"), own="model", names="hangs", requests=0
    ),
    "M29-offline": HubFault(
        6, ("HF_HUB_OFFLINE=1 forbids", "{name} is not in the cache", "HF_HUB_OFFLINE=0"), own="model", offline=True
    ),
    "M29-offline-and-cached": HubFault(0, ("cached in",), offline=True, requests=0),
    "M30-refused": HubFault(0, UNREACHED, lambda stage, name: stage.down(), requests=0),
    "M30-no-answer": HubFault(0, UNREACHED, fault("/", SILENCE, {}), requests=1),
    "M30-no-connection": HubFault(0, UNREACHED, lambda stage, name: stage.swallow(), requests=0),
    "M30-no-such-name": HubFault(0, UNREACHED, names="fails", requests=0),
    "M30-names-without-answer": HubFault(0, UNREACHED, names="hangs", requests=0),
    "M30-pinned": HubFault(
        0,
        ("cached in",),
        fault("/", SILENCE, {}),
        settings={"model.revision": "{model_commit}", "data.revision": "{data_commit}"},
        requests=0,
    ),
    "M31-partial": HubFault(0, ("fetched into",), lambda stage, name: stage.cached(name).unlink(), holds=is_sound),
    "M31-partial-and-hub-down": HubFault(
        6,
        ("only a part of someone/known is in the cache, missing: model.safetensors",),
        lambda stage, name: (stage.cached(name).unlink(), stage.down()),
    ),
    "M32-moving": HubFault(0, ("fetched into",), move, own="model"),
    "M33-day": HubFault(6, ("answered 429 for {name}", "in 86400 seconds"), fault("/{name}", 429, DAY), own="model"),
    "M33-day-for-a-file": HubFault(6, ("answered 429 for {name}",), fault("/{name}/resolve", 429, DAY), own="model"),
    "M35-revision": HubFault(
        6,
        ("model.revision: someone/known has no revision 'mian'", "did you mean main? it has main"),
        settings={"model.revision": "mian"},
    ),
}
"""By the rows of the catalogue of bad input."""
