"""What a page shows of a command is compared, so the comparison has to be able to fail."""

import pytest

from tests.docs.transcript import Said, agrees, blocks

PAGE = """
```sh
falaj one
falaj two --with \\
  more
```
```text
two
```
Words.
```sh
falaj three
```
Words between.
```text
a picture, no output
```
"""


def test_reads_blocks_with_the_output_right_below_them() -> None:
    assert list(blocks(PAGE)) == [
        Said("falaj one\nfalaj two --with \\\n  more\n", "two\n"),
        Said("falaj three\n", None),
    ]


def test_a_continued_line_is_one_command() -> None:
    first, _ = blocks(PAGE)

    assert first.lines == ["falaj one", "falaj two --with   more"]


@pytest.mark.parametrize(
    ("shown", "got", "agreed"),
    [
        ("a b", "a b\n", True),
        ("a ... c", "a 17 c", True),
        ("a\n...\nc", "a\n1\n2\nc\n", True),
        ("a b", "a c", False),
        ("a ... c", "a 17 d", False),
        ("a", "a\nb", False),
        ("a.b", "axb", False),
    ],
)
def test_dots_stand_for_anything_and_nothing_else_does(shown: str, got: str, agreed: bool) -> None:
    assert agrees(shown, got) == agreed
