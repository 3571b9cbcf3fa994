"""`falaj upload`, `run --site`, `schedule` and `schedules`, as they are typed."""

import json
import pathlib

import pytest

from components.foundation.errors import InfrastructureError, Refused, UserError
from pipelines.__main__ import main
from tests.pipelines.kubeflow.conftest import ROOT
from tests.pipelines.kubeflow.standin import Fault, Standin
from tests.pipelines.kubeflow.test_running import at, task

SECRET = "eyJ-not-for-eyes"


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def typed(line: str, site: pathlib.Path) -> int:
    return main([*line.split(), "--site", str(site)])


def version(kfp: Standin) -> str:
    return str(kfp.things["versions"][0]["name"])


# upload


def test_upload_says_what_it_made_and_then_what_it_found(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("upload collection --tag revision=4c1f", site_file) == 0
    first = capsys.readouterr().out
    assert typed("upload collection", site_file) == 0
    second = capsys.readouterr().out

    link = "https://kubeflow.falaj.example/pipeline/#/pipelines/details/"
    assert f"{version(kfp)}: uploaded, a version of new pipeline flights-collection; {link}" in (
        first
    )
    assert f"{version(kfp)}: was there already; {link}" in second
    assert kfp.things["versions"][0]["tags"]["revision"] == "4c1f"


def test_upload_gives_a_version_that_is_there_another_tag(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("upload collection --tag revision=4c1f", site_file)
    assert typed("upload collection --tag revision=5d2e", site_file) == 0

    assert "has other tags now: revision=5d2e (was 4c1f); https://" in capsys.readouterr().out
    assert kfp.things["versions"][0]["tags"]["revision"] == "5d2e"


@pytest.mark.parametrize(
    "option", ["--tag a=b", "--token-file x", "--ca-file x", "--unsafe-skip-tls", "--no-wait"]
)
def test_what_a_run_on_a_laptop_would_ignore_is_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "collection", "--site", "laptop", *option.split()]) == UserError.exit_code
    assert f"{option.split()[0]} is for clusters" in capsys.readouterr().err


def test_upload_takes_what_the_site_names_into_the_version(
    kfp: Standin, site_file: pathlib.Path
) -> None:
    typed("upload collection", site_file)

    (text,) = kfp.uploads.values()
    assert "platforms:" in text, "what pods need goes along"
    assert "falaj-object-store" in text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("upload colection", "did you mean 'collection'?"),
        ("upload collection --tag x", "--tag 'x': expected NAME=VALUE"),
        ("upload collection --token-file /nowhere/token", "/nowhere/token: FileNotFoundError"),
        ("upload collection --ca-file /nowhere/ca.pem", "/nowhere/ca.pem: FileNotFoundError"),
        ("schedule collection --every 6", "--every '6': expected"),
        ("schedule collection --cron 6", "--cron '6': expected"),
        ("schedule collection --every 1h --set sourc=x", "did you mean 'source'?"),
        ("schedule collection --every 1h --pin nothing", "flights-collection has no such version"),
        ("schedule collection --every 1h --pin x --tag a=b", "--tag: marks a version that is up"),
        ("schedules --delete collection", "no such schedule"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_made(
    line: str,
    words: str,
    kfp: Standin,
    site_file: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert typed(line, site_file) == UserError.exit_code
    assert words in capsys.readouterr().err
    assert not [one for one in kfp.seen if not one.startswith("GET ")]


@pytest.mark.parametrize("line", ["upload", "schedule collection --every 1h", "schedules"])
def test_a_laptop_has_no_api_to_speak_to(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*line.split(), "--site", "laptop"]) == UserError.exit_code
    assert "is a laptop; name a cluster" in capsys.readouterr().err


def test_what_the_sites_law_does_not_allow_is_not_uploaded(
    kfp: Standin, site_file: pathlib.Path
) -> None:
    site_file.write_text(site_file.read_text().replace("me-central-1", "me-south-1"))

    assert typed("upload collection", site_file) == Refused.exit_code
    assert not kfp.seen


def test_what_is_compiled_is_held_to_that_law_too(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The site keeps its bytes at home; where its images lie, nobody has said."""
    declared = "hosts: [registry.falaj.example, kubeflow.falaj.example]"
    site_file.write_text(site_file.read_text().replace(declared, "hosts: []"))

    assert typed("upload collection", site_file) == Refused.exit_code

    assert "registry.falaj.example" in capsys.readouterr().out
    assert not kfp.seen


def test_a_token_is_sent_and_never_said(
    kfp: Standin,
    site_file: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kfp.secret = f"Bearer {SECRET}"
    monkeypatch.setenv("KF_PIPELINES_TOKEN", SECRET)
    assert typed("upload collection", site_file) == 0

    monkeypatch.setenv("KF_PIPELINES_TOKEN", f"{SECRET}-old")
    assert typed("upload collection", site_file) == Refused.exit_code
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert "we sent the token in KF_PIPELINES_TOKEN" in said.err


# run


def test_run_uploads_starts_and_follows_to_the_end(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.script = [at("RUNNING"), at("SUCCEEDED", task("1", "ingest-objects", "SUCCEEDED"))]

    assert typed("run collection --name one --set source=s3://x/y", site_file) == 0

    said = capsys.readouterr().out
    (run,) = kfp.things["runs"]
    assert (
        f"run one: started; https://kubeflow.falaj.example/pipeline/#/runs/details/{run['run_id']}"
        in said
    )
    assert "ingest-objects                       10.5 s  succeeded" in said
    assert said.endswith("run one: succeeded\n")
    assert run["runtime_config"]["parameters"] == {"source": "s3://x/y"}
    assert run["experiment_id"] == kfp.things["experiments"][0]["experiment_id"]


def test_run_tells_machines_the_same(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kfp.script = [at("SUCCEEDED", task("1", "ingest-objects", "SUCCEEDED"))]

    assert typed("run collection --log json", site_file) == 0

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["event"] for one in events] == ["run_started", "step_ended", "run_ended"]
    assert events[-1]["state"] == "SUCCEEDED"


def test_run_ends_as_its_step_did_and_names_it(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "Error (exit code 75): the store is gone"
    kfp.script = [at("FAILED", task("1", "ingest-objects", "FAILED", said=said))]

    assert typed("run collection --name one", site_file) == InfrastructureError.exit_code

    assert f"run one: step ingest-objects failed: {said}; look at https://" in (
        capsys.readouterr().err
    )


def test_run_need_not_wait(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("run collection --no-wait", site_file) == 0

    assert kfp.seen["GET /apis/v2beta1/runs/{run_id}"] == 0
    assert "started" in capsys.readouterr().out


def test_run_of_a_name_that_is_there_is_followed(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("run collection --name one --no-wait", site_file)
    kfp.script = [at("SUCCEEDED")]

    assert typed("run collection --name one", site_file) == 0
    assert "run one: was there already" in capsys.readouterr().out
    assert len(kfp.things["runs"]) == 1


def test_ctrl_c_leaves_the_run_running_and_says_so(
    kfp: Standin,
    site_file: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def pressed(seconds: float) -> None:
        raise KeyboardInterrupt

    kfp.script = [at("RUNNING")]
    monkeypatch.setattr("time.sleep", pressed)

    assert typed("run collection --name one", site_file) == 130

    assert "run one: goes on without us; https://" in capsys.readouterr().out
    assert kfp.things["runs"][0]["state"] == "RUNNING"
    assert not [one for one in kfp.seen if "terminate" in one]


def test_who_may_not_look_any_longer_says_that_the_run_goes_on(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token may expire before the run ends."""
    typed("run collection --name one --no-wait", site_file)
    run = kfp.things["runs"][0]["run_id"]
    kfp.faults = [Fault("GET", run, 401)]

    assert typed("run collection --name one", site_file) == Refused.exit_code

    said = capsys.readouterr()
    assert "run one: goes on without us; https://" in said.out
    assert "it answered 401" in said.err


# schedules


def test_schedule_pins_what_the_project_compiles_to(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "schedule collection --every 6h --set source=s3://x/y --concurrency 2"
    assert typed(line, site_file) == 0
    assert typed(line, site_file) == 0

    (made,) = kfp.things["recurringruns"]
    said = capsys.readouterr().out
    id = kfp.things["versions"][0]["pipeline_version_id"]
    assert made["pipeline_version_reference"]["pipeline_version_id"] == id
    told = f"every 6h, version {id}, at most 2 at once, nothing caught up"
    assert f"schedule collection: made; {told}" in said
    assert f"schedule collection: was there already; {told}" in said


def test_schedule_floats_or_stays_with_a_version_that_is_named(
    kfp: Standin, site_file: pathlib.Path
) -> None:
    typed("upload collection", site_file)
    assert typed(f"schedule collection --every 1h --pin {version(kfp)}", site_file) == 0
    pinned = kfp.things["recurringruns"][0]["pipeline_version_reference"]
    assert typed("schedule collection --every 1h --latest", site_file) == 0
    (floating,) = kfp.things["recurringruns"]

    assert pinned["pipeline_version_id"] == kfp.things["versions"][0]["pipeline_version_id"]
    assert "pipeline_version_id" not in floating["pipeline_version_reference"]


def test_who_pins_an_older_version_uploads_none(
    kfp: Standin, site_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """One that goes back to a version that was well does not upload the other beside it."""
    typed("upload collection", site_file)
    older = version(kfp)
    site_file.write_text(site_file.read_text() + "pods: {every: {labels: {team: delays}}}\n")

    assert typed(f"schedule collection --every 1h --pin {older}", site_file) == 0
    assert [one["name"] for one in kfp.things["versions"]] == [older]


def test_a_line_of_cron_starts_one_run_a_day(kfp: Standin, site_file: pathlib.Path) -> None:
    at_ = ["--cron", "30 6 * * *", "--site", str(site_file)]

    assert main(["schedule", "collection", *at_]) == 0

    assert kfp.things["recurringruns"][0]["trigger"] == {"cron_schedule": {"cron": "0 30 6 * * *"}}


def test_schedules_are_listed_disabled_enabled_and_deleted(
    kfp: Standin, site_file: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed("schedules", site_file) == 0
    typed("schedule collection --every 1h --latest --set source=s3://x/y", site_file)
    for change in ("disable", "enable", "disable"):
        assert typed(f"schedules --{change} collection", site_file) == 0
    assert typed("schedules", site_file) == 0
    listed = capsys.readouterr().out.splitlines()
    assert typed("schedules --delete collection", site_file) == 0

    assert "there are no schedules" in listed[0]
    assert listed[-1].split() == [
        "collection",
        "disabled",
        "every",
        "1h",
        "latest",
        "source=s3://x/y",
    ]
    assert not kfp.things["recurringruns"]


def test_several_users_keep_to_the_sites_namespace(kfp: Standin, site_file: pathlib.Path) -> None:
    kfp.several_users = True

    assert typed("run collection", site_file) == 0
    assert typed("schedule collection --every 1h", site_file) == 0

    assert kfp.things["experiments"][0]["namespace"] == "falaj"


def test_an_upload_goes_through_what_passes(kfp: Standin, site_file: pathlib.Path) -> None:
    kfp.faults = [
        Fault("GET", "/healthz", 503),
        Fault("POST", "/pipelines", 0, after=True),
        Fault("POST", "/upload_version", 503),
        Fault("POST", "/upload_version", 0, after=True),
    ]

    assert typed("upload collection", site_file) == 0

    assert (len(kfp.things["pipelines"]), len(kfp.things["versions"])) == (1, 1)
