"""What can go wrong, by whose move mends it. Each kind has the exit code that the command line ends with."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True)
class Problem:
    """One thing wrong: the place, what was found there, and what to do about it."""

    where: str
    what: str
    fix: str

    def __str__(self) -> str:
        """Two lines: `where: what`, then the fix, indented."""
        return f"{self.where}: {self.what}\n  fix: {self.fix}"


class ForgeError(Exception):
    """Something that the user, the data or the surroundings can mend; shown as text, never as a traceback."""

    exit_code: ClassVar[int] = 1

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Hold all the problems found together, in the order in which they are to be read."""
        self.problems = tuple(problems)
        self.told_elsewhere = False
        """Whether another process of the same run says it, so that this one ends in silence."""
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[Self], tuple[Sequence[Problem]]]:
        """Another process gets it with its problems."""
        return type(self), (self.problems,)

    @classmethod
    def at(cls, where: str, what: str, fix: str) -> Self:
        """An error with the single problem that is described."""
        return cls([Problem(where, what, fix)])


class ConfigError(ForgeError):
    """The configuration or the command line is not usable."""

    exit_code = 2


class DataError(ForgeError):
    """The data cannot be read or cannot be learnt from."""

    exit_code = 3


class ModelError(ForgeError):
    """The model or its tokenizer cannot be used."""

    exit_code = 4


class MachineError(ForgeError):
    """The machine refuses: disk, rights, device or memory."""

    exit_code = 5


class ProcessLostError(MachineError):
    """Another process of the same run has ended, so this one cannot go on."""


class HubError(ForgeError):
    """The hub or the network did not deliver."""

    exit_code = 6


class TrainingError(ForgeError):
    """The training itself failed, for instance by a loss that is not finite."""

    exit_code = 7


class Stopped(BaseException):
    """A signal asked the program to stop. No `Exception`, so that no handler for errors can swallow it."""

    def __init__(self, signal_number: int) -> None:
        """Keep the signal; the exit code follows the shell's rule of 128 + signal."""
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
        super().__init__(f"stopped by signal {signal_number}")


def counted(number: int, noun: str) -> str:
    """A number of things in words: `1 row`, `2,000 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{'es' if noun.endswith('s') else 's'}"


def first_line(error: BaseException) -> str:
    """The first line of what an error says, with the next one where that ends in a colon, or else its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or isinstance(error, KeyError):
        return " ".join([type(error).__name__, *lines])
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """The choice most like `name`, letter case aside, or None when nothing is close."""
    by_lower = {choice.lower(): choice for choice in choices}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
