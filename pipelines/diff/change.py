"""What is different between a released pipeline and the one compiled now."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One difference in words; with a name when it breaks those who call the pipeline."""

    what: str
    breaks: str = ""

    def __str__(self) -> str:
        return f"breaks   {self.what} [{self.breaks}]" if self.breaks else f"changes  {self.what}"


def gone_and_new(
    before: Iterable[str], after: Iterable[str], *, gone: str, new: str
) -> Iterator[str]:
    """Yield in words each name that is in one of the two only."""
    old, now = set(before), set(after)
    yield from (f"{gone} {name}" for name in sorted(old - now))
    yield from (f"{new} {name}" for name in sorted(now - old))
