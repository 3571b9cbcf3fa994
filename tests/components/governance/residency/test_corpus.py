"""Every way out is refused with a reason, and its twin is allowed; offline, object by object."""

import pytest

from components.foundation.site import Profile
from components.governance.residency import checking, profiles
from tests.components.governance.residency.corpus import Case, cases


@pytest.mark.parametrize("case", cases(), ids=str)
def test_an_object_is_refused_where_it_sends_bytes_abroad(case: Case) -> None:
    judged = list(checking.judge(case.thing, profiles.profile(Profile(case.profile))))

    assert judged, "no policy covers this kind"
    messages = [one.message for one in judged if one.findings]
    assert bool(messages) == case.refused, messages
    for words in case.says:
        assert words in " ".join(messages)
