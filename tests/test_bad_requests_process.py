"""What happens to the process, its folder and its address: rows S21 to S23 of the catalogue of bad input."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forgeml.model.publishing import exchange
from forgeml.serving.telling import logs
from refusals import answer_of, assert_says
from served import GOOD, MARK, Running, posted, running, until
from serving_load import loading
from small_application import connected

TEXTS = [f"A {word} film {MARK}" * size for word in ("good", "bad") for size in (1, 5, 40)]
LONG = posted("/predict/batch", {"texts": ["A good film. " * 1_000] * 64})


def test_stop_under_load_loses_nothing(engines: Path) -> None:
    """S21: readiness says no first, what was asked is answered, and the exit code is 0."""
    with running(engines, "--drain-delay", "1", checked=False) as server, loading(server.port, TEXTS) as load:
        until(lambda: len(load.answered) > 100, 30)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: server.get("/readyz").json["status"] == "draining", 5)
        assert server.get("/healthz").status == 200
        assert server.post("/predict", {"text": GOOD}).status == 200
        assert server.process.wait(30) == 0
        assert load.lost == []
        assert set(load.others) <= {503}
        assert MARK not in server.log.read_text()


def test_a_second_signal_ends_at_once(engines: Path) -> None:
    """S21: who asks twice does not wait for what is under way."""
    with running(engines, "--drain-delay", "60", checked=False) as server, connected(server.port) as connection:
        connection.sendall(LONG)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        began = time.monotonic()
        assert server.stop() == 128 + signal.SIGTERM
        assert time.monotonic() - began < 10


def test_a_worker_that_is_killed_is_replaced(engines: Path) -> None:
    """S21: the others answer meanwhile; nobody gets anything but an answer, 503, or a connection that ends."""
    with running(engines, "--workers", "2", checked=False) as server:
        until(lambda: len(_workers(server)) == 2, 30)
        with loading(server.port, TEXTS) as load:
            until(lambda: len(load.answered) > 50, 30)
            killed = _workers(server)[0]
            os.kill(killed, signal.SIGKILL)
            until(lambda: killed not in _workers(server) and len(_workers(server)) == 2, 30)
            reached = len(load.answered)
            until(lambda: len(load.answered) > reached + 50, 30)
        assert set(load.others) <= {503}
        # One request of each client at most was in the worker that was killed.
        assert len(load.lost) <= 6
        assert server.post("/predict", {"text": GOOD}).json["scores"] == pytest.approx(server.good, abs=1e-4)
        assert server.stop() == 0


def _workers(server: Running) -> list[int]:
    """Process ids of the processes that serve."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


def _half(folder: Path) -> None:
    """As a copy that was cut off."""
    largest = max(folder.rglob("*.onnx"), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)


def _without_file(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def _garbage(folder: Path) -> None:
    (folder / "forgeml.json").write_text(MARK)


def _other_kind(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text(MARK)


BROKEN: dict[str, Callable[[Path], None]] = {
    "S22-half-copied": _half,
    "S22-file-missing": _without_file,
    "S22-garbage": _garbage,
    "S22-deleted": shutil.rmtree,
    "S22-no-folder": _other_kind,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_folders_leave_the_model_that_answers(engines: Path, tmp_path: Path, name: str) -> None:
    """S22: the model that was there goes on, readiness tells what is wrong, and a whole folder is taken up again."""
    live, spare = (Path(shutil.copytree(engines, tmp_path / name)) for name in ("live", "spare"))
    with running(live, "--watch", "0.1", checked=False) as server:
        before = server.get("/readyz").json
        assert "problem" not in before
        BROKEN[name](live)
        until(lambda: "problem" in server.get("/readyz").json, 20)
        broken = server.get("/readyz")
        assert (broken.status, broken.json["model_version"]) == (200, before["model_version"])
        assert MARK not in broken.json["problem"]
        assert str(tmp_path) not in broken.json["problem"]
        server.check(errors={"model_failed"})
        if live.is_file():
            live.unlink()
        if live.exists():
            exchange(spare, live)
        else:
            spare.rename(live)
        until(lambda: "problem" not in server.get("/readyz").json, 20)
        server.check(errors={"model_failed"})
        assert server.stop() == 0


def test_addresses_that_cannot_be_had_are_told(
    engines: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S23: exit code 5 with the port and, if the system tells it, who holds it; nothing is loaded before."""
    # The log would stay with this process.
    monkeypatch.setattr(logs, "configure", lambda form: None)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        taken = answer_of(capsys, "serve", engines, "--port", port)
    assert taken.code == 5
    assert_says(taken.err, [f"port {port} is taken by", f"(process {os.getpid()})", "fix: ", "--port"])
    unknown = answer_of(capsys, "serve", engines, "--host", "nowhere.invalid", "--keys", _keys())
    assert_says(unknown.err, ["nowhere.invalid", "is not known", "fix: "])
    foreign = answer_of(capsys, "serve", engines, "--host", "192.0.2.1", "--keys", _keys())
    assert_says(foreign.err, ["192.0.2.1", "this machine does not have that address", "fix: "])

    def forbidden(self: socket.socket, address: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    denied = answer_of(capsys, "serve", engines, "--port", "80")
    assert_says(denied.err, ["may not listen on port 80", "fix: ", "1024"])
    assert [one.code for one in (unknown, foreign, denied)] == [5, 5, 5]
    assert not any("Traceback" in one.err or one.out for one in (taken, unknown, foreign, denied))


def _keys() -> Path:
    keys = Path("keys.txt")
    keys.write_text("a-key-of-many-characters\n", encoding="utf-8")
    return keys
