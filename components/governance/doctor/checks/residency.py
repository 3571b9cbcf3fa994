"""Which law the namespace is under, and whether the cluster holds objects to it."""

from collections.abc import Iterator

from components.governance.doctor.checks import security
from components.governance.doctor.interface import Answer, Installation, Question, Thing

LABEL = "falaj.example/residency"
GUARD = "falaj-law"
POLICIES, BINDINGS = "validatingadmissionpolicies", "validatingadmissionpolicybindings"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_FEATURE = "add the feature residency to your overlay, and apply it"


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"law of namespace {at.namespace}", _law)
    yield Question(f"ResidencyProfile {_named(at)}", _profile)
    yield Question(f"policy {GUARD}", _guard)
    yield Question("policies on residency", _policies)


def _named(at: Installation) -> str:
    return str(at.site.residency.profile)


def _law(at: Installation) -> Answer | None:
    labels = security.labels(at)
    if labels is None:
        return None
    said = labels.get(LABEL)
    if said == _named(at):
        return Answer.well(said)
    return Answer.missing(
        f"{LABEL} is {said}" if said else f"no label {LABEL}: the strictest holds",
        expected=f"{_named(at)}, as the site file says",
        do="apply your overlay as who answers for residency, or correct the site file",
    )


def _profile(at: Installation) -> Answer:
    found = at.api.find(f"/apis/falaj.example/v1/residencyprofiles/{_named(at)}")
    if found is None:
        return Answer.missing("not there", expected="which places the law allows", do=_FEATURE)
    hard = "hard local" if found["spec"].get("hardLocal") else "transfers on a recorded basis"
    return Answer.well(f"{found['spec'].get('country')}, {hard}")


def _guard(at: Installation) -> Answer:
    """Ask for the policy, and that it is bound: either without the other guards nothing."""
    policy = at.api.find(f"{_ADMISSION}/{POLICIES}/{GUARD}")
    binding = at.api.find(f"{_ADMISSION}/{BINDINGS}/{GUARD}")
    if policy is None or binding is None:
        return Answer.missing(
            "not there" if policy is None else "not bound",
            expected="a policy that lets nobody change a namespace's law, and its binding",
            do="apply your overlay",
        )
    return _denying([binding])


def _policies(at: Installation) -> Answer:
    """Ask for each policy of ours that it is there, and bound to this law."""
    from components.governance.residency import policies
    from components.governance.residency.rules import policies as every

    wanted = {policies.name(policy) for policy in every()}
    there = {one["metadata"]["name"] for one in _listed(at, POLICIES)}
    ours = [
        one
        for one in _listed(at, BINDINGS)
        if _law_of(one) == _named(at) and one["spec"]["policyName"] in wanted & there
    ]
    absent = sorted(wanted - {one["spec"]["policyName"] for one in ours})
    if absent:
        got = f"{len(wanted) - len(absent)} of {len(wanted)} hold for {_named(at)}"
        return Answer.missing(f"{got}; not {_first(absent)}", expected="all", do=_FEATURE)
    return _denying(ours)


def _listed(at: Installation, plural: str) -> list[Thing]:
    return list((at.api.find(f"{_ADMISSION}/{plural}") or {}).get("items", []))


def _law_of(binding: Thing) -> str:
    return str((binding["spec"].get("paramRef") or {}).get("name", ""))


def _denying(bindings: list[Thing]) -> Answer:
    silent = [
        one["metadata"]["name"]
        for one in bindings
        if "Deny" not in one["spec"].get("validationActions", [])
    ]
    if silent:
        got = f"{_first(sorted(silent))} refuses nothing"
        return Answer.warning(got, expected="validationActions with Deny", do="apply your overlay")
    return Answer.well(f"{len(bindings)} bound, and refusing")


def _first(names: list[str], number: int = 3) -> str:
    more = f" and {len(names) - number} more" if len(names) > number else ""
    return ", ".join(names[:number]) + more
