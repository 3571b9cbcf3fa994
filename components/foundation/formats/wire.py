"""Protocol buffers read field by field where they lie: nothing is copied, no schema is needed.

Stricter than the format: a field that occurs once by its schema may not be repeated, and groups,
which nobody writes any more, are refused. So no other reader can see another message here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

VARINT: Final = 0
BYTES: Final = 2
_FIXED: Final = {1: 8, 5: 4}
_MOST_FIELDS: Final = 20_000_000
_MOST_BYTES_OF_A_NUMBER: Final = 10


class Malformed(ValueError):
    """The bytes are not what they are said to be; the message says where they stop being it."""


@dataclass(slots=True)
class Budget:
    """How many fields may still be read of one file, whatever the nesting says."""

    left: int = _MOST_FIELDS

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Malformed("more fields than are read of one file")


@dataclass(frozen=True, slots=True)
class Message:
    """One message; its fields are found anew each time they are asked for."""

    data: memoryview
    budget: Budget = field(default_factory=Budget)

    def fields(self) -> Iterator[tuple[int, "int | memoryview"]]:
        """Yield every field: its number, and an integer or the bytes of it."""
        at, end = 0, len(self.data)
        while at < end:
            self.budget.spend()
            tag, at = _varint(self.data, at)
            if not 0 < tag >> 3 < 1 << 29:
                raise Malformed(f"field number {tag >> 3}")
            kind = tag & 7
            if kind == VARINT:
                value, at = _varint(self.data, at)
                yield tag >> 3, value
                continue
            size = _FIXED.get(kind, -1)
            if kind == BYTES:
                size, at = _varint(self.data, at)
            if size < 0 or size > end - at:
                raise Malformed(f"a field of kind {kind} that ends beyond its message")
            yield tag >> 3, self.data[at : at + size]
            at += size

    def messages(self, number: int) -> Iterator["Message"]:
        """Yield the messages of a repeated field."""
        return (Message(value, self.budget) for value in self.each(number))

    def each(self, number: int) -> Iterator[memoryview]:
        """Yield the bytes of a repeated field."""
        for got, value in self.fields():
            if got == number and isinstance(value, memoryview):
                yield value

    def message(self, number: int) -> "Message":
        """Return the message of a field; empty where it is not there."""
        return next(self._single(number), Message(memoryview(b""), self.budget))

    def has(self, number: int) -> bool:
        return next(self._single(number), None) is not None

    def text(self, number: int) -> str:
        """Return the text of a field; empty where it is not there."""
        found = next(self._single(number), None)
        return text_of(found.data) if found else ""

    def number(self, number: int) -> int:
        """Return the number of a field, as a signed 64 bit integer; 0 where it is not there."""
        found = [value for got, value in self.fields() if got == number and isinstance(value, int)]
        if len(found) > 1:
            raise Malformed(f"field {number} stands there twice")
        return signed(found[0]) if found else 0

    def _single(self, number: int) -> Iterator["Message"]:
        found = list(self.messages(number))
        if len(found) > 1:
            raise Malformed(f"field {number} stands there twice")
        return iter(found)


def text_of(data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise Malformed("a text that is not UTF-8") from None


def signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def numbers(data: memoryview) -> Iterator[int]:
    """Yield the numbers of a packed field."""
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield signed(value)


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    for byte in data[at : at + _MOST_BYTES_OF_A_NUMBER]:
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >= 1 << 64:
                raise Malformed("a number of more than 64 bits")
            return value, at
        shift += 7
    raise Malformed("a number that does not end")
