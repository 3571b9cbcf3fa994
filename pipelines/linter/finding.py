"""What rules are, and what they find."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipelines.ir import Compiled


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change: which rule, where in which file, what is there, what to do."""

    rule: str
    where: str
    what: str
    do: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.do} [{self.rule}]"


Rule = Callable[[Compiled], Iterator[Finding]]
