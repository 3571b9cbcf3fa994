"""The laws of the split, over many subjects; seeds are fixed, so nothing here is luck."""

import collections
import itertools

import pytest

from inference.router.assignment import Split, assign

SUBJECTS = [b"subject-%d" % n for n in range(100_000)]
FEW = SUBJECTS[:20_000]
KEPT = "aabbbaabaaccccca"
# Chi-square beyond which chance goes once in a million, by degrees of freedom.
ONE_IN_A_MILLION = {1: 23.93, 2: 27.63, 3: 30.66}


def chi_square(got: dict[str, int], weights: dict[str, float]) -> float:
    count, total = sum(got.values()), sum(weights.values())
    wanted = {name: count * weight / total for name, weight in weights.items()}
    return sum((got[name] - wanted[name]) ** 2 / wanted[name] for name in weights)


def moves(before: dict[str, float], after: dict[str, float]) -> set[tuple[str, str]]:
    old, new = Split(salt="s", weights=before), Split(salt="s", weights=after)
    pairs = {(old.assign(subject), new.assign(subject)) for subject in FEW}
    return {(a, b) for a, b in pairs if a != b}


@pytest.mark.parametrize(
    "weights",
    [
        pytest.param({"a": 50.0, "b": 50.0}, id="halves"),
        pytest.param({"a": 0.99, "b": 0.01}, id="a canary"),
        pytest.param({"a": 70.0, "b": 20.0, "c": 9.0, "d": 1.0}, id="four"),
    ],
)
def test_variants_get_their_shares(weights: dict[str, float]) -> None:
    split = Split(salt="delays", weights=weights)

    got = collections.Counter(split.assign(subject) for subject in SUBJECTS)

    assert chi_square(got, weights) < ONE_IN_A_MILLION[len(weights) - 1]


def test_a_subject_keeps_its_variant_from_release_to_release() -> None:
    weights = {"a": 50, "b": 30, "c": 20}

    got = "".join(assign(subject, salt="delays", weights=weights) for subject in SUBJECTS[:16])

    assert got == KEPT


def test_the_order_of_variants_does_not_matter() -> None:
    orders = [dict(order) for order in itertools.permutations({"a": 50, "b": 30, "c": 20}.items())]

    for subject in FEW[:100]:
        assert len({assign(subject, salt="s", weights=order) for order in orders}) == 1


def test_other_salts_split_independently() -> None:
    weights = {"a": 50.0, "b": 50.0}
    one, other = Split(salt="one", weights=weights), Split(salt="other", weights=weights)

    both = collections.Counter(one.assign(s) + other.assign(s) for s in SUBJECTS)

    assert chi_square(both, dict.fromkeys(("aa", "ab", "ba", "bb"), 1.0)) < ONE_IN_A_MILLION[3]


def test_salt_and_name_cannot_be_shifted_into_one_another() -> None:
    one = Split(salt="x1", weights={"a": 50, "1a": 50})
    other = Split(salt="x", weights={"a": 50, "1a": 50})

    assert any((one.assign(s) == "a") != (other.assign(s) == "1a") for s in FEW[:100])


def test_a_variant_that_grows_takes_from_the_others_and_moves_nobody_else() -> None:
    assert moves({"a": 20, "b": 40, "c": 40}, {"a": 40, "b": 30, "c": 30}) == {
        ("b", "a"),
        ("c", "a"),
    }


def test_a_variant_that_goes_moves_only_its_own() -> None:
    assert moves({"a": 20, "b": 40, "c": 40}, {"a": 0, "b": 50, "c": 50}) == {
        ("a", "b"),
        ("a", "c"),
    }


def test_no_more_move_than_the_growth_asks_for() -> None:
    before, after = ({"a": w, "b": 100 - w} for w in (10.0, 15.0))
    old, new = Split(salt="s", weights=before), Split(salt="s", weights=after)

    moved = sum(old.assign(s) != new.assign(s) for s in SUBJECTS)

    assert abs(moved / len(SUBJECTS) - 0.05) < 0.0035  # five standard deviations


def test_nobody_gets_a_variant_without_weight() -> None:
    split = Split(salt="s", weights={"a": 0, "b": 1, "c": 0})

    assert {split.assign(subject) for subject in FEW} == {"b"}
