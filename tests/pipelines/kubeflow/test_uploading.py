"""The same content is uploaded once, whatever happens; another content is another version."""

import concurrent.futures
import pathlib

import pytest

from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.storage import Conflict
from pipelines.ir import Compiled
from pipelines.kubeflow import names, uploading
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.identity import Identity
from pipelines.kubeflow.uploading import Uploaded
from tests.pipelines.kubeflow.conftest import COMPILED
from tests.pipelines.kubeflow.standin import Fault, Standin, serving

UPLOAD = "/pipelines/upload_version"


def upload(client: Client, file: pathlib.Path = COMPILED, **tags: str) -> Uploaded:
    return uploading.upload(client, file, project="flights", tags=tags)


def changed(folder: pathlib.Path) -> pathlib.Path:
    """Compile what is the same but for a default."""
    path = folder / "collection.yaml"
    path.write_text(COMPILED.read_text().replace("defaultValue: csv", "defaultValue: jsonl"))
    return path


def test_a_new_content_makes_the_pipeline_and_a_version(kfp: Standin, client: Client) -> None:
    made = upload(client)

    (pipeline,), (version,) = kfp.things["pipelines"], kfp.things["versions"]
    assert (made.new_pipeline, made.new_version) == (True, True)
    assert pipeline["name"] == "flights-collection"
    assert "one table" in pipeline["description"]
    assert kfp.uploads[version["pipeline_version_id"]] == COMPILED.read_text()


def test_a_version_is_named_for_its_content_and_tagged_with_it(
    kfp: Standin, client: Client
) -> None:
    upload(client, revision="4c1f")

    (version,) = kfp.things["versions"]
    digest = Compiled.read(COMPILED).digest
    assert version["name"] == f"flights-collection-{digest.short}"
    assert version["tags"] == {
        "content": digest.hex[:40],
        "project": "flights",
        "revision": "4c1f",
    }
    assert str(digest) in version["description"]


def test_the_same_content_again_makes_nothing(kfp: Standin, client: Client) -> None:
    first = upload(client)
    second = upload(client)

    assert (second.new_pipeline, second.new_version) == (False, False)
    assert second.version.id == first.version.id
    assert kfp.seen["POST /apis/v2beta1/pipelines/upload_version"] == 1


PATCH = (
    "PATCH /apis/v2beta1/pipelines/{pipeline_version.pipeline_id}/versions/"
    "{pipeline_version.pipeline_version_id}"
)


def test_a_version_that_is_there_gets_the_tags_that_are_asked_for_and_keeps_its_others(
    kfp: Standin, client: Client
) -> None:
    upload(client, revision="4c1f", owner="delays")
    made = upload(client, revision="5d2e", stage="test")

    tags = kfp.things["versions"][0]["tags"]
    assert (tags["revision"], tags["owner"], tags["stage"]) == ("5d2e", "delays", "test")
    assert (tags["project"], len(tags["content"])) == ("flights", 40)
    assert made.version.tags == tags
    assert "has other tags now: revision=5d2e (was 4c1f), stage=test (was none)" in str(made)


def test_tags_that_are_there_are_not_written_again(kfp: Standin, client: Client) -> None:
    upload(client, revision="4c1f")

    assert "other tags" not in str(upload(client, revision="4c1f"))
    assert "other tags" not in str(upload(client))
    assert kfp.seen[PATCH] == 0


def test_a_version_of_other_content_gets_no_tags_of_ours(kfp: Standin, client: Client) -> None:
    upload(client)
    kfp.things["versions"][0]["tags"]["content"] = "0" * 40

    with pytest.raises(Refused):
        upload(client, revision="4c1f")
    assert kfp.seen[PATCH] == 0


def test_a_kfp_that_keeps_no_tags_says_so_when_they_are_asked_for(
    kfp: Standin, client: Client
) -> None:
    upload(client)
    kfp.keeps_tags = False

    with pytest.raises(UserError, match="this KFP does not know how") as refused:
        upload(client, revision="4c1f")
    assert refused.value.code == "kfp-unsupported"
    assert not upload(client).new_version


def test_tags_that_kfp_takes_and_forgets_are_told(
    kfp: Standin, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(client)
    monkeypatch.setattr(kfp, "_retagged", lambda *_: kfp.things["versions"][0])

    with pytest.raises(UserError, match="did not keep its tags: revision=4c1f"):
        upload(client, revision="4c1f")


@pytest.mark.parametrize("after", [False, True], ids=["before it was done", "after it was done"])
def test_tags_of_which_no_answer_came_are_right_after_another_run(
    after: bool, kfp: Standin, client: Client
) -> None:
    version = upload(client).version.id
    kfp.faults = [Fault("PATCH", version, after=after)]
    with pytest.raises(InfrastructureError, match="run again"):
        upload(client, revision="4c1f")

    upload(client, revision="4c1f")

    assert kfp.things["versions"][0]["tags"]["revision"] == "4c1f"


def test_comments_and_layout_are_not_content(
    kfp: Standin, client: Client, tmp_path: pathlib.Path
) -> None:
    same = tmp_path / "collection.yaml"
    same.write_text(f"# compiled on a Monday\n{COMPILED.read_text()}\n")

    upload(client)

    assert not upload(client, same).new_version


def test_another_content_is_another_version_of_the_same_pipeline(
    kfp: Standin, client: Client, tmp_path: pathlib.Path
) -> None:
    upload(client)
    made = upload(client, changed(tmp_path))

    assert (made.new_pipeline, made.new_version) == (False, True)
    assert len(kfp.things["pipelines"]) == 1
    assert len({one["name"] for one in kfp.things["versions"]}) == 2


def test_who_was_killed_between_pipeline_and_version_goes_on(kfp: Standin, client: Client) -> None:
    kfp.faults = [Fault("POST", UPLOAD, status=500)]
    with pytest.raises(InfrastructureError):
        upload(client)
    assert (len(kfp.things["pipelines"]), len(kfp.things["versions"])) == (1, 0)

    made = upload(client)

    assert (made.new_pipeline, made.new_version) == (False, True)
    assert (len(kfp.things["pipelines"]), len(kfp.things["versions"])) == (1, 1)


@pytest.mark.parametrize("end", ["/pipelines", UPLOAD])
@pytest.mark.parametrize("after", [False, True], ids=["before it was done", "after it was done"])
@pytest.mark.parametrize("status", [0, 503, 504], ids=["cut", "503", "504"])
def test_an_answer_that_never_came_doubles_nothing(
    end: str, after: bool, status: int, kfp: Standin, client: Client
) -> None:
    kfp.faults = [Fault("POST", end, status=status, after=after)]

    made = upload(client)

    assert made.new_version
    assert (len(kfp.things["pipelines"]), len(kfp.things["versions"])) == (1, 1)
    tries = kfp.seen[f"POST /apis/v2beta1{end}"]
    assert tries == 1, "what was done is found, not asked for again"


def test_a_version_that_another_made_meanwhile_is_found(
    kfp: Standin, client: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Client(address, Identity(), namespace="falaj")
    create = client.create_pipeline

    def raced(*given: str, **named: object) -> object:
        upload(other)
        return create(*given, **named)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(client, "create_pipeline", raced)

    made = upload(client)

    assert (made.new_pipeline, made.new_version) == (False, False)
    assert len(kfp.things["versions"]) == 1


def test_of_many_at_once_one_makes_it_and_the_others_find_it(kfp: Standin, address: str) -> None:
    clients = [Client(address, Identity(), namespace="falaj") for _ in range(8)]

    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        made = list(pool.map(upload, clients))

    assert [one.new_version for one in made].count(True) == 1
    assert len({one.version.id for one in made}) == 1
    assert (len(kfp.things["pipelines"]), len(kfp.things["versions"])) == (1, 1)


def test_a_name_taken_where_we_may_not_look_is_told(
    kfp: Standin, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(client)
    monkeypatch.setattr(client, "pipeline", lambda name: None)

    with pytest.raises(Conflict, match="another has that name already"):
        upload(client)


def test_a_version_of_our_name_with_other_content_is_refused(kfp: Standin, client: Client) -> None:
    upload(client)
    kfp.things["versions"][0]["tags"]["content"] = "0" * 40

    with pytest.raises(Refused, match="its tag content is 0000") as refused:
        upload(client)
    assert refused.value.code == "kfp-version-differs"


def test_an_older_kfp_that_keeps_no_tags_finds_by_name(kfp: Standin, client: Client) -> None:
    upload(client)
    del kfp.things["versions"][0]["tags"]

    assert not upload(client).new_version


def test_a_version_is_found_on_a_later_page(
    kfp: Standin, client: Client, tmp_path: pathlib.Path
) -> None:
    kfp.page = 1
    first = upload(client)
    upload(client, changed(tmp_path))

    assert [one.id for one in client.versions(first.pipeline)][-1] == first.version.id
    assert not upload(client).new_version


def test_several_users_have_namespaces_and_a_single_one_has_none() -> None:
    for several in (True, False):
        kfp = Standin(several_users=several)
        with serving(kfp) as address:
            upload(Client(address, Identity(), namespace="falaj"))

        assert kfp.things["pipelines"][0].get("namespace") == ("falaj" if several else None)
        assert kfp.breaches == []


@pytest.mark.parametrize(
    "pair",
    ["revision", "=4c1f", "a.b=c", "x" * 64 + "=1", "a=" + "x" * 64, "content=mine"],
)
def test_a_tag_that_kfp_would_not_take_is_refused(pair: str) -> None:
    with pytest.raises(UserError, match="--tag") as refused:
        names.tags([pair])
    assert refused.value.code == "kfp-tag-malformed"


def test_a_tag_that_is_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="--tag a: is given twice, '1' and '2'"):
        names.tags(["a=1", "a=2"])


def test_kfp_takes_twenty_tags_and_two_are_ours() -> None:
    pairs = [f"t{number}=x" for number in range(19)]

    assert len(names.tags(pairs[:18])) == 18
    with pytest.raises(UserError, match="KFP takes 20"):
        names.tags(pairs)


def test_a_file_that_is_no_pipeline_is_not_sent(
    kfp: Standin, client: Client, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "x.yaml").write_text("kind: ConfigMap\n")

    with pytest.raises(UserError, match="not a compiled pipeline"):
        upload(client, tmp_path / "x.yaml")
    assert not kfp.seen
