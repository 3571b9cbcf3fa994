"""A site file is read strictly, and a typo is answered with the name that was meant."""

import pathlib

import pytest

from components.foundation.errors import UserError
from components.foundation.site import Profile, Site

SITES = pathlib.Path(__file__).parents[3] / "pipelines" / "sites"
LAPTOP = (SITES / "laptop.yaml").read_text()


@pytest.mark.parametrize("path", sorted(SITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_site_that_ships_loads_and_survives_a_round_trip(path: pathlib.Path) -> None:
    site = Site.load(path)

    assert Site.parse(site.text()) == site
    assert Site.parse(site.text()).digest() == site.digest()


@pytest.mark.parametrize("path", sorted(SITES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_field_of_a_site_that_ships_has_a_comment(path: pathlib.Path) -> None:
    lines = path.read_text().splitlines()
    section = None
    for above, line in zip(["", *lines], lines, strict=False):
        if line and not line.startswith((" ", "#")):
            section = line
        field = line.strip() and not line.lstrip().startswith(("#", "-")) and not line.endswith(":")
        if field and section != "alerts:":
            assert above.lstrip().startswith("#"), f"{path.name}: no comment above {line!r}"


@pytest.mark.parametrize(
    ("right", "typo", "hint"),
    [
        ("  region:", "  regoin:", "object_store.regoin: unknown field; did you mean 'region'?"),
        ("pipeline_root:", "pipline_root:", "did you mean 'pipeline_root'?"),
        ("  country:", "  contry:", "residency.contry: unknown field; did you mean 'country'?"),
        ("  - kind:", "  - knd:", "alerts.0.knd: unknown field; did you mean 'kind'?"),
        ("profile: pdpl", "profile: pdlp", "got 'pdlp'; did you mean 'pdpl'?"),
        ("kind: laptop", "kind: labtop", "got 'labtop'; did you mean 'laptop'?"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(right: str, typo: str, hint: str) -> None:
    with pytest.raises(UserError) as error:
        Site.parse(LAPTOP.replace(right, typo, 1), source="laptop.yaml")

    assert hint in str(error.value)
    assert "laptop.yaml" in str(error.value)


@pytest.mark.parametrize(
    "root",
    [
        "s3://falaj-runs/?region=eu-west-1",
        "s3://falaj-runs/x?endpoint=evil.example",
        "s3://falaj-runs/x#y",
        "gs://falaj-runs/",
        "s3://user@falaj-runs/",
        "falaj-runs",
    ],
)
def test_refuses_a_pipeline_root_that_kfp_would_follow_elsewhere(root: str) -> None:
    with pytest.raises(UserError, match="pipeline_root"):
        Site.parse(LAPTOP.replace("s3://falaj-runs/", f'"{root}"'))


@pytest.mark.parametrize(
    "endpoint", ["https://key:secret@s3.example", "s3.example", "https://s3.example?region=x"]
)
def test_refuses_an_endpoint_with_a_secret_or_without_a_scheme(endpoint: str) -> None:
    with pytest.raises(UserError, match=r"object_store\.endpoint") as error:
        Site.parse(LAPTOP.replace("endpoint: embedded", f"endpoint: {endpoint}"))

    assert "key:secret" not in str(error.value)


def test_refuses_a_cluster_with_embedded_parts() -> None:
    with pytest.raises(UserError, match="'embedded' is for laptops"):
        Site.parse(LAPTOP.replace("kind: laptop", "kind: cluster"))


def test_refuses_a_laptop_that_does_not_say_where_it_stands() -> None:
    with pytest.raises(UserError, match="a laptop's country is declared"):
        Site.parse(LAPTOP.replace("  country: AE", ""))


def test_refuses_a_field_given_twice() -> None:
    with pytest.raises(UserError, match="given twice"):
        Site.parse(LAPTOP + "\nname: other\n")


@pytest.mark.parametrize("text", ["", "- a", "{", "just words"])
def test_refuses_what_is_no_site(text: str) -> None:
    with pytest.raises(UserError, match="site text"):
        Site.parse(text)


def test_a_file_that_is_not_there_is_the_users_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        Site.load(tmp_path / "none.yaml")


def test_embedded_parts_leave_the_environment_to_the_run() -> None:
    laptop = Site.parse(LAPTOP).environment()
    cluster = Site.load(SITES / "cluster.yaml").environment()

    assert "AWS_ENDPOINT_URL" not in laptop
    assert cluster["AWS_ENDPOINT_URL"].startswith("https://")


def test_three_profiles_keep_every_byte_in_the_uae() -> None:
    assert [p.value for p in Profile if p.hard_local] == ["health", "cbuae", "gov"]


PIPELINES = "pipelines:\n  api: https://kubeflow.falaj.example/pipeline/\n"
CLUSTER = (SITES / "cluster.yaml").read_text()


def test_links_begin_with_the_api_where_no_other_address_is_named() -> None:
    text = CLUSTER.partition("pipelines:")[0] + PIPELINES + CLUSTER.partition("runner\n\n")[2]

    pipelines = Site.parse(text).pipelines

    assert pipelines is not None
    assert pipelines.link == "https://kubeflow.falaj.example/pipeline"
    assert pipelines.service_account == "falaj-runner", "KFP's own may read every Secret"


@pytest.mark.parametrize(
    ("api", "told"),
    [
        ("embedded", "pipelines.api: is never embedded"),
        ("kubeflow.falaj.example", "pipelines.api: expected"),
        ("https://user:secret@kubeflow.falaj.example", "has no user, query or fragment"),
        ("https://:secret@kubeflow.falaj.example", "has no user, query or fragment"),
        ("https://kubeflow.falaj.example:99999", "pipelines.api: Port out of range"),
    ],
)
def test_the_address_of_pipelines_is_a_real_one(api: str, told: str) -> None:
    text = CLUSTER.replace("api: https://kubeflow.falaj.example/pipeline", f"api: {api}")

    with pytest.raises(UserError, match=told) as refused:
        Site.parse(text)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        (
            "service_account: falaj-runner",
            'service_account: ""',
            "service_account: got ''; expected",
        ),
        (
            "service_account: falaj-runner",
            "service_account: Runner",
            "service_account: got 'Runner'",
        ),
        ("experiment: falaj", 'experiment: ""', "pipelines.experiment: got ''"),
        ("namespace: falaj", "namespace: Falaj", "namespace: got 'Falaj'; expected a namespace's"),
        ("namespace: falaj", "namespace: a.b", "namespace: got 'a.b'; expected a namespace's name"),
    ],
)
def test_a_name_that_kubernetes_would_refuse_or_replace_is_refused(
    right: str, wrong: str, told: str
) -> None:
    """KFP takes no service account for its own, which may read every Secret."""
    assert right in CLUSTER

    with pytest.raises(UserError) as refused:
        Site.parse(CLUSTER.replace(right, wrong))
    assert told in str(refused.value)


def test_a_site_that_cannot_be_read_is_the_users_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "site.yaml").write_bytes(b"name: \xff")

    with pytest.raises(UserError, match="IsADirectoryError; expected a file"):
        Site.load(tmp_path)
    with pytest.raises(UserError, match="UnicodeDecodeError; expected a file"):
        Site.load(tmp_path / "site.yaml")


def test_a_laptop_names_no_pipelines_of_others() -> None:
    with pytest.raises(UserError, match="pipelines: a laptop runs its own"):
        Site.parse(LAPTOP + PIPELINES)
