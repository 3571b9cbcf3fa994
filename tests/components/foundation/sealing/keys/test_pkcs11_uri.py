"""Names of keys in tokens."""

import pathlib

import pytest

from components.foundation.errors import UserError
from components.foundation.sealing.keys.pkcs11_uri import KeyUri

QUERY = "module-path=/usr/lib/module.so&pin-source=file:/run/secrets/pin"
PIN = "90210-a-pin"


def parsed(name: str, kind: str = "private", **environment: str) -> KeyUri:
    return KeyUri.parse(name, environment, kind=kind)


def test_a_uri_is_read_as_rfc_7512_writes_it() -> None:
    name = f"pkcs11:token=The%20Oasis;serial=0a1b;object=si%3bgn;id=%01%ff;type=private?{QUERY}"

    read = parsed(name)

    assert read == KeyUri(
        token="The Oasis",
        serial="0a1b",
        object="si;gn",
        id=b"\x01\xff",
        module=pathlib.Path("/usr/lib/module.so"),
        pin=pathlib.Path("/run/secrets/pin"),
    )


@pytest.mark.parametrize("source", ["file:/s/pin", "file:///s/pin", "/s/pin", "%2Fs%2Fpin"])
def test_the_pin_lies_in_a_file(source: str) -> None:
    read = parsed(f"pkcs11:token=t;object=o?module-path=/m.so&pin-source={source}")

    assert read.pin == pathlib.Path("/s/pin")


def test_where_the_uri_names_no_module_the_environment_does() -> None:
    name = "pkcs11:token=t;object=o?pin-source=/pin"

    assert parsed(name, PKCS11_MODULE_PATH="/m.so").module == pathlib.Path("/m.so")
    assert parsed(f"{name}&module-path=/n.so", PKCS11_MODULE_PATH="/m.so").module.name == "n.so"


@pytest.mark.parametrize(
    ("name", "why"),
    {
        "nothing": ("pkcs11:", "names no token"),
        "no-token": (f"pkcs11:object=o?{QUERY}", "names no token"),
        "no-key": (f"pkcs11:token=t?{QUERY}", "neither an object nor an id"),
        "no-module": ("pkcs11:token=t;object=o?pin-source=/p", "no absolute module-path"),
        "a-module-to-look-for": (
            "pkcs11:token=t;object=o?module-path=m.so&pin-source=/p", "no absolute module-path"
        ),
        "no-pin": ("pkcs11:token=t;object=o?module-path=/m.so", "no file of the PIN"),
        "a-program": (
            "pkcs11:token=t;object=o?module-path=/m.so&pin-source=|/bin/pin", "no file of the PIN"
        ),
        "another-scheme": (
            "pkcs11:token=t;object=o?module-path=/m.so&pin-source=https://x/y", "no file of the PIN"
        ),
        "twice": (f"pkcs11:token=t;token=u;object=o?{QUERY}", "'token' twice"),
        "unknown": (f"pkcs11:token=t;object=o;slot-id=1?{QUERY}", "'slot-id'"),
        "module-in-the-path": ("pkcs11:token=t;object=o;module-path=/m.so", "'module-path'"),
        "a-public-key": (f"pkcs11:token=t;object=o;type=public?{QUERY}", "expected 'private'"),
        "a-nul": (f"pkcs11:token=t;object=o%00?{QUERY}", "object is no text"),
        "no-utf-8": (f"pkcs11:token=%ff;object=o?{QUERY}", "token is no text"),
        "long": (f"pkcs11:token=t;object={'o' * 200}?{QUERY}", "longer than 200"),
    }.values(),
)  # fmt: skip
def test_refuses_what_names_no_key_and_says_why(name: str, why: str) -> None:
    with pytest.raises(UserError, match=why) as raised:
        parsed(name)

    assert raised.value.code == "key-place-unknown"


@pytest.mark.parametrize(
    "name",
    [
        f"pkcs11:token=t;object=o?{QUERY}&pin-value={PIN}",
        f"pkcs11:token=t;object=o;pin-value={PIN}?{QUERY}",
        f"pkcs11:token=t;object=o?module-path=/m.so&pin-source={PIN}",
        f"pkcs11:token=t;object=o?module-path=/m.so&pin={PIN}",
    ],
)
def test_a_pin_is_refused_in_a_name_and_not_shown(name: str) -> None:
    with pytest.raises(UserError) as raised:
        parsed(name)

    assert PIN not in str(raised.value)


def test_a_recipient_is_named_alike_on_machines_with_another_module_and_pin() -> None:
    here = parsed(f"pkcs11:token=t;object=o;id=%01?{QUERY}")
    there = parsed("pkcs11:id=%01;object=o;token=t;serial=1?module-path=/m.so&pin-source=/p")

    assert here.recipient == there.recipient == "pkcs11:t/o/01"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("token=a;object=b", "token=a/b;id=%00"),
        ("token=a;object=01", "token=a;id=%01"),
        ("token=a~;object=b", "token=a=7E;object=b"),
        ("token=a%20;object=b", "token=a=20;object=b"),
    ],
)
def test_two_keys_are_never_one_recipient(one: str, other: str) -> None:
    assert parsed(f"pkcs11:{one}?{QUERY}").recipient != parsed(f"pkcs11:{other}?{QUERY}").recipient
