"""Bytes that nobody sees by accident."""

from typing import Never


class Secret:
    """Bytes of a key or a passphrase: they show in no text, and in no copy that leaves us."""

    __slots__ = ("__data",)

    def __init__(self, data: bytes) -> None:
        self.__data = data

    def reveal(self) -> bytes:
        return self.__data

    def __repr__(self) -> str:
        return "Secret()"

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a secret is not pickled: it would lie in the clear wherever that goes")
