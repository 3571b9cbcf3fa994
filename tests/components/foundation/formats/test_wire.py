import pytest

from components.foundation.formats.wire import Budget, Malformed, Message, numbers


def message(data: bytes, **budget: int) -> Message:
    return Message(memoryview(data), Budget(**budget))


def test_fields_are_found_by_number() -> None:
    read = message(b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1a\x02\x08\x07" + b"\x12\x01!")

    assert read.number(1) == 150
    assert [bytes(value) for value in read.each(2)] == [b"hi", b"!"]
    assert read.message(3).number(1) == 7
    assert (read.number(9), read.text(9), read.has(9), read.has(3)) == (0, "", False, True)


def test_numbers_are_signed_and_may_be_packed() -> None:
    assert message(b"\x08" + b"\xff" * 9 + b"\x01").number(1) == -1
    assert list(numbers(memoryview(b"\x01\x96\x01"))) == [1, 150]


@pytest.mark.parametrize(
    "data",
    [
        b"\x0b\x0c",
        b"\x0a\x05abc",
        b"\x09\x00",
        b"\x08" + b"\xff" * 10,
        b"\x08" + b"\xff" * 9 + b"\x02",
        b"\x08\x80",
        b"\x00\x01",
        b"\x0f\x01",
        b"\xff" * 9 + b"\x01",
    ],
    ids=["group", "short", "fixed", "endless", "65 bits", "cut", "field 0", "kind 7", "tag"],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(message(data).fields())


@pytest.mark.parametrize("ask", [lambda m: m.text(1), lambda m: m.message(1), lambda m: m.has(1)])
def test_a_field_that_occurs_twice_has_no_single_value(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(Malformed, match="twice"):
        ask(message(b"\x0a\x01a\x0a\x01b"))
    with pytest.raises(Malformed, match="twice"):
        message(b"\x08\x01\x08\x02").number(1)


def test_a_text_is_utf_8() -> None:
    with pytest.raises(Malformed, match="not UTF-8"):
        message(b"\x0a\x01\xff").text(1)


def test_reading_ends_when_the_budget_is_spent_whatever_the_nesting_says() -> None:
    read = message(b"\x0a\x00" * 10, left=15)
    assert len(list(read.fields())) == 10

    with pytest.raises(Malformed, match="more fields than"):
        list(read.fields())
