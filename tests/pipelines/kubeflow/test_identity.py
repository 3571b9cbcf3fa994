"""Who we are to KFP is read at the edge, sent with every request, and printed nowhere."""

import pathlib
import time

import pytest
from urllib3.exceptions import InsecureRequestWarning

from components.foundation.errors import FalajError, Refused, UserError
from pipelines.kubeflow import identity
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.identity import Identity
from tests.inference.transport.pki import Authority
from tests.pipelines.kubeflow.standin import Fault, Standin, serving

SECRET = "eyJ-not-for-eyes"
BEARER = f"Bearer {SECRET}"


@pytest.fixture
def token_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    return path


def asks(address: str, who: Identity) -> None:
    Client(address, who, namespace="falaj").schedules()


def test_a_token_file_is_the_first_that_is_taken(token_file: pathlib.Path) -> None:
    environment = {
        "KF_PIPELINES_TOKEN": "other",
        "KF_PIPELINES_SA_TOKEN_PATH": "/nowhere",
        "SSL_CERT_FILE": "/ca.pem",
    }

    who = Identity.of(environment, token_file=token_file)

    assert who.headers() == {"Authorization": BEARER}
    assert who.authorities == pathlib.Path("/ca.pem")


def test_the_environment_is_next_and_a_pods_token_last(
    token_file: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"KF_PIPELINES_SA_TOKEN_PATH": str(token_file)}
    assert Identity.of({**named, "KF_PIPELINES_TOKEN": "mine"}).headers() == {
        "Authorization": "Bearer mine"
    }
    assert Identity.of(named).headers() == {"Authorization": BEARER}
    assert Identity.of({}).headers() == {}

    monkeypatch.setattr(identity, "PROJECTED", token_file)
    assert Identity.of({}).headers() == {"Authorization": BEARER}


def test_a_cookie_goes_beside_a_token() -> None:
    who = Identity.of({"KF_PIPELINES_TOKEN": SECRET, "KF_PIPELINES_COOKIE": "authservice=x"})

    assert who.headers() == {"Authorization": BEARER, "Cookie": "authservice=x"}


def test_a_projected_token_is_read_anew_for_every_request(token_file: pathlib.Path) -> None:
    """The kubelet writes a new one before the old expires."""
    kfp = Standin(secret=BEARER)
    with serving(kfp) as address:
        who = Identity(token_file=token_file)
        client = Client(address, who, namespace="falaj")
        client.schedules()
        kfp.secret = "Bearer renewed"
        token_file.write_text("renewed")
        client.schedules()


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (Identity(), "we sent neither a token nor a cookie"),
        (Identity(token="old"), "we sent the token in KF_PIPELINES_TOKEN"),
        (Identity(cookie="old=1"), "we sent the cookie in KF_PIPELINES_COOKIE"),
    ],
    ids=["nothing", "token", "cookie"],
)
def test_who_is_not_known_is_told_what_was_sent(sent: Identity, told: str) -> None:
    with serving(Standin(secret=BEARER)) as address, pytest.raises(Refused, match=told) as refused:
        asks(address, sent)
    assert refused.value.code == "kfp-unauthenticated"
    assert "old" not in str(refused.value)


@pytest.mark.parametrize("who", [Identity(token=SECRET), Identity(cookie=SECRET)])
def test_a_secret_is_in_no_message_and_no_repr(who: Identity) -> None:
    kfp = Standin()
    kfp.faults = [Fault("GET", "/healthz", status=400)]

    with serving(kfp) as address, pytest.raises(FalajError) as failed:
        asks(address, who)

    assert SECRET not in f"{failed.value} {failed.value.__cause__} {who!r} {who.told}"


def test_without_a_word_of_a_token_none_is_sent() -> None:
    with serving(Standin()) as address:
        asks(address, Identity())


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "non\u00e9"])
def test_a_token_that_no_header_may_have_is_not_sent(text: str, token_file: pathlib.Path) -> None:
    token_file.write_text(text)

    with pytest.raises(UserError) as refused:
        Identity(token_file=token_file).headers()
    assert refused.value.code == "kfp-token-malformed"
    assert "lines" not in str(refused.value)


def test_a_token_file_that_is_not_there_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="nowhere: FileNotFoundError"):
        Identity(token_file=tmp_path / "nowhere").headers()


@pytest.mark.parametrize(
    ("address", "fits"),
    [
        ("http://kubeflow.falaj.example", False),
        ("http://10.1.2.3:8888", False),
        ("http://svc.falaj.example", False),
        ("https://kubeflow.falaj.example", True),
        ("http://127.0.0.1:8888", True),
        ("http://localhost:8888", True),
        ("http://ml-pipeline.kubeflow.svc:8888", True),
        ("http://ml-pipeline.kubeflow.svc.cluster.local:8888", True),
    ],
)
def test_a_secret_travels_in_clear_only_where_nobody_is_on_the_way(
    address: str, fits: bool
) -> None:
    Identity().hold(address)
    if fits:
        Identity(token=SECRET).hold(address)
        return
    for who in (Identity(token=SECRET), Identity(cookie=SECRET)):
        with pytest.raises(Refused, match="would travel in clear"):
            who.hold(address)


# certificates


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("falaj test")


def certified(folder: pathlib.Path, authority: Authority) -> tuple[pathlib.Path, pathlib.Path]:
    return authority.issue("kubeflow").write(folder)


def pem(folder: pathlib.Path, authority: Authority) -> pathlib.Path:
    path = folder / "authority.pem"
    path.write_bytes(authority.cert)
    return path


def test_an_authority_of_our_own_is_believed(tmp_path: pathlib.Path, authority: Authority) -> None:
    kfp = Standin(secret=BEARER)
    with serving(kfp, certified(tmp_path, authority)) as address:
        asks(address, Identity(token=SECRET, authorities=pem(tmp_path, authority)))

    assert address.startswith("https://")
    assert kfp.seen["GET /apis/v2beta1/recurringruns"] == 1


@pytest.mark.parametrize("other", [True, False], ids=["another authority", "none of ours"])
def test_a_certificate_of_somebody_else_is_not_believed_and_no_token_is_sent(
    other: bool, tmp_path: pathlib.Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    kfp = Standin(secret=BEARER)
    trusted = pem(tmp_path, Authority("somebody")) if other else None

    with (
        serving(kfp, certified(tmp_path, authority)) as address,
        pytest.raises(UserError, match="its certificate is not believed") as refused,
    ):
        asks(address, Identity(token=SECRET, authorities=trusted))

    assert refused.value.code == "kfp-distrusted"
    assert "--ca-file" in str(refused.value)
    assert not kfp.seen
    assert not waited, "another try would meet the same certificate"


def test_a_certificate_that_has_expired_is_not_believed(
    tmp_path: pathlib.Path, authority: Authority
) -> None:
    expired = authority.issue("kubeflow", days=-1).write(tmp_path)

    with serving(Standin(), expired) as address, pytest.raises(UserError, match="expired"):
        asks(address, Identity(authorities=pem(tmp_path, authority)))


def test_any_certificate_is_believed_only_by_that_name(
    tmp_path: pathlib.Path, authority: Authority
) -> None:
    with serving(Standin(), certified(tmp_path, authority)) as address:
        with pytest.warns(InsecureRequestWarning):
            asks(address, Identity(unsafe_skip_tls_verification=True))
        with pytest.raises(UserError):
            asks(address, Identity())


@pytest.mark.parametrize("text", [None, "no PEM"], ids=["not there", "no PEM"])
def test_a_file_of_no_authorities_is_named(text: str | None, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)

    with pytest.raises(UserError, match="name a PEM file"):
        Identity(authorities=path).hold("https://kubeflow.falaj.example")
