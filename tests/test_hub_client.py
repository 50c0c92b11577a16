"""Models from the hub: what arrives, and what is said when nothing does, with the real client and a local hub."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_hub import LocalHub
from outcomes import run_outcomes
from tiny import write_tiny_bert

FULL, SHORT = "distilbert/distilbert-base-uncased", "distilbert-base-uncased"
READS = {"model": [SHORT], "model again": [FULL]}
FAILS = {
    "missing": ["someone/nothing"],
    "misspelt": ["distilbert-base-uncase"],
    "gated": ["someone/gated"],
    "revision": [SHORT, "mian"],
    "spaces": ["my model"],
    "address": ["https://hub.example/someone/tiny-bert"],
    "pickled": ["someone/pickled"],
    "500": ["someone/broken"],
    "503 on a body": ["someone/body"],
    "429": ["someone/limited"],
    "portal": ["someone/portal"],
    "hiccup": ["someone/hiccup"],
    "flipped once": ["someone/flipped"],
    "flipped": ["someone/flips"],
}


@dataclass(frozen=True)
class Outcomes:
    """What came of fetching, online and later without the hub."""

    online: dict[str, dict[str, Any]]
    down: dict[str, dict[str, Any]]
    offline: dict[str, dict[str, Any]]
    pinned: dict[str, dict[str, Any]]
    """Of the same commits once more, while the hub is there."""
    asked: list[str]
    """What that asked the hub for."""
    commit: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """All cases: one process online, one while the hub is down, one told to stay offline."""
    folder = tmp_path_factory.mktemp("hub")
    with LocalHub(folder / "hub") as hub:
        commit = _publish(hub, folder)
        online = run_outcomes(hub, folder / "home", "pretrained", {**READS, "partly": ["someone/partly"], **FAILS})
        # As after a download that was cut off: the list of files is there, the weights are not.
        weights = next((folder / "home" / "hub" / "models--someone--partly" / "snapshots").glob("*/model.safetensors"))
        weights.unlink()
        before = len(hub.requests)
        pins = {"model": [SHORT, commit]}
        pins |= {name: [f"someone/{name}", hub.commit("models", f"someone/{name}")] for name in ("partly", "fresh")}
        pinned = run_outcomes(hub, folder / "home", "pretrained", pins)
        asked = [target for _, target in hub.requests[before:]]
        weights.unlink()
        hub.down()
        cases = {**READS, "uncached": ["someone/nothing"], "partly": ["someone/partly"]}
        down = run_outcomes(hub, folder / "home", "model", cases)
        offline = run_outcomes(hub, folder / "home", "model", cases, offline=True)
    return Outcomes(online, down, offline, pinned, asked, commit)


def _publish(hub: LocalHub, folder: Path) -> str:
    model = write_tiny_bert(folder / "model")
    for name in ("gated", "broken", "body", "limited", "portal", "hiccup", "partly", "flipped", "flips", "fresh"):
        hub.add_model(f"someone/{name}", model)
    pickled = folder / "pickled"
    shutil.copytree(model, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    hub.add_model("someone/pickled", pickled)
    hub.faults |= {
        "someone/gated": (403, {"X-Error-Code": "GatedRepo"}),
        "someone/broken": (500, {}),
        "GET /someone/body/resolve": (503, {}),
        "someone/limited": (429, {}),
        "someone/portal": (200, {"Content-Type": "text/html"}, b"<html>Please log in</html>"),
    }
    hub.hiccups |= {"GET /api/models/someone/hiccup": (503, {}), "GET /someone/hiccup/resolve": (503, {})}
    weights = f"/resolve/{hub.commit('models', 'someone/flips')}/model.safetensors"
    wrong = (200, {}, bytes((model / "model.safetensors").stat().st_size))
    hub.hiccups[f"GET /someone/flipped{weights}"] = wrong
    hub.faults[f"GET /someone/flips{weights}"] = wrong
    return hub.add_model(FULL, model)


@pytest.mark.slow
def test_model_is_fetched_once_under_its_full_name(outcomes: Outcomes) -> None:
    """A short and a full name must be the same model at its commit, fetched at the first time only."""
    first, again = outcomes.online["model"], outcomes.online["model again"]
    assert (first["name"], first["commit"]) == (FULL, outcomes.commit)
    assert (first["fetched"], again["fetched"]) == (True, False)
    assert first["folder"] == again["folder"]


@pytest.mark.slow
@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("way", ["down", "offline"])
def test_cached_model_serves_without_the_hub(outcomes: Outcomes, way: str, name: str) -> None:
    """What was fetched once must be found again, at once, while the hub is down or must not be asked."""
    without = getattr(outcomes, way)[name]
    assert (without.get("commit"), without.get("fetched")) == (outcomes.commit, False), without
    assert ("the copy in the cache serves" in without["note"]) == (way == "down")


@pytest.mark.slow
def test_hub_is_not_asked_for_a_commit_that_is_cached_whole(outcomes: Outcomes) -> None:
    """A commit cannot change, so only what is absent may be asked for."""
    assert (outcomes.pinned["model"]["commit"], outcomes.pinned["model"]["fetched"]) == (outcomes.commit, False)
    for name in ("partly", "fresh"):
        assert outcomes.pinned[name].get("fetched"), outcomes.pinned[name]
        assert any(f"someone/{name}" in target for target in outcomes.asked)
    assert not any(FULL in target for target in outcomes.asked)


@pytest.mark.slow
def test_brief_trouble_is_sat_out(outcomes: Outcomes) -> None:
    """One 503 for the facts and one for a file's body must not end the run."""
    assert outcomes.online["hiccup"].get("fetched"), outcomes.online["hiccup"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "code", "where", "what", "fix"),
    [
        ("missing", "HubError", 6, "model.name", "someone/nothing is neither on the hub", "HF_TOKEN"),
        ("misspelt", "HubError", 6, "model.name", "is neither on the hub", "did you mean distilbert-base-uncased?"),
        ("gated", "HubError", 6, "model.name", "someone/gated is gated", "HF_TOKEN"),
        ("revision", "HubError", 6, "model.revision", "has no revision 'mian'", "did you mean main?"),
        ("spaces", "HubError", 6, "model.name", "'my model' is no name", "write owner/name"),
        ("address", "HubError", 6, "model.name", "is no name", "write someone/tiny-bert"),
        ("pickled", "ModelError", 4, "model.name", "has no model.safetensors", "safetensors"),
        ("500", "HubError", 6, "model.name", "answered 500", "try again"),
        ("503 on a body", "HubError", 6, "model.name", "answered 503", "try again"),
        ("429", "HubError", 6, "model.name", "answered 429", "try again"),
        ("portal", "HubError", 6, "model.name", "is not a model hub", "HF_ENDPOINT"),
    ],
)
def test_trouble_is_told_in_plain_words(
    outcomes: Outcomes, name: str, kind: str, code: int, where: str, what: str, fix: str
) -> None:
    """Each kind of trouble must be an error of its own kind that names the setting, what was found and what to do."""
    error = outcomes.online[name]
    assert (error.get("error"), error.get("exit_code"), error.get("where")) == (kind, code, where), error
    assert what in error["what"]
    assert fix in error["fix"]


@pytest.mark.slow
def test_wrong_bytes_are_not_kept(outcomes: Outcomes) -> None:
    """Weights of the right length but with wrong bytes must be fetched again, and never stay in the cache."""
    once, always = outcomes.online["flipped once"], outcomes.online["flipped"]
    weights = Path(once["folder"]) / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == weights.resolve().name
    assert always["exit_code"] == 6
    assert "model.safetensors of someone/flips came twice with another hash" in always["what"]
    assert not list(weights.parents[3].glob("models--someone--flips/snapshots/*/model.safetensors"))


@pytest.mark.slow
def test_hub_that_is_away_is_named(outcomes: Outcomes) -> None:
    """Down or offline, an uncached model must fail at once with what to look at."""
    down, offline = outcomes.down["uncached"], outcomes.offline["uncached"]
    assert down["exit_code"] == offline["exit_code"] == 6
    assert "http://127.0.0.1:" in down["what"]
    assert "HF_ENDPOINT" in down["fix"]
    assert str(Path("home") / "hub") in offline["what"]
    assert "HF_HUB_OFFLINE=1" in offline["what"]
    assert max(down["paused"], offline["paused"]) < 5


@pytest.mark.slow
def test_libraries_keep_quiet(outcomes: Outcomes) -> None:
    """With and without trouble, nothing but ForgeML's own words must come out where stderr is no terminal."""
    assert [run["stderr"]["text"] for run in (outcomes.online, outcomes.down, outcomes.offline)] == ["", "", ""]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["down", "offline"])
def test_part_of_a_model_is_not_taken_for_the_whole(outcomes: Outcomes, way: str) -> None:
    """Without the hub, a model whose download was cut off must be told from one that was never fetched."""
    error = getattr(outcomes, way)["partly"]
    assert error["exit_code"] == 6
    assert "only a part of someone/partly is in the cache, missing: model.safetensors" in error["what"]
