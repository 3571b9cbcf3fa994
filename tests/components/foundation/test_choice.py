import enum

import pytest

from components.foundation.choice import chosen
from components.foundation.errors import UserError


class Size(enum.StrEnum):
    SMALL = "small"
    LARGE = "large"
    HUGE = "very large"


@pytest.mark.parametrize("size", Size)
def test_a_choice_is_named_by_its_own_word(size: Size) -> None:
    assert chosen(str(size), Size, setting="size") is size


@pytest.mark.parametrize(
    ("text", "ends"),
    [("smal", "did you mean 'small'?"), ("7", "known: large, small, very large")],
    ids=["misspelt", "another word"],
)
def test_a_word_that_is_none_is_told_all_of_them_and_the_nearest(text: str, ends: str) -> None:
    with pytest.raises(UserError) as refused:
        chosen(text, Size, setting="size")

    assert str(refused.value) == f"size '{text}': expected small, large or very large; {ends}"
    assert refused.value.code == "choice-unknown"
