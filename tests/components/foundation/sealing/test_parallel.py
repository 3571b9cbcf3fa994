import os
import threading
from collections.abc import Iterator

import pytest

from components.foundation.sealing import parallel
from components.foundation.sealing.parallel import ahead, each

MANY = 9


@pytest.fixture
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(request.param)))


def threads(names: int = 3) -> Iterator[str]:
    """Yield the name of the thread that makes each item."""
    for _ in range(names):
        yield threading.current_thread().name


def on_cores(count: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("cores", [count], indirect=True, ids=[f"{count} cores"])


@on_cores(2)
def test_pieces_are_made_in_a_thread_of_their_own_and_come_in_order(cores: None) -> None:
    me = threading.current_thread().name

    assert list(ahead(iter(range(1000)), count=MANY)) == list(range(1000))
    assert me not in list(ahead(threads(), count=MANY))


@on_cores(2)
def test_a_piece_is_made_while_its_predecessor_is_used_and_no_sooner(cores: None) -> None:
    made = [threading.Event() for _ in range(3)]

    def pieces() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    coming = ahead(pieces(), count=MANY)

    assert next(coming) == 0
    assert made[1].wait(5)
    assert not made[2].wait(0.05)
    coming.close()  # type: ignore[attr-defined]  # it is a generator


@on_cores(1)
def test_the_only_core_has_one_thread(cores: None) -> None:
    assert set(ahead(threads(), count=MANY)) == {threading.current_thread().name}


@on_cores(2)
def test_few_pieces_are_not_worth_a_thread(cores: None) -> None:
    assert set(ahead(threads(), count=MANY - 1)) == {threading.current_thread().name}


@on_cores(2)
def test_no_more_threads_work_than_there_are_cores(cores: None) -> None:
    meet = threading.Barrier(2)

    def makers(_: int) -> tuple[str, set[str]]:
        meet.wait(5)
        names = set(ahead(threads(), count=MANY))
        meet.wait(5)
        return threading.current_thread().name, names

    assert all(names == {worker} for worker, names in each(makers, [1, 2]))


@on_cores(2)
def test_a_lone_file_among_many_gets_the_other_core(cores: None) -> None:
    [(worker, names)] = each(
        lambda _: (threading.current_thread().name, set(ahead(threads(), count=MANY))), [1]
    )

    assert worker not in names


@on_cores(2)
def test_an_error_comes_where_the_piece_would_have_come(cores: None) -> None:
    def pieces() -> Iterator[int]:
        yield 1
        raise ValueError("torn")

    coming = ahead(pieces(), count=MANY)

    assert next(coming) == 1
    with pytest.raises(ValueError, match="torn"):
        next(coming)


@on_cores(2)
@pytest.mark.parametrize("taken", [0, 1, 3], ids=["unused", "left", "used up"])
def test_no_thread_is_left_and_the_core_is_given_back(cores: None, taken: int) -> None:
    before = threading.active_count()

    coming = ahead(threads(), count=MANY)
    for _ in range(taken):
        next(coming)
    coming.close()  # type: ignore[attr-defined]  # it is a generator

    assert threading.active_count() == before
    assert parallel._busy.spares(2)


@on_cores(4)
def test_each_keeps_the_order_and_tells_the_first_error(cores: None) -> None:
    assert each(lambda item: item * 2, [3, 1, 2]) == [6, 2, 4]
    assert each(str, []) == []
    with pytest.raises(ZeroDivisionError):
        each(lambda item: 1 // item, [1, 0, 1])
