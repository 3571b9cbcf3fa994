"""`falaj doctor`: 0 where nothing is missing, 3 where something is, 75 where nothing answers."""

import http.server
import json
import pathlib
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import yaml

from pipelines.__main__ import main
from tests import kubeconfig
from tests.components.governance.doctor import fit
from tests.inference.processes import free_ports

METRICS_OF_SITE = "http://prometheus-operated.monitoring.svc:9090"


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as an API server that has what is in `api`, and lets everybody do everything."""

    api: ClassVar[fit.Plain]
    told: ClassVar[list[tuple[str, str]]] = []

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.told.append((self.path, self.headers.get("authorization", "")))
        found = self.api.at.get(self.path)
        self._say(404 if found is None else 200, found or {"message": "not found"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._say(201, {"status": {"allowed": True, "userInfo": {"username": "amal"}}})

    def _say(self, code: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def api(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fit.Plain]:
    """An API server with all that is wanted, and a kubeconfig and a site file for it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Answers.api = fit.api()
        site = Answers.api.at[f"/api/v1/namespaces/{fit.HOME}/configmaps/falaj-site"]
        site["data"]["PROMETHEUS_URL"] = METRICS_OF_SITE
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig.written(tmp_path, server.server_port)))
        (tmp_path / "site.yaml").write_text(fit.quiet(fit.site()).text())
        monkeypatch.chdir(tmp_path)
        yield Answers.api
        server.shutdown()


def test_a_fit_installation_ends_well_and_says_what_there_is(
    api: fit.Plain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--site", "site.yaml"]) == 0

    said = capsys.readouterr()
    assert said.err == ""
    assert "  ok              API server: v1.34.2\n" in said.out
    assert "definitions\n" in said.out
    assert said.out.splitlines()[-1].endswith("9 cannot be known, 2 warning")


def test_what_is_missing_is_in_the_table_and_the_first_in_the_error(
    api: fit.Plain, capsys: pytest.CaptureFixture[str]
) -> None:
    del api.at[fit.GATEWAY]

    assert main(["doctor", "--site", "site.yaml"]) == 3

    said = capsys.readouterr()
    lines = [one for one in said.out.splitlines() if one.startswith("  missing ")]
    assert lines[0] == "  missing         Gateway falaj: not there"
    assert "\n                    add the feature gateway-api to the overlay, or" in said.out
    assert [one.split()[1] for one in lines] == ["Gateway", "split"]
    assert said.err.startswith("falaj: 2 missing; the first is Gateway falaj: not there;")
    assert said.err.endswith("[doctor-missing]\n")


def test_json_is_one_document_with_every_finding(
    api: fit.Plain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--site", "site.yaml", "--json"]) == 0

    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {"check", "what", "status", "got", "expected", "do"} == set(findings[0])
    assert {one["status"] for one in findings} == {"ok", "cannot be known", "warning"}


def test_pipelines_are_asked_as_who_the_user_is_there(
    api: fit.Plain, capsys: pytest.CaptureFixture[str]
) -> None:
    address = yaml.safe_load(pathlib.Path("kubeconfig").read_text())["clusters"][0]["cluster"]
    site = yaml.safe_load(pathlib.Path("site.yaml").read_text())
    site["pipelines"] = {"api": address["server"], "service_account": "falaj-runner"}
    pathlib.Path("site.yaml").write_text(yaml.safe_dump(site))
    pathlib.Path("token").write_text("let-me-in")
    api.at["/apis/v2beta1/healthz"] = {"multi_user": True}

    assert main(["doctor", "--site", "site.yaml", "--token-file", "token"]) == 0

    assert "answers, for several users" in capsys.readouterr().out
    assert ("/apis/v2beta1/healthz", "Bearer let-me-in") in Answers.told


@pytest.mark.usefixtures("api")
def test_an_api_server_that_is_not_there_is_to_be_tried_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [port] = free_ports(1)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig.written(tmp_path, port)))

    assert main(["doctor", "--site", "site.yaml"]) == 75

    said = capsys.readouterr()
    assert said.out == ""
    assert "did not answer" in said.err


def test_a_laptop_has_no_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--site", "laptop"]) == 2

    assert "[site-is-a-laptop]" in capsys.readouterr().err


def test_without_a_cluster_it_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)

    assert main(["doctor"]) == 2

    assert "set KUBECONFIG to a file" in capsys.readouterr().err
