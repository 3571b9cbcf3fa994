import pytest

from components.foundation.errors import UserError
from components.foundation.sealing.uri import ReleaseUri

GOOD = "sealed+s3://falaj-models/delays/0123456789ab"


def test_a_uri_round_trips() -> None:
    assert str(ReleaseUri.parse(GOOD)) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "s3://falaj-models/delays/0123456789ab",
        "SEALED+S3://falaj-models/delays/0123456789ab",
        "sealed+S3://falaj-models/delays/0123456789ab",
        f"{GOOD}?endpoint=elsewhere",
        f"{GOOD}#a",
        f"{GOOD}/",
        f"{GOOD}\n",
        f" {GOOD}",
        "sealed+s3://falaj-models/delays/0123456789AB",
        "sealed+s3://falaj-models/delays/0123456789",
        "sealed+s3://falaj-models/../0123456789ab",
        "sealed+s3://falaj-models/a/b/0123456789ab",
        "sealed+s3://user@falaj-models/delays/0123456789ab",
        "sealed+s3://falaj-models/Delays/0123456789ab",
        "sealed+file://host/delays/0123456789ab",
        "sealed+file:///../delays/0123456789ab",
        "sealed+file:///.hidden/delays/0123456789ab",
        "sealed+file:///models//delays/0123456789ab",
        "sealed+pvc:///delays/0123456789ab",
        "sealed+pvc://claim/../delays/0123456789ab",
        "sealed+hf://claim/delays/0123456789ab",
        "",
    ],
)
def test_refuses_what_is_no_release(text: str) -> None:
    with pytest.raises(UserError, match=r"expected sealed\+s3://"):
        ReleaseUri.parse(text)


@pytest.mark.parametrize(
    ("text", "lies_at"),
    [
        (GOOD, "s3://falaj-models/delays/0123456789ab/"),
        ("sealed+file:///delays/0123456789ab", "file:///delays/0123456789ab/"),
        ("sealed+file:///a/B_c/delays/0123456789ab", "file:///a/B_c/delays/0123456789ab/"),
        ("sealed+pvc://claim/delays/0123456789ab", "pvc://claim/delays/0123456789ab/"),
        ("sealed+pvc://a.b/x/delays/0123456789ab", "pvc://a.b/x/delays/0123456789ab/"),
    ],
)
def test_a_uri_says_where_its_objects_lie(text: str, lies_at: str) -> None:
    assert str(ReleaseUri.parse(text)) == text
    assert str(ReleaseUri.parse(text).address) == lies_at
