"""What a fault suite finds, in one figure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Figure:
    """So many times of so many it held."""

    name: str
    what: str
    """What held."""
    held: int = 0
    of: int = 0
    failures: list[str] = field(default_factory=list)
    longest: float = 0.0
    """Seconds that the longest run took, of those that must be short."""

    @classmethod
    def of_parts(cls, parts: Iterable[Figure]) -> Figure:
        """One figure of several of the same kind."""
        first, *others = parts
        whole = cls(first.name, first.what, first.held, first.of, list(first.failures), first.longest)
        for part in others:
            whole.held, whole.of = whole.held + part.held, whole.of + part.of
            whole.failures += part.failures
            whole.longest = max(whole.longest, part.longest)
        return whole

    def count(self, failure: str) -> None:
        """Take in one more time; an empty sentence says that it held."""
        self.of += 1
        self.held += not failure
        if failure:
            self.failures.append(failure)

    def __str__(self) -> str:
        """A line, as `make chaos` prints it."""
        longest = f" {self.longest:.1f} s" if self.longest else ""
        return f"{self.name}: {self.held} of {self.of} {self.what}{longest}"
