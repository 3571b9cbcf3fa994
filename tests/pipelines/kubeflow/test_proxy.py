"""KFP is reached through the proxy that the environment names, if the site's law allows it."""

import pathlib
import urllib.parse
from collections.abc import Iterator, Mapping

import pytest

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.site import Site
from pipelines.__main__ import main
from pipelines.kubeflow import way
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.identity import Identity
from pipelines.kubeflow.proxy import Proxy
from tests import ports
from tests.inference.transport.pki import Authority
from tests.pipelines.kubeflow.conftest import API, CLUSTER, ROOT
from tests.pipelines.kubeflow.passing import Passing, passing
from tests.pipelines.kubeflow.standin import Standin, serving

HOST = "kubeflow.falaj.example"
SECRET = "eyJ-not-for-eyes"
PASSWORD = "falaj:p@ss"
NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority("falaj test")


@pytest.fixture
def there(authority: Authority, tmp_path: pathlib.Path) -> Iterator[tuple[Standin, Passing, Site]]:
    """A KFP that only a proxy can reach, for nobody resolves its name; and a site that names it."""
    kfp = Standin(secret=f"Bearer {SECRET}")
    certificate = authority.issue("kubeflow", host=HOST).write(tmp_path)
    with serving(kfp, certificate) as address:
        port = urllib.parse.urlsplit(address).port or 0
        site = Site.parse(CLUSTER.replace(API, f"https://{HOST}:{port}/pipeline"))
        yield kfp, Passing(port), site
    assert kfp.breaches == []


def client(
    site: Site, authority: Authority, folder: pathlib.Path, environment: Mapping[str, str]
) -> Client:
    path = folder / "authority.pem"
    path.write_bytes(authority.cert)
    return Client.at(site, Identity(token=SECRET, authorities=path), environment)


# which


@pytest.mark.parametrize(
    ("environment", "target", "address"),
    [
        ({}, API, None),
        ({"HTTPS_PROXY": "http://p:3128"}, API, "http://p:3128"),
        ({"https_proxy": "http://p:3128"}, API, "http://p:3128"),
        ({"https_proxy": "http://q", "HTTPS_PROXY": "http://p"}, API, "http://q"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://p"}, API, None),
        ({"HTTP_PROXY": "http://p"}, API, None),
        ({"HTTP_PROXY": "http://p"}, f"http://{HOST}", "http://p"),
        ({"ALL_PROXY": "https://p"}, API, "https://p"),
        ({"HTTPS_PROXY": "p:3128"}, API, "http://p:3128"),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128/"}, API, "http://[fd00::1]:3128"),
        ({"HTTPS_PROXY": "http://u:secret@p:3128"}, API, "http://p:3128"),
    ],
)
def test_the_variable_of_the_targets_scheme_names_it(
    environment: Mapping[str, str], target: str, address: str | None
) -> None:
    found = Proxy.of(environment, target=target)

    assert (found.address if found else None) == address


@pytest.mark.parametrize(
    ("target", "without"),
    [
        ("https://127.0.0.1:8888", ""),
        ("https://[::1]:8888", ""),
        ("https://localhost:8888", ""),
        ("http://ml-pipeline.kubeflow.svc:8888", ""),
        (API, HOST),
        (API, ".falaj.example"),
        (API, "other.example, FALAJ.example"),
        (API, f"{HOST}:443"),
        (API, "*"),
        ("https://10.1.2.3", "10.0.0.0/8"),
        ("https://10.1.2.3", "10.1.2.3"),
    ],
)
def test_this_machine_services_and_what_no_proxy_names_are_reached_straight(
    target: str, without: str
) -> None:
    every = {"HTTPS_PROXY": "http://p", "HTTP_PROXY": "http://p", "NO_PROXY": without}

    assert Proxy.of(every, target=target) is None


@pytest.mark.parametrize(
    "without", ["", "laj.example", f"{HOST}:8443", "10.0.0.0/8", "falaj.example.org", ","]
)
def test_what_no_proxy_does_not_name_goes_through(without: str) -> None:
    environment = {"HTTPS_PROXY": "http://p", "NO_PROXY": without}

    assert Proxy.of(environment, target=API) is not None


@pytest.mark.parametrize("said", ["socks5://p:1080", "http://", "http://p:port", "http://[::1"])
def test_what_is_no_http_proxy_is_refused_and_not_passed_over(said: str) -> None:
    with pytest.raises(UserError, match="HTTPS_PROXY: names no HTTP proxy") as refused:
        Proxy.of({"HTTPS_PROXY": said}, target=API)
    assert refused.value.code == "kfp-proxy-malformed"


def test_a_proxys_password_is_in_no_text() -> None:
    found = Proxy.of({"HTTPS_PROXY": "http://falaj:p%40ss@p:3128"}, target=API)

    assert found is not None
    assert "p@ss" not in f"{found} {found!r}"
    assert found.headers() == {"proxy-authorization": "Basic ZmFsYWo6cEBzcw=="}


# whether


@pytest.mark.parametrize(
    ("address", "hosts", "told"),
    [
        ("http://proxy.falaj.example:3128", "", "HTTPS_PROXY = http://proxy.falaj.example:3128: "),
        ("http://proxy.falaj.example:3128", "proxy.falaj.example", None),
        ("http://10.1.2.3:3128", "", "name 10.1.2.3 under residency.hosts"),
        ("http://10.1.2.3:3128", "10.1.2.3", None),
        ("http://proxy:3128", "", "of a name without a domain nobody can tell"),
        ("http://proxy:3128", "proxy", None),
        ("http://proxy.eu-west-1.amazonaws.com", "", "residency.hosts"),
        ("http://127.0.0.1:3128", "", None),
    ],
)
def test_a_proxy_of_which_nobody_knows_where_it_is_is_not_asked(
    address: str, hosts: str, told: str | None
) -> None:
    declared = "hosts: [registry.falaj.example, "
    site = Site.parse(CLUSTER.replace(declared, f"{declared}{hosts and f'{hosts}, '}"))
    proxy = Proxy("HTTPS_PROXY", address)

    if told is None:
        way.hold(site, proxy)
        return
    with pytest.raises(Refused) as refused:
        way.hold(site, proxy)
    assert told in str(refused.value)
    assert refused.value.code == "residency-refused"


def test_the_api_itself_is_held_to_the_same_law() -> None:
    site = Site.parse(CLUSTER.replace(f"api: {API}", "api: https://kubeflow.elsewhere.example"))

    with pytest.raises(Refused, match=r"pipelines.api = https://kubeflow.elsewhere"):
        way.hold(site, None)


def test_nothing_is_sent_to_a_proxy_that_the_law_does_not_know(
    site_file: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.elsewhere.example:3128")
    site_file.write_text(CLUSTER)

    assert main(["schedules", "--site", str(site_file)]) == Refused.exit_code
    assert "name proxy.elsewhere.example under residency.hosts" in capsys.readouterr().err


# through it


def test_requests_go_through_it_and_it_sees_neither_token_nor_path(
    there: tuple[Standin, Passing, Site], authority: Authority, tmp_path: pathlib.Path
) -> None:
    kfp, proxy, site = there
    with passing(proxy) as address:
        client(site, authority, tmp_path, {"HTTPS_PROXY": address}).schedules()

    assert kfp.seen["GET /apis/v2beta1/recurringruns"] == 1
    assert set(proxy.asked) == {f"CONNECT {HOST}:{proxy.port}"}
    assert SECRET not in str(proxy.seen)


def test_without_it_that_name_is_nobodys(
    there: tuple[Standin, Passing, Site], authority: Authority, tmp_path: pathlib.Path
) -> None:
    _, _, site = there

    with pytest.raises(InfrastructureError, match="nothing answers there"):
        client(site, authority, tmp_path, {}).schedules()


def test_a_request_in_clear_goes_through_it_too(kfp: Standin, address: str) -> None:
    proxy = Passing(urllib.parse.urlsplit(address).port or 0)
    site = Site.parse(CLUSTER.replace(API, f"http://{HOST}/pipeline"))
    with passing(proxy) as at:
        Client.at(site, Identity(), {"http_proxy": at}).schedules()

    assert proxy.asked[0].startswith(f"GET http://{HOST}/pipeline/apis/v2beta1/healthz")
    assert kfp.seen["GET /apis/v2beta1/recurringruns"] == 1


def test_a_token_goes_in_clear_to_no_proxy(kfp: Standin) -> None:
    site = Site.parse(CLUSTER.replace(API, f"http://{HOST}/pipeline"))

    with pytest.raises(Refused, match="would travel in clear"):
        Client.at(site, Identity(token=SECRET), {"http_proxy": "http://127.0.0.1:9"})


def test_a_proxy_is_given_its_password_and_kfp_is_not(
    there: tuple[Standin, Passing, Site], authority: Authority, tmp_path: pathlib.Path
) -> None:
    kfp, proxy, site = there
    proxy.password = PASSWORD
    with passing(proxy) as address:
        named = address.replace("http://", "http://falaj:p%40ss@")
        client(site, authority, tmp_path, {"HTTPS_PROXY": named}).schedules()

    assert kfp.seen
    assert "Proxy-Authorization" not in {name for one in kfp.headers for name in one}


REFUSALS = {
    "wants a password": (407, Refused, "kfp-proxy-refused", "407"),
    "does not allow that host": (403, Refused, "kfp-proxy-refused", "403"),
    "finds nobody": (502, InfrastructureError, "kfp-unreachable", "502"),
}


@pytest.mark.parametrize(("status", "kind", "code", "told"), REFUSALS.values(), ids=REFUSALS)
def test_a_proxy_that_passes_nothing_on_is_told_by_name(
    status: int,
    kind: type[FalajError],
    code: str,
    told: str,
    there: tuple[Standin, Passing, Site],
    authority: Authority,
    tmp_path: pathlib.Path,
) -> None:
    kfp, proxy, site = there
    proxy.refuses = status
    with passing(proxy) as address, pytest.raises(FalajError) as failed:
        client(site, authority, tmp_path, {"HTTPS_PROXY": address}).schedules()

    assert isinstance(failed.value, kind)
    assert failed.value.code == code
    assert told in str(failed.value)
    assert f"the proxy {address} (HTTPS_PROXY)" in str(failed.value)
    assert (len(proxy.asked) == 1) == (kind is Refused), "a no is a no, and not asked for again"
    assert not kfp.seen


def test_a_proxy_that_is_not_there_is_told_by_name(
    there: tuple[Standin, Passing, Site], authority: Authority, tmp_path: pathlib.Path
) -> None:
    _, _, site = there
    gone = f"http://127.0.0.1:{ports.free()}"

    with pytest.raises(InfrastructureError, match=f"the proxy {gone}.*NO_PROXY"):
        client(site, authority, tmp_path, {"HTTPS_PROXY": gone}).create_experiment("falaj")


def test_a_certificate_is_held_through_it_as_without(
    there: tuple[Standin, Passing, Site], tmp_path: pathlib.Path
) -> None:
    """A proxy that opens what it passes on shows a certificate of its own."""
    kfp, proxy, site = there
    with passing(proxy) as address, pytest.raises(UserError, match="is not believed"):
        client(site, Authority("proxy"), tmp_path, {"HTTPS_PROXY": address}).schedules()

    assert not kfp.seen
