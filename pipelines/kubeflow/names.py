"""What marks an upload: a version's name is its content's, and tags say the rest.

The same content has the same name everywhere, so who uploads it twice finds it. The name begins
with the pipeline's, for in KFP's Kubernetes mode versions of all pipelines share their names.
"""

from collections.abc import Sequence

from components.foundation import digests
from components.foundation.errors import UserError

CONTENT, PROJECT = "content", "project"
_TAGS, LENGTH = 20, 63  # what KFP takes


def tag(digest: digests.Digest) -> str:
    """Return a digest as a tag; a whole one has a character more than KFP takes."""
    return digest.hex[:40]


def tags(pairs: Sequence[str]) -> dict[str, str]:
    """Read `--tag NAME=VALUE`; raises UserError for what KFP would not take."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        fits = max(len(name), len(value)) <= LENGTH and "." not in name
        if not (name and equals and fits) or name in (CONTENT, PROJECT):
            raise UserError(
                f"--tag {pair!r}: expected NAME=VALUE, each of at most {LENGTH} characters, no "
                f"'.' in the name, and a name that is not ours ({CONTENT}, {PROJECT})",
                code="kfp-tag-malformed",
            )
        if name in found:
            raise UserError(
                f"--tag {name}: is given twice, {found[name]!r} and {value!r}; give it once",
                code="kfp-tag-malformed",
            )
        found[name] = value
    if len(found) > _TAGS - 2:
        raise UserError(
            f"--tag: {len(found)} given; KFP takes {_TAGS}, and two are ours",
            code="kfp-tag-malformed",
        )
    return found
