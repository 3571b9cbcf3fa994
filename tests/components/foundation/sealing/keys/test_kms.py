"""The way to AWS KMS, and what goes wrong on it."""

import base64
import logging
import pathlib
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from botocore import httpsession
from botocore.parsers import ResponseParserError

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.sealing.keys import awskms, kms
from components.foundation.sealing.keys.files import write
from components.foundation.sealing.keys.kms import Kms
from tests import ports
from tests.components.foundation.sealing.keys import awskms_standin
from tests.components.foundation.sealing.keys.awskms_standin import ACCESS_KEY, REGION, Service
from tests.components.foundation.sealing.keys.standins import (
    Answer,
    cut,
    hang,
    serving,
    status,
    told,
)

KEY = bytes(range(32))
SECRET = "a-secret-that-nobody-may-see"
ARN = f"arn:aws:kms:{REGION}:111122223333:key/5f1d7b5e-0000-4000-8000-000000000000"


@pytest.fixture
def identity(tmp_path: pathlib.Path) -> dict[str, str]:
    file = tmp_path / "credentials"
    keys = f"aws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET}"
    write(file, f"[default]\n{keys}\n[other]\n{keys}".encode())
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file)}


def wrap(name: str, environment: dict[str, str]) -> bytes:
    return awskms.recipient(name, environment).wrap(KEY, context=b"c")


# Which key, and where.


@pytest.mark.parametrize(
    "name",
    [
        *("awskms:", "awskms://", "awskms:///", "awskms://host", "awskms:/arn", "awskms://h:p/k"),
        *("awskms://user:pass@host/k", "awskms:///a b", "awskms:///alias/", f"awskms:///{ARN}?x=1"),
        *("awskms:///arn:aws:s3:me-central-1:111122223333:key/k", "awskms:///k\n"),
    ],
)
def test_refuses_a_name_that_is_no_key(name: str) -> None:
    with pytest.raises(UserError, match="expected awskms:///arn") as raised:
        Kms.parse(name, {"AWS_REGION": REGION})

    assert raised.value.code == "key-place-unknown"


def test_an_arn_says_its_region_itself() -> None:
    assert Kms.parse(f"awskms:///{ARN}", {"AWS_REGION": "us-east-1"}).region == REGION


@pytest.mark.parametrize("key", ["alias/releases", "5f1d7b5e-0000-4000-8000-000000000000"])
def test_without_an_arn_the_environment_says_the_region(key: str) -> None:
    assert Kms.parse(f"awskms:///{key}", {"AWS_DEFAULT_REGION": REGION}).region == REGION

    with pytest.raises(UserError, match="write the key as an ARN") as raised:
        Kms.parse(f"awskms:///{key}", {})
    assert raised.value.code == "kms-unset"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1:4566", "http://127.0.0.1:4566"),
        ("[::1]:4566", "http://[::1]:4566"),
        ("[::1]", "http://[::1]"),
        ("localhost", "http://localhost"),
        ("kms.example", "https://kms.example"),
        ("10.0.0.7:443", "https://10.0.0.7:443"),
        ("localhost.example:80", "https://localhost.example:80"),
        ("[fe80::1]:80", "https://[fe80::1]:80"),
    ],
)
def test_speaks_in_the_clear_on_this_machine_only(host: str, url: str) -> None:
    assert Kms.parse(f"awskms://{host}/{ARN}", {}).endpoint == url


@pytest.mark.parametrize("profile", ["health", "cbuae", "gov"])
@pytest.mark.parametrize(
    ("region", "where"),
    [("me-south-1", "Bahrain"), ("us-east-1", "us-east-1"), ("nowhere-1", "no country")],
)
def test_keys_of_data_that_stay_in_the_uae_do_too(profile: str, region: str, where: str) -> None:
    abroad = f"awskms:///{ARN.replace(REGION, region)}"

    with pytest.raises(Refused, match=where) as raised:
        Kms.parse(abroad, {"FALAJ_RESIDENCY": profile})

    assert raised.value.code == "kms-abroad"
    assert Kms.parse(f"awskms:///{ARN}", {"FALAJ_RESIDENCY": profile}).region == REGION
    assert Kms.parse(abroad, {"FALAJ_RESIDENCY": "pdpl"}).region == region
    with pytest.raises(Refused):
        Kms.parse("awskms:///alias/k", {"FALAJ_RESIDENCY": profile, "AWS_REGION": region})


def asked_at(monkeypatch: pytest.MonkeyPatch, name: str, identity: dict[str, str]) -> str:
    """Return the URL that a call goes to; nothing is sent."""
    seen: list[str] = []

    def send(_: object, request: Any) -> None:
        seen.append(request.url)
        raise httpsession.HTTPClientError(error="not sent")

    monkeypatch.setattr(httpsession.URLLib3Session, "send", send)
    monkeypatch.setattr(kms, "_TRIES", 1)
    with pytest.raises(InfrastructureError):
        wrap(name, identity)
    return seen[0]


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KMS"])
def test_asks_the_region_itself_whatever_the_object_store_is(
    identity: dict[str, str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Every step has AWS_ENDPOINT_URL: it would get the keys of releases."""
    monkeypatch.setenv(variable, "http://seaweedfs:8333")

    url = asked_at(monkeypatch, f"awskms:///{ARN}", identity)

    assert url == f"https://kms.{REGION}.amazonaws.com/"


def test_asks_an_endpoint_that_is_named(
    identity: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        asked_at(monkeypatch, f"awskms://vpce.example/{ARN}", identity) == "https://vpce.example/"
    )


# Who we are.


@pytest.fixture
def service() -> Iterator[Service]:
    with awskms_standin.running() as running:
        yield running


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> dict[str, str]:
    """An environment that says nothing of who we are, on a machine that knows nothing either."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    return {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}


def test_the_keys_of_the_object_store_are_not_shown_to_kms(
    service: Service, alone: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID is not read") as raised:
        wrap(service.name(service.wrapping()), alone)

    assert raised.value.code == "kms-denied"
    assert service.asked == []


def test_a_profile_says_who_we_are(service: Service, identity: dict[str, str]) -> None:
    name = service.name(service.wrapping())

    assert wrap(name, {**identity, "AWS_PROFILE": "other"})
    with pytest.raises(UserError, match="nothing says who we are"):
        wrap(name, {**identity, "AWS_PROFILE": "nobody"})


def test_a_pod_shows_the_token_of_its_service_account_to_its_region_only(
    alone: dict[str, str], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "token", b"a.service.account")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/opener")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://seaweedfs:8333")

    url = asked_at(monkeypatch, f"awskms:///{ARN}", alone)

    assert url == f"https://sts.{REGION}.amazonaws.com/"


def test_a_pod_gets_its_identity_from_its_node(
    service: Service,
    alone: dict[str, str],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path / "token", b"a.pod")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    keys = {"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET, "Token": "t"}
    agent = told(status(200, {**keys, "Expiration": "2100-01-01T00:00:00Z"}))

    with serving(agent) as port:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://127.0.0.1:{port}/")
        assert wrap(service.name(service.wrapping()), alone)

    assert agent.tokens == ["a.pod"]


def test_half_an_identity_is_none(service: Service, alone: dict[str, str]) -> None:
    file = pathlib.Path(alone["AWS_SHARED_CREDENTIALS_FILE"])
    write(file, f"[default]\naws_access_key_id={ACCESS_KEY}".encode())

    with pytest.raises(UserError, match="nothing says who we are"):
        wrap(service.name(service.wrapping()), alone)


def test_credentials_that_everybody_may_read_are_refused(
    service: Service, identity: dict[str, str]
) -> None:
    pathlib.Path(identity["AWS_SHARED_CREDENTIALS_FILE"]).chmod(0o644)

    with pytest.raises(UserError, match="everybody"):
        wrap(service.name(service.wrapping()), identity)


def test_somebody_unknown_is_said_to_be(service: Service, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "theirs"
    write(file, b"[default]\naws_access_key_id=AKIASOMEBODY\naws_secret_access_key=s")

    with pytest.raises(UserError, match="security token is invalid") as raised:
        wrap(service.name(service.wrapping()), {"AWS_SHARED_CREDENTIALS_FILE": str(file)})

    assert raised.value.code == "kms-denied"


# What goes wrong there.

BROKEN = {
    "throttling": status(400, {"__type": "ThrottlingException", "message": "Rate exceeded"}),
    "busy": status(400, {"__type": "LimitExceededException", "message": "busy"}),
    "key-away": status(500, {"__type": "KeyUnavailableException", "message": "again"}),
    "internal": status(500, {"__type": "KMSInternalException", "message": "internal"}),
    "time-out": status(503, {"__type": "DependencyTimeoutException", "message": "slow"}),
    "unknown": status(400, {"__type": "BrandNewException", "message": "?"}),
    "bad-gateway": status(502, "<html>bad gateway</html>"),
    "a-page": status(200, "<html>please log in</html>"),
    "another-api": status(200, {"items": []}),
    "a-list": status(200, []),
    "no-base64": status(200, {"CiphertextBlob": "!"}),
    "a-number": status(200, {"CiphertextBlob": 7}),
    "redirect": status(307, "", location="http://127.0.0.1:1/"),
    "nothing": status(204, ""),
    "hangs": hang,
    "cuts": cut,
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kms, "_TRIES", 2)
    monkeypatch.setattr(kms, "_CONNECT_S", 0.3)
    monkeypatch.setattr(kms, "_ANSWER_S", 0.3)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_service_that_is_not_well_may_be_asked_again_later(
    identity: dict[str, str], answer: Answer
) -> None:
    began = time.monotonic()

    with serving(told(answer)) as port, pytest.raises(InfrastructureError) as raised:
        wrap(f"awskms://127.0.0.1:{port}/{ARN}", identity)

    assert raised.value.code == "kms-failed"
    assert "run again" in str(raised.value)
    assert time.monotonic() - began < 10


def test_what_fails_in_passing_is_asked_again_a_few_times(identity: dict[str, str]) -> None:
    handler = told(BROKEN["throttling"])

    with serving(handler) as port, pytest.raises(InfrastructureError):
        wrap(f"awskms://127.0.0.1:{port}/{ARN}", identity)

    assert len(handler.asked) == 3


@pytest.mark.usefixtures("impatient")
def test_silence_is_waited_for_as_long_as_we_say(identity: dict[str, str]) -> None:
    ended = threading.Event()

    def silent(handler: Any) -> None:
        ended.wait(40)

    began = time.monotonic()
    with serving(told(silent)) as port:
        with pytest.raises(InfrastructureError, match="ReadTimeoutError"):
            wrap(f"awskms://127.0.0.1:{port}/{ARN}", identity)
        took = time.monotonic() - began
        ended.set()

    assert took < 20


def test_an_answer_that_cannot_be_read_is_none_of_kms(
    identity: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(_: object, request: Any) -> None:
        raise ResponseParserError("no CBOR")

    monkeypatch.setattr(httpsession.URLLib3Session, "send", send)

    with pytest.raises(InfrastructureError, match="what answered is not KMS"):
        wrap(f"awskms:///{ARN}", identity)


@pytest.mark.usefixtures("impatient")
def test_one_that_is_away_is_said_to_be(identity: dict[str, str]) -> None:
    with pytest.raises(InfrastructureError, match="did not answer"):
        wrap(f"awskms://127.0.0.1:{ports.free()}/{ARN}", identity)


def test_a_server_without_a_certificate_of_its_name_is_not_trusted(
    identity: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(_: object, request: Any) -> None:
        raise httpsession.SSLError(endpoint_url=request.url, error="CERTIFICATE_VERIFY_FAILED")

    monkeypatch.setattr(httpsession.URLLib3Session, "send", send)

    with pytest.raises(UserError, match="AWS_CA_BUNDLE") as raised:
        wrap(f"awskms:///{ARN}", identity)

    assert raised.value.code == "kms-untrusted"


def test_asks_nothing_in_the_clear_through_a_proxy(
    service: Service, identity: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert wrap(service.name(service.wrapping()), identity)


# Secrets.


def hides(text: str) -> bool:
    forms = (SECRET, KEY.hex(), base64.b64encode(KEY).decode(), repr(KEY))
    return not any(form in text for form in forms)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_no_failure_shows_a_key(
    identity: dict[str, str], answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with serving(told(answer)) as port, pytest.raises(FalajError) as raised:
        wrap(f"awskms://127.0.0.1:{port}/{ARN}", identity)

    assert hides("".join(traceback.format_exception(raised.value)))
    assert hides(_chain(raised.value))
    assert hides(caplog.text)


def test_no_log_shows_a_key(
    service: Service, identity: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The library logs what it sends and gets."""
    one = awskms.recipient(service.name(service.wrapping()), identity)

    with caplog.at_level(logging.DEBUG):
        one.unwrap(one.wrap(KEY, context=b"c"), context=b"c", where="here")

    assert hides(caplog.text)
    assert SECRET not in repr(one)


def _chain(error: BaseException | None) -> str:
    """Show an error and all that lies behind it, whether a traceback would or not."""
    return f"{error!r} {error} {_chain(error.__context__)}" if error else ""
