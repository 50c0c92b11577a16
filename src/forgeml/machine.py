"""The machine without torch: its processor, the cache folder, signals, memory that runs out, versions."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import signal
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from forgeml.errors import MachineError

RECORDED_PACKAGES = (
    *("forgeml", "torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy"),
    *("onnx", "onnxruntime", "openvino"),
)

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

INSTRUCTIONS = (
    *("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16"),
    *("asimddp", "i8mm", "bf16"),
)
"""Of processors, as Linux calls them: what the speed of short numbers, and how they are rounded, depends on."""

LARGEST = 2**31 - 1
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD = (-3, LARGEST), (-1, LARGEST), (-2, 2**26)
"""Options of the GNU C library's `mallopt`, in bytes: what is taken from the system on its own, what goes back to it,
and how much more than is needed is taken at once."""

MEMORY_WORDS = ("not enough memory", "out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What torch says when memory runs out without raising its own kind of error for that."""

RANK_VARIABLES = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
COUNT_VARIABLES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
LOCAL_RANK_VARIABLES = ("LOCAL_RANK", "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK")
"""What torchrun, `accelerate launch` and mpirun tell the processes that they start; the first one that is set holds."""


@dataclass(frozen=True)
class Place:
    """Where this process stands among those that were started together for one run."""

    rank: int = 0
    """Counted from 0, which is the main process."""
    count: int = 1
    local_rank: int = 0
    """Among those on this machine, counted from 0."""
    launched: bool = False
    """Whether a launcher has started it, be it alone."""


def place_in_run() -> Place:
    """Where the launcher has put this process; without a launcher it is alone."""
    local = _number_from(LOCAL_RANK_VARIABLES)
    count = _number_from(COUNT_VARIABLES) or 1
    return Place(_number_from(RANK_VARIABLES) or 0, count, local or 0, local is not None or count > 1)


@contextmanager
def held_signals() -> Iterator[None]:
    """Inside `with`, signals that ask the program to stop wait; they are raised again on leaving.

    For moves on disk and what is remembered of them, which belong together. Only the main thread runs handlers of
    signals; in any other one nothing is to be held.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    holding = True
    waiting: dict[int, None] = {}
    # What is ignored stays so; a handler that is not Python's, None, could not be put back.
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    before = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}

    def remember(number: int, frame: FrameType | None) -> None:
        if holding:
            waiting[number] = None
        else:
            # A signal during the putting back below cut it short: this one is still to be put back.
            signal.signal(number, before[number])
            signal.raise_signal(number)

    try:
        for number in before:
            signal.signal(number, remember)
        yield
    finally:
        holding = False
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)


@contextmanager
def first_signal_waits() -> Iterator[None]:
    """Inside `with`, the first signal to stop has its effect on leaving; any further one has its effect at once.

    For work that is better finished than cut short, but may take a while.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # What is ignored stays so, and what ends the process without Python cannot be put off.
    handlers = {number: handler for number in STOP_SIGNALS if callable(handler := signal.getsignal(number))}
    waiting: list[BaseException] = []

    def remember(number: int, frame: FrameType | None) -> None:
        try:
            handlers[number](number, frame)
        except BaseException as stop:
            if waiting:
                raise
            waiting.append(stop)

    try:
        for number in handlers:
            signal.signal(number, remember)
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if waiting:
        raise waiting[0]


@contextmanager
def memory_errors(what: str, fix: str) -> Iterator[None]:
    """Inside `with`, memory that runs out, on whichever device, becomes a MachineError with these words."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MachineError.at("memory", what, fix) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left; torch has a kind of its own for it only on some devices."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in MEMORY_WORDS)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in RECORDED_PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def processor_name() -> str:
    """The processor's own name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "processor")
    except OSError:
        return platform.processor() or platform.machine()


def describe_machine() -> dict[str, Any]:
    """The processor, its instructions for short numbers, and the cores that this process may use, as JSON takes it."""
    found: set[str] = set()
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as lines:
        flags = (line for line in lines if line.startswith(("flags", "Features")))
        found.update(next(flags, "").partition(":")[2].split())
    instructions = [name for name in INSTRUCTIONS if name in found]
    return {"processor": processor_name(), "instructions": instructions, "cores": available_cores()}


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_count() -> int:
    """Threads to compute with: as many as the variable OMP_NUM_THREADS says, or else as there are cores."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(wanted) if wanted.isdecimal() and int(wanted) > 0 else available_cores()


def keep_freed_memory() -> None:
    """Let the process keep memory that it frees, for what it will need next; where the C library is GNU's.

    A step of training takes and frees the same large pieces each time. By default they go back to the system, which has
    to clear them page by page when they are asked for again.
    """
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        for option, value in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD):
            library.mallopt(option, value)


def cache_folder() -> Path:
    """Folder for what can be worked out again."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forgeml"
    except RuntimeError:
        # A user without a home, as in containers that run under a number.
        return Path(tempfile.gettempdir()) / "forgeml"


def is_set(variable: str) -> bool:
    """Whether a variable of the environment says yes, as Accelerate writes it."""
    return os.environ.get(variable, "").lower() in ("1", "true", "yes")


def _number_from(variables: Sequence[str]) -> int | None:
    """The first of the variables that is set to a number."""
    return next((int(text) for name in variables if (text := os.environ.get(name, "")).isdecimal()), None)
