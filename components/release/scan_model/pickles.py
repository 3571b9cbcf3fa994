"""What a pickle would call, read from its opcodes; nothing is ever unpickled.

The walk keeps the stack and the memo as an unpickler would, so that names which are put together
from parts are found. What it cannot follow to the end, or cannot name, it refuses: a pickle runs
what it calls before its end is reached.
"""

import io
import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

from components.release.scan_model.finding import shown
from components.release.scan_model.names import Danger, danger

_MARK: Final = object()
_OTHER: Final = object()
_LONGEST_NAME: Final = 1000
_DEEPEST: Final = 4
_MOST_OPCODES: Final = 2_000_000
_MOST_PICKLES: Final = 10_000
_MOST_NESTED_BYTES: Final = 64 << 20
_NESTED: Final = re.compile(rb"\x80[\x00-\x05]|[(cCSIX\]}].*\.\Z", re.DOTALL)
_EMBEDDED: Final = re.compile(rb"\x80[\x02-\x05](?=[\x95\x8c(\]}cX])|c(?=[a-z_][\w.]{1,40}\n\w)")
_REGISTRY: Final = {"EXT1", "EXT2", "EXT4"}


@dataclass(slots=True)
class Walk:
    """What was seen on the way.

    Attributes:
        names: every global that the pickle asks for, as "module name".
        problems: why the walk cannot vouch for the pickle.
        pickles: how many followed each other.
        opcodes: how many were read.
        too_deep: it holds pickles in pickles that were not followed.
    """

    names: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    pickles: int = 0
    opcodes: int = 0
    too_deep: bool = False

    def complaints(self, declared: frozenset[str] = frozenset()) -> Iterator[str]:
        """Yield what speaks against unpickling it, the worst first."""
        judged = {name: danger(name, declared) for name in sorted(self.names)}
        for wanted, says in ((Danger.RUNS, "can run code"), (Danger.UNKNOWN, "is not known")):
            for name in (name for name, got in judged.items() if got is wanted):
                yield f"asks for {shown(name.replace(' ', '.'))}, which {says}"
        yield from self.problems
        if self.too_deep:
            yield "holds pickles in pickles, deeper or larger than is followed"


def walk(stream: IO[bytes], *, depth: int = 0) -> Walk:
    """Follow every pickle of a stream, one after the other, to its end or to where it breaks."""
    found = Walk()
    _walk_all(stream, found, depth)
    return found


def embedded(data: "bytes | memoryview") -> Iterator[str]:
    """Yield what pickles that lie somewhere in other data ask for, if it can run code."""
    for start in _EMBEDDED.finditer(data):
        found = walk(io.BytesIO(data[start.start() : start.start() + (1 << 20)]))
        for name in sorted(found.names):
            if danger(name, frozenset()) is Danger.RUNS:
                yield f"holds a pickle that asks for {shown(name.replace(' ', '.'))}"


def _walk_all(stream: IO[bytes], found: Walk, depth: int) -> None:
    while found.pickles < _MOST_PICKLES:
        machine = _Machine(found, depth)
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                machine.step(opcode, argument)
        # What pickletools raises of bytes that are no pickle; the unpickler ran what came before.
        except (ValueError, IndexError, OverflowError, _CannotFollow) as error:
            found.problems.append(_broken(found.pickles, error))
            return
        found.pickles += 1
        if not (more := stream.read(1)):
            return
        stream.seek(-len(more), io.SEEK_CUR)
    found.problems.append(f"more than {_MOST_PICKLES} pickles in one file")


def _broken(before: int, error: Exception) -> str:
    if before:
        return f"bytes that are no pickle after pickle {before}"
    return f"cannot be followed to its end: {shown(str(error))}"


class _CannotFollow(Exception):
    """The walk would have to guess."""


class _Machine:
    """The stack and the memo of an unpickler, which hold names instead of objects."""

    def __init__(self, found: Walk, depth: int) -> None:
        self.found, self.depth = found, depth
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: Any, argument: Any) -> None:
        self.found.opcodes += 1
        if self.found.opcodes > _MOST_OPCODES:
            raise _CannotFollow(f"more than {_MOST_OPCODES} opcodes")
        match opcode.name:
            case "GLOBAL" | "INST":
                self._ask(*argument.split(" ")) if argument.count(" ") == 1 else self._ask()
                self._effect(opcode, _OTHER)
            case "STACK_GLOBAL":
                self._ask(*self.stack[-2:])
                self._effect(opcode, _OTHER)
            case name if name in _REGISTRY:
                raise _CannotFollow("asks for a number of copyreg's registry")
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self._remember(argument)
            case "MEMOIZE":
                self._remember(len(self.memo))
            case "GET" | "BINGET" | "LONG_BINGET":
                self.stack.append(self._recall(argument))
            case "DUP":
                self.stack.append(self._top())
            case "POP":
                self._top()
                self.stack.pop()
            case _:
                self._nested(argument)
                self._effect(opcode, self._literal(argument))

    def _ask(self, *name: object) -> None:
        match name:
            case (str(module), str(attribute)):
                self.found.names.add(f"{module} {attribute}")
            case _:
                self.found.problems.append("puts the name of what it asks for together as it runs")

    def _effect(self, opcode: Any, value: Any) -> None:
        """Take from the stack and put on it what an opcode does; `value` is what it reads."""
        before = [kind.name for kind in opcode.stack_before]
        if "mark" in before:
            self._pop_to_mark()
            before = before[: before.index("mark")]
        if len(self.stack) < len(before) or _MARK in self.stack[len(self.stack) - len(before) :]:
            raise _CannotFollow(f"{opcode.name} finds too little on the stack")
        del self.stack[len(self.stack) - len(before) :]
        for kind in opcode.stack_after:
            self.stack.append(_MARK if kind.name == "mark" else value)

    def _pop_to_mark(self) -> None:
        while self.stack:
            if self.stack.pop() is _MARK:
                return
        raise _CannotFollow("a mark is missing")

    def _remember(self, index: int) -> None:
        if index > self.found.opcodes:  # unpicklers make room for all numbers below
            raise _CannotFollow(f"memo entry {index} after {self.found.opcodes} opcodes")
        self.memo[index] = self._top()

    def _recall(self, index: int) -> Any:
        if index not in self.memo:
            raise _CannotFollow(f"memo entry {index} is not there")
        return self.memo[index]

    def _top(self) -> Any:
        if not self.stack:
            raise _CannotFollow("the stack is empty")
        return self.stack[-1]

    def _literal(self, argument: Any) -> Any:
        if isinstance(argument, bytes) and len(argument) <= _LONGEST_NAME:
            argument = argument.decode("latin-1")
        fits = isinstance(argument, str) and len(argument) <= _LONGEST_NAME
        return argument if fits else _OTHER

    def _nested(self, argument: Any) -> None:
        """Follow a text or bytes that are a pickle themselves: something may unpickle them."""
        if isinstance(argument, str):
            argument = argument.encode("latin-1", "replace")
        if not isinstance(argument, bytes | bytearray) or not _NESTED.match(argument):
            return
        if self.depth >= _DEEPEST or len(argument) > _MOST_NESTED_BYTES:
            self.found.too_deep = True
            return
        inner = walk(io.BytesIO(argument), depth=self.depth + 1)
        self.found.names |= inner.names
        self.found.too_deep |= inner.too_deep
        self.found.opcodes += inner.opcodes
