"""What a golden need not say again: files that are rendered, but for what an overlay changes."""

import difflib
import re
from collections.abc import Mapping

from tests.manifests.conftest import built

_SAID = "manifests/residency"
_OBJECT = re.compile(r"^kind: (?P<kind>\w+)$.*?^  name: (?P<name>\S+)$", re.MULTILINE | re.DOTALL)
_BETWEEN = "---\n"


def shortened(text: str) -> str:
    """Of each object that is rendered, keep the lines that an overlay takes away or adds."""
    said = _by_name(built(_SAID))
    return _BETWEEN.join(
        _changes(title, said[title], one) if title in said else one
        for one in text.split(_BETWEEN)
        for title in [_title(one)]
    )


def _changes(title: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = [line for line in list(lines)[2:] if not line.startswith("@@")]
    return "\n".join([f"# {title}: as in {_SAID}, but for", *changed, ""])


def _by_name(text: str) -> Mapping[str, str]:
    return {_title(one): one for one in text.split(_BETWEEN)}


def _title(text: str) -> str:
    found = _OBJECT.search(text)
    assert found, text
    return f"{found['kind']}/{found['name']}"
