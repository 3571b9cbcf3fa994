"""Header before cookie before chance."""

import pytest

from inference.router.subject import Known, Subjects

SUBJECTS = Subjects(b"x-user-id", b"who", secure=False, days=2)
KEPT = b"0123456789abcdef_-ABCD"


def test_the_header_comes_before_the_cookie() -> None:
    subject = SUBJECTS.of({b"x-user-id": b"bob", b"cookie": b"who=" + KEPT})

    assert (subject.name, subject.known, subject.cookie) == (b"bob", Known.HEADER, b"")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"who=" + KEPT, id="alone"),
        pytest.param(b"a=b; who=" + KEPT + b"; c=d", id="among others"),
        pytest.param(b"a=b, who=" + KEPT, id="in a second header"),
    ],
)
def test_the_cookie_is_found(header: bytes) -> None:
    assert SUBJECTS.of({b"cookie": header}).name == KEPT


@pytest.mark.parametrize("header", [b"who=", b"who=short", b"who=" + b"x" * 200, b"xwho=" + KEPT])
def test_a_cookie_that_is_not_ours_is_replaced(header: bytes) -> None:
    subject = SUBJECTS.of({b"cookie": header})

    assert subject.known is Known.NEW
    assert subject.cookie.startswith(b"who=" + subject.name + b"; Path=/; Max-Age=172800;")


def test_a_new_cookie_is_taken_back() -> None:
    given = SUBJECTS.of({})

    again = SUBJECTS.of({b"cookie": given.cookie.partition(b";")[0]})

    assert (again.name, again.known) == (given.name, Known.COOKIE)


def test_the_cookie_is_hidden_from_scripts_and_kept_to_tls_where_asked() -> None:
    secure = Subjects(b"", b"who", secure=True, days=1).of({}).cookie

    assert secure.endswith(b"; HttpOnly; SameSite=Lax; Secure")
    assert b"Secure" not in SUBJECTS.of({}).cookie


def test_without_a_cookie_every_request_is_somebody_else() -> None:
    nobody = Subjects(b"x-user-id", b"", secure=False, days=1)

    one, other = nobody.of({b"cookie": b"who=" + KEPT}), nobody.of({})

    assert one.known is other.known is Known.CHANCE
    assert one.name != other.name
    assert not one.cookie
