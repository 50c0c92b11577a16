"""Checkpoints on disk: folders that are whole, or that are found not to be."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from errno import EIO
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from forgeml.errors import MachineError, first_line
from forgeml.machine import held_signals
from forgeml.model.publishing import flush, publish, writing

MANIFEST, STATE, TENSORS, BEST = "checkpoint.json", "state.json", "tensors.safetensors", "best"
"""Files of a checkpoint, and the folder in it with the best model so far. The manifest is written last."""
FORMAT = 1
NAME = re.compile(r"step-(\d{1,15})")
REST = re.compile(r"step-\d{1,15}\.(new|gone)")
"""Folders that were being written or removed."""

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint."""

    folder: Path
    step: int
    state: Mapping[str, Any]
    """What is not a tensor, as JSON has it."""

    @property
    def best(self) -> Path | None:
        """Folder of the best model so far, if there was one."""
        return self.folder / BEST if (self.folder / BEST).is_dir() else None

    def tensors(self) -> Tensors:
        """Weights and what the optimizer has of each."""
        return load_file(self.folder / TENSORS)


@dataclass(frozen=True)
class Damaged:
    """A checkpoint that is not whole."""

    folder: Path
    what: str
    """Which file, and what is wrong with it."""


class Checkpoints:
    """The newest checkpoints of a run, each in a folder `step-N`."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Look at nothing yet; of those written, the newest `keep` stay."""
        self.folder = folder
        self._keep = keep

    def newest(self) -> tuple[Checkpoint | None, tuple[Damaged, ...]]:
        """The newest whole checkpoint, and the newer ones that are not whole."""
        damaged: list[Damaged] = []
        for step, folder in self._present():
            what = find_damage(folder)
            if what is None:
                state = json.loads((folder / STATE).read_text(encoding="utf-8"))
                return Checkpoint(folder, step, state), tuple(damaged)
            damaged.append(Damaged(folder, what))
        return None, tuple(damaged)

    def newest_step(self) -> int | None:
        """Step of the newest one by its name, whole or not."""
        return next((step for step, _ in self._present()), None)

    def write(self, step: int, state: Mapping[str, Any], tensors: Tensors, best: Path | None) -> None:
        """Write a checkpoint whole or not at all, and remove those that are too many.

        An older one goes only when this one has been read back and found to be as it was written.

        Args:
            step: after which it is taken.
            state: what is not a tensor.
            tensors: by name.
            best: folder of the best model so far; its files are linked where the disk can do that.

        Raises:
            MachineError: it cannot be written; the older ones still stand.
        """
        place = self.folder / f"step-{step}"
        fresh = place.with_name(f"{place.name}.new")
        try:
            with writing(place):
                room = self._room(tensors)
            with writing(place, room):
                self._clear()
                fresh.mkdir(parents=True)
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, fresh / TENSORS)
                (fresh / STATE).write_text(_canonical(state), encoding="utf-8")
                # The library lets nobody else read its file.
                (fresh / TENSORS).chmod((fresh / STATE).stat().st_mode)
                if best is not None:
                    copy_linked(best, fresh / BEST)
                flush(fresh)
                (fresh / MANIFEST).write_text(_manifest(fresh), encoding="utf-8")
            publish(fresh, place)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if what := find_damage(place):
            raise MachineError.at(str(place), f"is not as it was written: {what}", "look at the disk")
        # Those that are newer were passed over as damaged when the run went on from an older one.
        kept = [there for there, _ in self._present() if there <= step][: self._keep]
        for there, folder in list(self._present()):
            if there not in kept:
                self._remove(folder)

    def remove(self) -> None:
        """Remove all of them: the run is at its end, or starts over."""
        with held_signals():
            for _, folder in list(self._present()):
                self._remove(folder)
            self._clear()
            with suppress(OSError):
                self.folder.rmdir()

    def _present(self) -> Iterator[tuple[int, Path]]:
        """Folders by the name of checkpoints, the newest first."""
        with suppress(OSError):
            found = [(int(match[1]), entry) for entry in self.folder.iterdir() if (match := NAME.fullmatch(entry.name))]
            yield from sorted(found, reverse=True)

    def _remove(self, folder: Path) -> None:
        """Take its name away first, so that a kill does not leave what looks like a damaged checkpoint."""
        gone = folder.with_name(f"{folder.name}.gone")
        with suppress(OSError):
            folder.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)

    def _clear(self) -> None:
        """Remove what a killed process left half written or half removed."""
        with suppress(OSError):
            for entry in list(self.folder.iterdir()):
                if REST.fullmatch(entry.name):
                    shutil.rmtree(entry, ignore_errors=True)

    def _room(self, tensors: Tensors) -> str:
        holder = next(parent for parent in (self.folder / "x").absolute().parents if parent.exists())
        needed = sum(tensor.nbytes for tensor in tensors.values())
        return f" (it takes {needed / 1e6:,.1f} MB; {shutil.disk_usage(holder).free / 1e6:,.1f} MB were free)"


def find_damage(folder: Path) -> str | None:
    """What is wrong with a checkpoint, by its manifest; None if it is whole.

    Raises:
        MachineError: it cannot be read, which says nothing of what is in it.
    """
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        files = json.loads(text)["files"]
        if text != _canonical({"format": FORMAT, "files": files, "sha256": _digest(_canonical(files))}):
            return f"{MANIFEST} is damaged"
        return next(filter(None, (_damage_of(folder / name, told) for name, told in files.items())), None)
    except FileNotFoundError:
        return f"{MANIFEST} is missing"
    except OSError as error:
        if error.errno == EIO:
            return f"the disk does not give it back: {first_line(error)}"
        fix = "see to the rights there, or run as the user who began; --fresh starts over"
        raise MachineError.at(str(folder), f"cannot be read: {first_line(error)}", fix) from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return f"{MANIFEST} is damaged"


def unlinked(folder: Path) -> None:
    """Give a folder that was copied linked its own files, so that who changes one there changes no other."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_nlink > 1:
            own = path.with_name(f"{path.name}.own")
            shutil.copy2(path, own)
            own.replace(path)


def copy_linked(source: Path, target: Path) -> None:
    """Copy a folder; its files are linked where the disk can do that, which takes neither time nor room."""
    target.mkdir(parents=True)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir()
            continue
        try:
            os.link(path, place)
        except OSError:
            shutil.copy2(path, place)


def _damage_of(file: Path, told: Mapping[str, Any]) -> str | None:
    name = f"{file.parent.name}/{file.name}" if file.parent.name == BEST else file.name
    if not file.is_file():
        return f"{name} is missing"
    if file.stat().st_size != told["size"]:
        return f"{name} has {file.stat().st_size:,} of {told['size']:,} bytes"
    with file.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != told["sha256"]:
            return f"{name} has another SHA-256 than when it was written"
    return None


def _manifest(folder: Path) -> str:
    files = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            files[str(path.relative_to(folder))] = {"size": path.stat().st_size, "sha256": digest}
    return _canonical({"format": FORMAT, "files": files, "sha256": _digest(_canonical(files))})


def _canonical(value: Any) -> str:  # noqa: ANN401 whatever JSON takes
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
