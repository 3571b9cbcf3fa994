"""Which series an expression of PromQL names: a tokenizer, as no parser of it is at hand."""

import re

_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_MATCHERS = re.compile(r"\{[^}]*\}|\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS = {"and", "or", "unless", "offset", "bool", "by", "without", "inf", "nan", "group_left"}


def metrics(expression: str) -> set[str]:
    """Return the names of all metrics of an expression.

    A selector has to begin with its name; `{__name__="x"}` is not understood.
    """
    bare = expression
    for noise in (_STRING, _MATCHERS, _LABELS):
        bare = noise.sub(" ", bare)
    return {name for name in _NAME.findall(bare) if name.lower() not in _WORDS}
