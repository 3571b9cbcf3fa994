"""What flags turn on, and what stays off without them."""

import pytest

from inference.router.options import Options

BASE = ["--config", "router.json"]


def test_nobody_may_force_a_variant_unless_the_flag_says_so() -> None:
    named = [*BASE, "--variant_header", "X-Try"]

    assert Options.parse(named).forced_by == b""
    assert Options.parse([*named, "--allow_forced_variant"]).forced_by == b"x-try"


def test_headers_are_looked_for_in_lower_case() -> None:
    assert Options.parse([*BASE, "--subject_header", "X-Who"]).subjects.header == b"x-who"


@pytest.mark.parametrize(
    "flags", [["--cookie", "a b"], ["--cookie", "a;b"], ["--timeout_ms", "0"]], ids=" ".join
)
def test_refuses_what_cannot_be(flags: list[str]) -> None:
    with pytest.raises(SystemExit):
        Options.parse([*BASE, *flags])
