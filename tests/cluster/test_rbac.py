"""Who may do what: asked of a real API server cell by cell, and acted out as real identities."""

import contextlib
import datetime
import json
import random
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from components.governance.breakglass import ending
from components.governance.rbac import reading
from components.governance.rbac.grants import ALL, Identity, Kind, Question
from components.governance.rbac.rights import Access as Analysed
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Person, Robot
from tests.cluster.rbac import matrix
from tests.cluster.rbac.matrix import Cell
from tests.cluster.rbac.people import FIRST, NOBODY, ON_CALL, SECOND, Place, after, settled
from tests.manifests.conftest import ROOT

_RANDOM_QUESTIONS = 400
_ACCESS = "serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings"
_SERVICE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "delays-a"},
    "spec": {"predictor": {"serviceAccountName": "falaj-serving", "minReplicas": 1}},
}
_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "hangs"},
    "spec": {"containers": [{"name": "c", "image": "registry.falaj.example/falaj/data"}]},
}


@pytest.fixture(scope="module")
def place(ground: Access) -> Iterator[Place]:
    """Our roles in a namespace; Secrets and a pod beside them."""
    with settled(ground) as place:
        for name in ("falaj-object-store", "falaj-keys"):
            ground.kubectl("-n", place.namespace, "create", "secret", "generic", name,
                           "--from-literal=key=value")  # fmt: skip
        place.kubectl(FIRST, "create", "-f", "-", input=json.dumps(_POD))
        yield place


@contextlib.contextmanager
def _open(place: Place) -> Iterator[Place]:
    """Breakglass, opened for one person by two others."""
    assert "created" in place.open(FIRST)
    assert "patched" in place.let_in(SECOND, ON_CALL)
    yield place
    place.close()


@pytest.fixture
def opened(place: Place) -> Iterator[Place]:
    with _open(place) as opened:
        yield opened


@pytest.fixture
def closed(place: Place) -> Iterator[Place]:
    yield place
    place.close()


def _analysed(place: Place) -> Analysed:
    """Read the whole cluster's roles and bindings, Kubernetes' own among them."""
    text = place.ground.kubectl("get", _ACCESS, "-A", "-o", "json").stdout
    return Analysed.of(reading.read([("the cluster", text)]))


# the matrix


@dataclass(frozen=True)
class Answered:
    """Every cell as the API server answered it, and as the analyser did of the same cluster."""

    cells: list[Cell]
    by_the_server: list[bool]
    by_us: list[bool]


@pytest.fixture(scope="module")
def answered(place: Place) -> Answered:
    """Ask every cell once, while breakglass is open."""
    with _open(place):
        access = _analysed(place)
        cells = matrix.cells(place.namespace, place.elsewhere)
        asked = [matrix.review(*place.identity(cell.column), cell.question) for cell in cells]
        with place.ground.client() as api:
            answers = matrix.answers(api, asked)
    ours = [access.rights(place.identity(c.column)[0]).allows(c.question) for c in cells]
    return Answered(cells, answers, ours)


def test_everybody_may_do_what_was_meant_and_nothing_else(answered: Answered) -> None:
    assert len(answered.cells) >= 300
    assert sum(answered.by_the_server) >= 100
    pairs = zip(answered.cells, answered.by_the_server, strict=True)
    assert [_told(cell) for cell, allowed in pairs if allowed != cell.allowed] == []


def test_the_analyser_says_of_every_cell_what_the_api_server_says(answered: Answered) -> None:
    rows = zip(answered.cells, answered.by_the_server, answered.by_us, strict=True)

    assert [_told(cell) for cell, theirs, ours in rows if theirs != ours] == []


def _told(cell: Cell) -> str:
    return f"{cell.column}: {cell.question}"


def test_the_analyser_agrees_about_kubernetes_own_identities_and_aggregates(place: Place) -> None:
    """Questions drawn at random from the rules of a whole cluster, about any of its identities."""
    access = _analysed(place)
    drawn = _drawn(access, place.namespace, random.Random(7))  # noqa: S311

    reviews = [matrix.review(who, _groups(who), question) for who, question in drawn]
    with place.ground.client() as api:
        answers = matrix.answers(api, reviews)

    assert 80 < sum(answers) < len(answers) - 80
    ours = [access.rights(who).allows(question) for who, question in drawn]
    assert [drawn[n] for n, got in enumerate(answers) if got != ours[n]] == []


def _groups(who: Identity) -> list[str]:
    own = [who.name] if who.kind is Kind.GROUP else []
    return [*own, *(group.name for group in who.groups())]


def _drawn(
    access: Analysed, namespace: str, chance: random.Random
) -> list[tuple[Identity, Question]]:
    """Ask half of them what a rule of theirs says, half what a rule of another's says."""
    identities = sorted(access.held)
    drawn = []
    for number in range(_RANDOM_QUESTIONS):
        who = chance.choice(identities)
        grant = chance.choice(access.held[who if number % 2 else chance.choice(identities)])
        rules = [rule for rule in grant.role.rules if rule.resources]
        if rules:
            rule = chance.choice(rules)
            words = [chance.choice(sorted(part)) for part in (rule.verbs, rule.groups)]
            verb, group = (word.replace(ALL, "any") for word in words)
            resource = chance.choice(sorted(rule.resources)).replace(ALL, "things")
            name = chance.choice(sorted(rule.names) or [""])
            where = chance.choice([grant.namespace, namespace, ""])
            drawn.append((who, Question(verb, group, resource, where, name)))
    return drawn


# acted out


def test_an_ml_engineer_sees_pods_and_no_secret(place: Place) -> None:
    who = place.caller("ml")

    assert "hangs" in place.kubectl(who, "get", "pods")
    assert "forbidden" in place.kubectl(who, "get", "secret", "falaj-object-store")
    assert "forbidden" in place.kubectl(who, "get", "secrets")


def test_an_ml_engineer_does_not_give_himself_a_role(place: Place) -> None:
    given = ("create", "rolebinding", "mine", "--role=falaj-runner", "--user=ml")

    assert "forbidden" in place.kubectl(place.caller("ml"), *given)


def test_a_data_engineer_keeps_volumes_and_serves_nothing(place: Place) -> None:
    who = place.caller("data")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "scratch"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }

    assert "created" in place.kubectl(who, "create", "-f", "-", input=json.dumps(claim))
    assert "forbidden" in place.kubectl(who, "create", "-f", "-", input=json.dumps(_SERVICE))


def test_a_deployer_makes_and_changes_an_inference_service_and_no_pod(place: Place) -> None:
    who = place.caller("depl")
    change = '{"spec": {"predictor": {"minReplicas": 2}}}'
    pod = json.dumps({**_POD, "metadata": {"name": "mine"}})

    assert "created" in place.kubectl(who, "create", "-f", "-", input=json.dumps(_SERVICE))
    assert "patched" in place.kubectl(
        who, "patch", "inferenceservice", "delays-a", "--type=merge", "-p", change
    )
    assert "forbidden" in place.kubectl(who, "delete", "inferenceservice", "delays-a")
    assert "forbidden" in place.kubectl(who, "create", "-f", "-", input=pod)


def test_a_step_reads_its_secret_by_name_and_cannot_list(place: Place) -> None:
    who = place.caller("runner")

    assert "a2V5" not in place.kubectl(who, "get", "secret", "falaj-keys", "-o", "yaml")
    assert "dmFsdWU=" in place.kubectl(who, "get", "secret", "falaj-object-store", "-o", "yaml")
    assert "forbidden" in place.kubectl(who, "get", "secrets")
    assert "forbidden" in place.kubectl(who, "delete", "networkpolicies", "--all")


def test_a_served_model_is_nobody_even_with_a_token(place: Place) -> None:
    who = place.caller("serving")

    assert "forbidden" in place.kubectl(who, "get", "pods")
    assert "forbidden" in place.kubectl(who, "get", "secret", "falaj-keys")


def test_an_auditor_reads_rules_and_opens_no_shell(place: Place) -> None:
    who = place.caller("aud")

    assert "falaj-deployer" in place.kubectl(who, "get", "rolebindings")
    assert "falaj-breakglass" in place.kubectl(who, "get", "validatingadmissionpolicies")
    assert "forbidden" in place.kubectl(who, "exec", "hangs", "--", "ls")
    assert "forbidden" in place.kubectl(who, "logs", "hangs")


def test_what_monitors_sees_pods_of_its_own_namespace_only(place: Place) -> None:
    who = place.caller("monitor")

    assert "hangs" in place.kubectl(who, "get", "pods")
    assert "forbidden" in place.ground.kubectl("-n", place.elsewhere, "get", "pods", who=who,
                                               check=False).stderr  # fmt: skip


def test_a_custodian_replaces_a_ring_and_makes_or_deletes_none(place: Place) -> None:
    who = place.caller("keys")
    change = '{"stringData": {"key": "new"}}'

    assert "patched" in place.kubectl(who, "patch", "secret", "falaj-keys", "-p", change)
    assert "forbidden" in place.kubectl(who, "delete", "secret", "falaj-keys")
    assert "forbidden" in place.kubectl(who, "create", "secret", "generic", "other")
    assert "forbidden" in place.kubectl(who, "get", "secret", "falaj-object-store")


def test_who_answers_for_residency_changes_a_profile_and_no_policy(place: Place) -> None:
    who, change = place.caller("resid"), '{"metadata": {"labels": {"seen": "yes"}}}'
    merge = ("--type=merge", "-p", change)

    named = place.kubectl(who, "patch", "residencyprofile", "health", *merge)
    other = place.kubectl(who, "patch", "validatingadmissionpolicy", "falaj-breakglass", *merge)

    assert "forbidden" not in named  # allowed, whether or not it is there yet
    assert "forbidden" in other


def test_a_stranger_sees_nothing(place: Place) -> None:
    assert "forbidden" in place.kubectl(NOBODY, "get", "configmaps")


# breakglass


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"expires": ""}, "breakglass without an end"),
        ({"expires": "tomorrow"}, "breakglass without an end"),
        ({"expires": after(minutes=5 * 60)}, "expected an end within 4 hours of its creation"),
        ({"reason": "because"}, "breakglass without a reason"),
        ({"said_opener": "somebody"}, "breakglass opened by hamad, expected that name"),
        ({"subject": "noura"}, "breakglass takes two people here"),
        ({"subject": "falaj:deployer", "kind": "Group"}, "breakglass is for one person"),
        ({"name": "other"}, "expected that name: it is the one that is closed"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_an_administrator_cannot_open_it_just_so(
    closed: Place, changes: dict[str, str], says: str
) -> None:
    said = closed.open(FIRST, **changes)

    assert "denied request" in said
    assert says in said


def test_it_opens_by_the_lines_of_the_page(closed: Place) -> None:
    page = (ROOT / "docs/rbac.md").read_text()
    [text] = [
        one for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if ending.EXPIRES in one
    ]
    [patch] = re.findall(r"^kubectl -n falaj (patch .*)$", page, re.MULTILINE)
    [delete] = re.findall(r"^kubectl -n falaj (delete .*)$", page, re.MULTILINE)
    today = re.sub(r'(expires: ").*"', rf'\g<1>{after(minutes=30)}"', text)
    ours = today.replace("namespace: falaj", f"namespace: {closed.namespace}")

    assert "created" in closed.kubectl(FIRST, "create", "-f", "-", input=ours)
    assert "patched" in closed.kubectl(SECOND, *shlex.split(patch))
    assert "hangs" in closed.kubectl(ON_CALL, "get", "pods")
    assert "deleted" in closed.kubectl(FIRST, *shlex.split(delete))


def test_two_people_open_it_for_a_third(closed: Place) -> None:
    assert "created" in closed.open(FIRST)
    assert "breakglass takes two people here" in closed.let_in(FIRST, ON_CALL)
    assert "forbidden" in closed.kubectl(ON_CALL, "get", "pods")
    assert "patched" in closed.let_in(SECOND, ON_CALL)

    assert "hangs" in closed.kubectl(ON_CALL, "get", "pods")


def test_one_opens_it_where_one_is_enough(closed: Place) -> None:
    label = ("label", "namespace", closed.namespace)
    closed.kubectl(FIRST, *label, "falaj.example/breakglass-people=1")

    said = closed.open(FIRST, subject="noura")

    closed.kubectl(FIRST, *label, "falaj.example/breakglass-people-")
    assert "created" in said


def test_health_data_takes_two_whatever_the_label_says(closed: Place) -> None:
    named = ("namespace", closed.namespace)
    labels = ("falaj.example/breakglass-people=1", "falaj.example/residency=health")
    closed.kubectl(FIRST, "label", "--overwrite", *named, *labels)

    said = closed.open(FIRST, subject="noura")

    closed.kubectl(FIRST, "label", *named, "falaj.example/breakglass-people-")
    closed.kubectl(FIRST, "label", "--overwrite", *named, "falaj.example/residency=pdpl")
    assert "breakglass takes two people here" in said


def test_somebody_let_in_may_restart_and_still_reads_no_secret(opened: Place) -> None:
    opened.kubectl(FIRST, "create", "-f", "-", input=json.dumps(
        {**_POD, "metadata": {"name": "stuck"}}))  # fmt: skip

    assert "deleted" in opened.kubectl(ON_CALL, "delete", "pod", "stuck", "--wait=false")
    assert "forbidden" in opened.kubectl(ON_CALL, "get", "secret", "falaj-keys")
    assert "forbidden" in opened.kubectl(ON_CALL, "exec", "hangs", "--", "ls")


def test_it_is_neither_prolonged_nor_handed_on(opened: Place) -> None:
    longer = f"falaj.example/expires={after(minutes=120)}"

    prolonged = opened.kubectl(
        SECOND, "annotate", "--overwrite", "rolebinding", "falaj-breakglass", longer
    )

    assert "breakglass is neither prolonged nor explained anew" in prolonged
    assert "breakglass is not handed on" in opened.let_in(SECOND, Person("somebody"))


def test_the_job_leaves_it_open_until_its_end_and_then_ends_it(opened: Place) -> None:
    closer = opened.ground.cluster(Robot(opened.namespace, "falaj-breakglass-closer"),
                                   opened.namespace)  # fmt: skip
    now = datetime.datetime.now(datetime.UTC)

    assert "open until" in ending.end(closer, now=now)
    assert "hangs" in opened.kubectl(ON_CALL, "get", "pods")
    assert "ended" in ending.end(closer, now=now + datetime.timedelta(minutes=61))
    assert "not open" in ending.end(closer, now=now)

    assert "forbidden" in opened.kubectl(ON_CALL, "get", "pods")


def test_the_job_may_touch_no_other_binding(place: Place) -> None:
    closer = Robot(place.namespace, "falaj-breakglass-closer")

    assert "forbidden" in place.kubectl(closer, "delete", "rolebinding", "falaj-auditor")
    assert "forbidden" in place.kubectl(closer, "get", "rolebindings")
    assert "forbidden" in place.kubectl(closer, "create", "rolebinding", "x",
                                        "--role=falaj-breakglass", "--user=x")  # fmt: skip
