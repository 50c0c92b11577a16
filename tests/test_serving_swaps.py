"""A model exchanged under load, time and again: no request is lost, and none is answered by one model as by another."""

from __future__ import annotations

import json
import shutil
import time
from itertools import cycle
from pathlib import Path

import pytest

from forgeml.inference.classifier import Classifier
from forgeml.inference.engines import RECORD
from forgeml.model.manifest import CONFIG, MANIFEST, file_hash
from forgeml.model.publishing import beside, publish
from served import ENGINE, MARK, Running, running, until
from serving_load import Load, loading

SWAPS = 50
SECONDS_FOR_A_SWAP = 20
TEXTS = [f"A {word} film {MARK} {number}" for word in ("good", "bad", "lovely", "awful") for number in range(5)]
GROWTH = 48 * 1_048_576
"""Bytes that the process may be larger after all swaps than after the first ones."""


@pytest.mark.slow
def test_swaps_under_load_lose_and_mix_nothing(engines: Path, tmp_path: Path) -> None:
    """Each answer has the scores of the version that it names; memory, files and threads are as they were."""
    live, one, other = tmp_path / "live", tmp_path / "one", tmp_path / "other"
    for place in (live, one, other):
        shutil.copytree(engines, place)
    _turned_round(other)
    wanted = {}
    with running(live, "--watch", "0.05", checked=False) as server:
        wanted[_version(server)] = _scores(one)
        with loading(server.port, TEXTS, clients=4) as load:
            sizes = [_swap(server, source, live, number) for number, source in zip(range(SWAPS), cycle((other, one)))]
            wanted.setdefault(_version(server), _scores(one))
            _spoil(server, live)
            until(lambda: len(load.answered) > 500, 60)
        versions = set(wanted) | {version for version, _, _, _ in sizes}
        assert len(versions) == 2
        wanted |= {version: _scores(other) for version in versions - wanted.keys()}
        _check(load, wanted)
        _, memory, files, threads = (column[9:] for column in zip(*sizes, strict=True))
        assert max(memory[-5:]) - min(memory[:5]) < GROWTH
        # A connection more or less may be open at the moment of the look.
        assert max(files[-5:]) <= max(files[:5]) + 2
        # The thread of the model before may still be on its way out.
        assert min(threads[-5:]) <= max(threads[:5])
        reloads = server.counts()
        assert reloads['forgeml_reloads_total{result="reloaded"}'] >= SWAPS
        server.good = _scores(one)["A lovely film."]
        server.check(errors={"model_failed"})
        assert server.stop() == 0


def _swap(server: Running, source: Path, live: Path, number: int) -> tuple[str, int, int, int]:
    """Put a model into the place of the one that answers, wait until it answers, and measure the process.

    Returns:
        Its version, and the process's bytes, open files and threads.
    """
    before = _version(server)
    if number % 2:
        publish(Path(shutil.copytree(source, beside(live))), live)
    else:
        # As by hand: for a while there is nothing, then half a folder.
        shutil.rmtree(live)
        for path in sorted(source.rglob("*")):
            place = live / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                shutil.copy(path, place)
                time.sleep(0.01)
    until(lambda: _version(server) != before, SECONDS_FOR_A_SWAP)
    return _version(server), server.memory(), server.files(), server.threads()


def _spoil(server: Running, live: Path) -> None:
    """Half a folder changes nothing."""
    before = _version(server)
    next(live.rglob("*.onnx")).unlink()
    until(lambda: "problem" in server.get("/readyz").json, SECONDS_FOR_A_SWAP)
    assert _version(server) == before


def _turned_round(folder: Path) -> None:
    """Make a model that says the opposite: the same weights, the names of the classes in the other order."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    names = manifest["labels"] = manifest["labels"][::-1]
    config |= {"id2label": dict(enumerate(names)), "label2id": {name: number for number, name in enumerate(names)}}
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    known = file_hash(folder / CONFIG)
    manifest["files"][CONFIG] = known
    manifest[RECORD]["weights"][CONFIG] = f"{known} {(folder / CONFIG).stat().st_size}"
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def _version(server: Running) -> str:
    return str(server.get("/readyz").json["model_version"])


def _scores(folder: Path) -> dict[str, dict[str, float]]:
    """What the model in a folder says of each text, without a server."""
    texts = [*TEXTS, "A lovely film."]
    said = Classifier.from_pretrained(folder, "cpu", ENGINE).predict(texts)
    return {text: dict(one.scores) for text, one in zip(texts, said, strict=True)}


def _check(load: Load, wanted: dict[str, dict[str, dict[str, float]]]) -> None:
    assert load.lost == []
    assert load.turned_away == 0
    assert not load.others
    assert {answer["model_version"] for _, answer in load.answered} == wanted.keys()
    for text, answer in load.answered:
        assert answer["scores"] == pytest.approx(wanted[answer["model_version"]][text], abs=1e-4)
