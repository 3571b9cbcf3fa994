"""The ids seen lately: a client that asks again is one observation, not two."""

from collections.abc import Sequence


class Recent:
    """Remembers at least the last `size` ids and at most twice as many, the first of each.

    Two sets that take turns instead of an order of all ids: a look costs the same, and to
    forget costs nothing.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._new: set[str] = set()
        self._old: set[str] = set()

    def fresh(self, ids: Sequence[str]) -> list[int]:
        """Return which ids, by their places, are new, and remember them."""
        places = []
        for place, identity in enumerate(ids):
            if identity in self._new or identity in self._old:
                continue
            places.append(place)
            self._remember(identity)
        return places

    def forget(self, ids: Sequence[str]) -> None:
        """Take ids as never seen: their rows could not be kept, a second try may."""
        self._new.difference_update(ids)
        self._old.difference_update(ids)

    def _remember(self, identity: str) -> None:
        if len(self._new) >= self._size:
            self._old, self._new = self._new, set()
        self._new.add(identity)
