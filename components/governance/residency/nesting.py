"""Put the variables of a policy into one expression, for where CEL reads no variables.

A match condition cannot read them, but it is evaluated once, and where it is false nothing else
is: the API server evaluates variables anew for the decision, for the message and for the audit log.
"""

import re
from collections.abc import Iterator, Sequence

Variables = Sequence[tuple[str, str]]

# A text in quotes, a loop that is no binding of ours, any other bracket, or a closing one.
_TOKENS = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[.](?:map|filter|all|exists)[(](?!v_)|[(]|[)]"""
)


def nested(expression: str, variables: Variables) -> str:
    """Return a condition that reads no variables, true where `expression` is.

    What is read once, and not in a loop, is put in its place; the rest is bound around it. CEL
    has no `let`: a list of one value of which something `exists` stands for it. An error is an
    error there too, unlike in a list of several.

    Args:
        expression: CEL that gives a boolean.
        variables: those it may read, each reading only those before it.
    """
    for name, text in reversed(variables):
        read = re.compile(rf"\bvariables[.]{name}\b")
        found = [match.start() for match in read.finditer(expression)]
        if not found:
            continue
        if "(" in text and (len(found) > 1 or _in_a_loop(expression, found[0])):
            expression = f"[{text}].exists(v_{name}, {read.sub(f'v_{name}', expression)})"
        else:
            expression = f"({text})".join(read.split(expression))
    return expression


def _in_a_loop(expression: str, at: int) -> bool:
    """Say whether what stands at a place is evaluated for each item of a list."""
    return any(_open_loops(expression[:at]))


def _open_loops(text: str) -> Iterator[bool]:
    """Yield for each bracket that a text leaves open whether it is that of a loop."""
    open_: list[bool] = []
    for found in _TOKENS.findall(text):
        match found[-1]:
            case "(":
                open_.append(len(found) > 1)
            case ")":
                open_.pop()
    return iter(open_)
