"""A real MLflow server behind a proxy that fails: no record is lost, none is doubled, and no run stays RUNNING."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forgeml.config.schema import MlflowConfig
from forgeml.errors import Stopped
from forgeml.training.tracking import run
from forgeml.training.tracking.syncing import sync
from forgeml.training.tracking.tracker import Tracker
from proxy import WAYS, Proxy, before
from servers import free_port, mlflow_command
from tracked import Stored, hasten, new_store, only, stored, tell_beginning, tell_steps

STEPS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of a server, and of the SQLite store behind it."""
    folder = tmp_path_factory.mktemp("server")
    store = new_store(folder)
    places = ("--backend-store-uri", store, "--artifacts-destination", str(folder / "files"))
    with mlflow_command("server", "--workers", "1", *places, health="/health", folder=folder) as address:
        yield address, store


@pytest.fixture
def proxy(server: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The server behind a proxy; all waiting is short."""
    hasten(monkeypatch)
    with before(server[0]) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """What the store holds of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("straight")
    uri = new_store(folder)
    tracker = Tracker(MlflowConfig(tracking_uri=uri, run_name="run"), folder, pytest.fail)
    with tracker.running():
        tell_beginning(tracker)
        tell_steps(tracker, range(1, STEPS + 1))
    return only(uri)


class _Story:
    """A run through a proxy, which may be told to fail before any step."""

    def __init__(self, proxy: Proxy, store: str, folder: Path) -> None:
        self.proxy, self.store, self.folder = proxy, store, folder
        self.told: list[str] = []
        self._before = stored(store).keys()

    def run(self, fails: dict[int, str]) -> None:
        """Tell all steps; at those given, the proxy changes its way."""
        config = MlflowConfig(tracking_uri=self.proxy.address, run_name="run")
        tracker = Tracker(config, self.folder, self.told.append)
        self.proxy.way = fails.get(0, "")
        with tracker.running():
            tell_beginning(tracker)
            for step in range(1, STEPS + 1):
                if step in fails:
                    self._meet()
                    self.proxy.way = fails[step]
                tell_steps(tracker, [step])

    def _meet(self) -> None:
        """Let at least one more request be made, so that each way is met."""
        asked = self.proxy.asked
        for _ in range(200):
            if self.proxy.asked > asked:
                return
            self.proxy.over.wait(0.005)

    def found(self) -> Stored:
        """The one run that came of it."""
        (new,) = stored(self.store).keys() - self._before
        return stored(self.store)[new]


@pytest.fixture
def story(proxy: Proxy, server: tuple[str, str], tmp_path: Path) -> _Story:
    """A run through the proxy."""
    return _Story(proxy, server[1], tmp_path)


@pytest.mark.parametrize("way", WAYS)
def test_server_that_fails_in_between_gets_all(way: str, story: _Story, straight: Stored) -> None:
    """However it fails, in the middle of the run: what it has afterwards is what it would have had."""
    story.run({20: way, 40: ""})
    if (story.folder / "tracking").exists():
        sync(story.folder)
    assert story.found().told == straight.told
    assert list(story.folder.iterdir()) == []


@pytest.mark.parametrize("way", WAYS)
def test_server_that_fails_to_the_end_gets_all_by_sync(way: str, story: _Story, straight: Stored) -> None:
    """What it did not take is in the journal; sent once or twice, the store holds what it would have held."""
    story.run({20: way})
    if way != "slow":
        assert "forgeml sync" in story.told[-1]
        (journal,) = (story.folder / "tracking").iterdir()
        content = journal.read_bytes()
        story.proxy.way = ""
        sync(story.folder)
        journal.parent.mkdir()
        journal.write_bytes(content)
        sync(story.folder)
    assert story.found().told == straight.told


@pytest.mark.parametrize("way", WAYS)
def test_server_that_fails_at_the_start_gets_all(way: str, story: _Story, straight: Stored) -> None:
    """The run is opened when the server answers, and only once, even if the answer to the first try was lost."""
    story.run({0: way, 30: ""})
    if (story.folder / "tracking").exists():
        sync(story.folder)
    assert story.found().told == straight.told


@pytest.mark.parametrize("way", ["refuse", "error", "forget"])
def test_every_second_request_fails(way: str, story: _Story, straight: Stored) -> None:
    """A server that is never well for long gets all, too."""
    story.proxy.failing = set(range(2, 1000, 2))
    story.run({0: way})
    story.proxy.way = ""
    sync(story.folder)
    assert story.found().told == straight.told


def test_server_that_is_back_at_the_end_needs_no_sync(
    story: _Story, straight: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waited is sent at the end, which leaves nothing beside the output."""
    monkeypatch.setattr(run, "LAST_IN_DOUBT_S", 60)
    story.run({0: "refuse", STEPS: ""})
    assert story.found().told == straight.told
    assert list(story.folder.iterdir()) == []


def test_run_that_goes_on_during_an_outage(story: _Story, straight: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped and continued while the server is away, it is one run with each figure once."""
    config = MlflowConfig(tracking_uri=story.proxy.address, run_name="run")
    story.proxy.way = "refuse"
    tracker = Tracker(config, story.folder, story.told.append)
    with pytest.raises(Stopped), tracker.running():
        tell_beginning(tracker)
        tell_steps(tracker, range(1, 31))
        state = tracker.state
        tell_steps(tracker, range(31, 37))
        raise Stopped(15)
    assert state["run_id"] == ""
    monkeypatch.setattr(run, "LAST_IN_DOUBT_S", 60)
    tracker = Tracker(config, story.folder, story.told.append, state)
    with tracker.running():
        tell_beginning(tracker)
        tell_steps(tracker, range(31, STEPS + 1), speed=7.0)
        story.proxy.way = ""
    assert story.found().told == straight.told
    assert list(story.folder.iterdir()) == []


@pytest.fixture(scope="module", params=["there", "away"])
def cut_off(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """What kill -9 leaves of a run whose store is there, or away; and the last step that it had told of."""
    folder = tmp_path_factory.mktemp("cut-off")
    uri = new_store(folder) if request.param == "there" else f"http://127.0.0.1:{free_port()}"
    here = Path(__file__).parent
    command = [sys.executable, str(here / "killed_tracker.py"), str(here), uri, str(folder / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 500:
                process.kill()
        rest = line
    return folder, int(rest) if rest.endswith("\n") else 500


def test_kill_loses_nothing_that_was_told(cut_off: tuple[Path, int], tmp_path: Path) -> None:
    """After kill -9 at any instant all steps that were told reach the store, with the run closed as KILLED."""
    folder, last = cut_off
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    if not (tmp_path / "mlflow.db").exists():
        new_store(tmp_path)
    else:
        assert only(uri).status == "RUNNING"
    (found,) = sync(tmp_path / "out", uri)
    assert (found.outcome, found.status) == ("sent", "KILLED")
    steps = [step for name, step, *_ in only(uri).figures if name == "train.loss"]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= last
    assert only(uri).name == "cut off"
    sync(tmp_path / "out", uri)
    assert len([name for name, *_ in only(uri).figures if name == "train.loss"]) == len(steps)
