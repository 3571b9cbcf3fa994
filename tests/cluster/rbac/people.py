"""Put our roles into a namespace of a real cluster, with somebody for each kind of person."""

import datetime
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from components.governance.rbac.grants import Identity, Kind
from tests.cluster.ground.clients import Access
from tests.cluster.ground.identities import Identity as Caller
from tests.cluster.ground.identities import Person, Robot
from tests.manifests.conftest import built

GROUPS = {
    "data": "falaj:data-engineer",
    "ml": "falaj:ml-engineer",
    "appr": "falaj:model-approver",
    "depl": "falaj:deployer",
    "aud": "falaj:auditor",
    "dpo": "falaj:dpo",
    "keys": "falaj:key-custodian",
    "resid": "falaj:residency-admin",
}
ROBOTS = {
    "runner": "falaj-runner",
    "serving": "falaj-serving",
    "monitor": "falaj-monitor",
    "attestor": "falaj-residency-attestor",
}
FIRST = Person("hamad", ("system:masters",))  # two administrators: breakglass takes two
SECOND = Person("maryam", ("system:masters",))
ON_CALL = Person("noura")
NOBODY = Person("nobody")
_GROUP = "rbac.authorization.k8s.io"
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Place:
    """A namespace with our roles in it, and another without."""

    ground: Access
    namespace: str
    elsewhere: str

    def caller(self, column: str) -> Caller:
        """Return somebody real for a column of the matrix."""
        if column in ROBOTS:
            return Robot(self.namespace, ROBOTS[column])
        group = GROUPS.get(column)
        return Person(column, (group,)) if group else {"glass": ON_CALL, "nobody": NOBODY}[column]

    def identity(self, column: str) -> tuple[Identity, list[str]]:
        """Return the same in the words of the analyser, and the groups it is in."""
        match self.caller(column):
            case Robot(namespace, name):
                who = Identity(Kind.ACCOUNT, name, namespace)
            case Person(name, groups):
                who = Identity(Kind.GROUP, groups[0]) if groups else Identity(Kind.USER, name)
        own = [who.name] if who.kind is Kind.GROUP else []
        return who, [*own, *(group.name for group in who.groups())]

    def kubectl(self, who: Caller, *arguments: str, input: str = "") -> str:
        """Act as somebody in the namespace; return what was said, refusals included."""
        given = ("-n", self.namespace, *arguments)
        done = self.ground.kubectl(*given, who=who, input=input, check=False)
        return done.stdout + done.stderr

    def open(self, who: Person, *arguments: str, **changes: str) -> str:
        """Create a binding of breakglass as somebody; return what was said."""
        return self.kubectl(who, "create", *arguments, "-f", "-", input=binding(who, **changes))

    def let_in(self, who: Person, subject: Person, *arguments: str) -> str:
        """Add a subject to the binding as somebody; return what was said."""
        patch = json.dumps({"subjects": [_subject(subject.name)]})
        named = ("rolebinding", "falaj-breakglass", "--type=merge")
        return self.kubectl(who, "patch", *named, "-p", patch, *arguments)

    def close(self) -> None:
        self.ground.kubectl("-n", self.namespace, "delete", "rolebinding", "falaj-breakglass",
                            "--ignore-not-found")  # fmt: skip


def binding(
    opener: Person,
    *,
    expires: str | None = None,
    reason: str = "the champion hangs",
    said_opener: str = "",
    subject: str = "",
    kind: str = "User",
    name: str = "falaj-breakglass",
) -> str:
    """Write the binding of breakglass that a person would; for an hour, unless it says else."""
    annotations = {
        "falaj.example/expires": after(minutes=60) if expires is None else expires,
        "falaj.example/opened-by": said_opener or opener.name,
        "falaj.example/reason": reason,
    }
    thing = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "annotations": annotations},
        "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": "falaj-breakglass"},
        "subjects": [_subject(subject, kind)] if subject else [],
    }
    return json.dumps(thing)


def _subject(name: str, kind: str = "User") -> dict[str, str]:
    return {"apiGroup": _GROUP, "kind": kind, "name": name}


def after(*, minutes: int = 0, seconds: int = 0) -> str:
    """Return a time from now, as the annotation wants it."""
    delay = datetime.timedelta(minutes=minutes, seconds=seconds)
    return (datetime.datetime.now(datetime.UTC) + delay).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def settled(ground: Access) -> Iterator[Place]:
    """Apply our roles, with a policy in force, and take them away at the end."""
    tag = uuid.uuid4().hex[:6]
    place = Place(ground, f"rbac-{tag}", f"rbac-{tag}-other")
    for namespace in (place.namespace, place.elsewhere):
        ground.kubectl("create", "namespace", namespace)
    things = _objects(place.namespace)
    ground.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", input=things)
    ground.kubectl("-n", place.namespace, "create", "serviceaccount", "falaj-serving")
    _wait_for_policy(place)
    yield place
    ground.kubectl("delete", "--wait=false", "-f", "-", input=things)
    ground.kubectl("delete", "--wait=false", "namespace", place.namespace, place.elsewhere)


def _objects(namespace: str) -> str:
    concerns = ("rbac", "breakglass", "attestor")
    text = "---\n".join(built(f"manifests/{concern}") for concern in concerns)
    text = text.replace("attestor.falaj\n", f"attestor.{namespace}\n")
    return text.replace("namespace: falaj\n", f"namespace: {namespace}\n")


def _wait_for_policy(place: Place) -> None:
    """Try what the policy refuses until it does: the API server learns of it after a moment."""
    until = time.monotonic() + _SECONDS
    while "denied request" not in place.open(FIRST, "--dry-run=server", expires="never"):
        assert time.monotonic() < until, "the policy on breakglass does not come into force"
        time.sleep(0.2)
