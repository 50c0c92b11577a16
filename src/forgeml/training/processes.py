"""The processes of one run: which is the main one, who goes first, what all must know.

Where a run is one process, nothing here costs anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from accelerate import PartialState
from torch import distributed

from forgeml.errors import ConfigError, ForgeError, MachineError, ProcessLostError, TrainingError, counted, first_line
from forgeml.machine import Place, is_set, place_in_run
from forgeml.runtime import choose_device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Result = TypeVar("Result")
Told = TypeVar("Told")
Item = TypeVar("Item")

LONGEST_STEP = timedelta(minutes=10)
"""How long processes wait for each other when they meet, and in a step."""
LONGEST_WAIT = timedelta(days=7)
"""How long the other processes wait for the main one, which may be fetching and tokenizing for hours."""

SIGNAL_COMES_S = 2.0
"""Within which a launcher has noticed that a process has ended."""

REFUSED = {
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism configuration",
}
"""What Accelerate can be asked for and ForgeML does not do, by the variable that `accelerate launch` sets."""


@dataclass(frozen=True)
class Processes:
    """The processes of a run as one of them sees them. Every method must be called by all of them, in one order."""

    rank: int = 0
    """Of this process, counted from 0."""
    count: int = 1
    group: distributed.ProcessGroup | None = None
    """Carries what they tell each other; None where a run is this process alone."""

    @property
    def main(self) -> bool:
        """Whether this is the process that writes, tracks and tells."""
        return self.rank == 0

    def main_first(self, work: Callable[[Told | None], Result], tells: Callable[[Result], Told]) -> Result:
        """Let the main process do some work, and then all others, who find in caches what it has left there.

        Args:
            work: is given what the main process tells, or None in the main process itself.
            tells: what the others have to know of the main process's result.

        Raises:
            ForgeError: in all processes, if it is raised in one of them.
        """
        if self.group is None:
            return work(None)
        done: _Outcome[Result] | None = _Outcome.of(lambda: work(None)) if self.main else None
        told = self._from_main(done.then(tells) if done else None)
        outcome = done or _Outcome.of(lambda: work(told))
        errors: list[ForgeError | None] = [None] * self.count
        with self.watched():
            distributed.all_gather_object(errors, outcome.error, group=self.group)
        failed = next((rank for rank, error in enumerate(errors) if error), self.rank)
        return outcome.get() if failed == self.rank else _Outcome[Result](error=errors[failed]).get_elsewhere()

    def by_main(self, work: Callable[[], Result]) -> Result:
        """Let the main process alone do something; all get its result.

        Raises:
            ForgeError: in all processes, if it is raised in the main one.
        """
        if self.group is None:
            return work()
        return self._from_main(_Outcome.of(work) if self.main else None)

    def those(self, able: bool) -> Processes | None:
        """The processes that are able to do something, the main one always among them; None in the others."""
        if self.group is None:
            return self
        answers: list[bool | None] = [None] * self.count
        with self.watched():
            distributed.all_gather_object(answers, able or self.main, group=self.group)
            ranks = [rank for rank, answer in enumerate(answers) if answer]
            group = distributed.new_group(ranks, backend="gloo", timeout=LONGEST_WAIT)
        return Processes(ranks.index(self.rank), len(ranks), group) if self.rank in ranks else None

    def total(self, numbers: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sum over all processes, in place."""
        if self.group is not None:
            with self.watched():
                distributed.all_reduce(torch.from_numpy(numbers), group=self.group)
        return numbers

    def part(self, items: Sequence[Item]) -> tuple[list[Item], int]:
        """This process's part of some items, as many as every other process has, and how many of them are its own.

        What comes after these is another process's last one: where each has a part of the model's weights, all must
        go through it equally often.
        """
        places = range(self.rank, -(-len(items) // self.count) * self.count, self.count)
        return [items[min(place, len(items) - 1)] for place in places], sum(place < len(items) for place in places)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside `with`, the end of another process becomes an error that says so.

        Raises:
            ProcessLostError: another process has ended; which one and why it has said itself.
        """
        try:
            yield
        except RuntimeError as error:
            if self.group is None or not _is_of_processes(error):
                raise
            if self.main:
                # Most launchers then tell all others to stop; the signal would come in the middle of tidying up.
                time.sleep(SIGNAL_COMES_S)
            what = f"another of the {self.count} processes of this run has ended"
            lost = ProcessLostError.at("processes", what, "see what it said; without a word, its memory may have ended")
            lost.told_elsewhere = not self.main
            raise lost from error

    def _from_main(self, outcome: _Outcome[Result] | None) -> Result:
        box = [outcome]
        with self.watched():
            distributed.broadcast_object_list(box, src=0, group=self.group)
        assert box[0] is not None
        # Its own error is raised where it came about, so that it has the place.
        return outcome.get() if outcome else box[0].get_elsewhere()


ALONE = Processes()


@contextmanager
def meet(device: str) -> Iterator[Processes]:
    """Join the processes that a launcher has started together for this run; alone where there is no launcher.

    Args:
        device: the setting.

    Raises:
        ConfigError: the launcher was asked for what ForgeML does not do.
        MachineError: the processes do not find each other, or have no device each.
    """
    place = place_in_run()
    try:
        processes = _joined(device, place) if place.launched else ALONE
    except ForgeError as error:
        # They have not met yet, so each machine says it once.
        error.told_elsewhere = place.local_rank > 0
        raise
    try:
        yield processes
    except TrainingError as error:
        # It comes of figures that all have, so all raise it.
        error.told_elsewhere = not processes.main
        raise


def leave() -> None:
    """Part from the other processes. Not before the last run of a process: they cannot meet a second time."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def is_division_asked() -> bool:
    """Whether Accelerate was told to give each process a part of the model (FSDP)."""
    return is_set("ACCELERATE_USE_FSDP")


def oddities(processes: Processes, device: str) -> list[str]:
    """Sentences on what a user might not expect of how the processes were started."""
    told = []
    if processes.count > 1 and device == "cpu" and is_division_asked():
        told.append("Accelerate divides models among GPUs only, so here each process keeps the whole of it")
    if processes.group is None and is_set("ACCELERATE_USE_CPU") and "MASTER_PORT" in os.environ:
        told.append(
            "accelerate launch --cpu starts several processes only by MPI, with --mpirun_hostfile, so this run is one "
            "process; torchrun --nproc-per-node starts several"
        )
    return told


def _joined(device: str, place: Place) -> Processes:
    _refuse(device)
    # All read the weights themselves; with this, transformers would leave them out in all processes but the first.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    kind = choose_device(device)
    _check_device(kind, place)
    try:
        PartialState(cpu=kind == "cpu", timeout=LONGEST_STEP)
        # Of its own, as that of the gradients may be one of GPUs, and waits no longer than a step may take.
        group = distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        what = f"the {counted(place.count, 'process')} of this run do not find each other: {first_line(error)}"
        fix = "start them with torchrun or accelerate launch, with the same address and port on every machine"
        raise MachineError.at("processes", what, fix) from error
    return Processes(distributed.get_rank(), distributed.get_world_size(), group)


def _refuse(device: str) -> None:
    asked = [name for variable, name in REFUSED.items() if is_set(variable)]
    if is_division_asked() and os.environ.get("FSDP_VERSION", "1") != "2":
        asked.append("FSDP 1")
    if asked:
        fix = "leave it out, or take FSDP 2: accelerate launch --use_fsdp --fsdp_version 2"
        raise ConfigError.at("accelerate", f"{asked[0]} is asked for, which ForgeML does not do", fix)
    if is_set("ACCELERATE_USE_CPU") and device not in ("auto", "cpu"):
        what = f"{device} is set, but accelerate launch was told to use the processor"
        raise ConfigError.at("training.device", what, "set it to auto, or leave out --cpu")


def _check_device(device: str, place: Place) -> None:
    together = counted(place.count, "process")
    if device == "mps":
        what = f"{together} cannot share Apple's GPU"
        raise MachineError.at("training.device", what, "set it to cpu, or start a single process without a launcher")
    if ":" in device:
        what = f"{device} is set, but {together} were started, each of which takes a GPU of its own"
        raise ConfigError.at("training.device", what, "leave it out, or set it to cuda")
    if device == "cuda" and place.local_rank >= torch.cuda.device_count():
        what = f"process {place.local_rank + 1} of this machine has no GPU: there are {torch.cuda.device_count()}"
        raise MachineError.at("training.device", what, "start as many processes on each machine as it has GPUs")


def _is_of_processes(error: RuntimeError) -> bool:
    """Whether an error comes of the talk between processes; the library for processors has no kind of its own."""
    return isinstance(error, distributed.DistError) or "/gloo/" in str(error)


@dataclass(frozen=True)
class _Outcome(Generic[Result]):
    """What came of some work: a result or an error."""

    value: Result | None = None
    error: ForgeError | None = None

    @classmethod
    def of(cls, work: Callable[[], Result]) -> _Outcome[Result]:
        try:
            return cls(value=work())
        except ForgeError as error:
            return cls(error=error)

    def then(self, work: Callable[[Result], Told]) -> _Outcome[Told]:
        return _Outcome(error=self.error) if self.error else _Outcome(value=work(self.get()))

    def get(self) -> Result:
        if self.error:
            raise self.error
        return self.value  # type: ignore[return-value]

    def get_elsewhere(self) -> Result:
        """The same in a process that did not do the work."""
        if self.error:
            self.error.told_elsewhere = True
        return self.get()
