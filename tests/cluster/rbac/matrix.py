"""Read the matrix that people wrote, and ask an API server the same."""

import concurrent.futures
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from kubernetes.client import ApiClient

from components.governance.rbac.grants import Identity, Kind, Question

_FILE = pathlib.Path(__file__).with_name("matrix.txt")
_PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_AT_ONCE = 8
HERE, ELSEWHERE = "in the namespace", "in another namespace"
PLACES = (HERE, "in the cluster", ELSEWHERE)


@dataclass(frozen=True, slots=True)
class Cell:
    """One question, and what was meant to be the answer."""

    column: str
    question: Question
    allowed: bool


def cells(namespace: str, elsewhere: str) -> list[Cell]:
    """Return every cell, placed in two namespaces."""
    places = {HERE: namespace, ELSEWHERE: elsewhere}
    return list(_cells(_FILE.read_text(), places))


def _cells(text: str, places: Mapping[str, str]) -> Iterator[Cell]:
    place = ""
    columns: Sequence[str] = ()
    for line in text.splitlines():
        if heads := [one for one in PLACES if line.startswith(one)]:
            place, columns = heads[0], line.removeprefix(heads[0]).split()
        elif line and not line.startswith("#"):
            *call, answers = _parted(line, len(columns))
            question = replace(_question(call), namespace=places.get(place, ""))
            for column, answer in zip(columns, answers.split(), strict=True):
                yield Cell(column, question, {"+": True, ".": False}[answer])


def _parted(line: str, columns: int) -> list[str]:
    words = line.split()
    return [*words[:-columns], " ".join(words[-columns:])]


def _question(call: Sequence[str]) -> Question:
    verb, resource, *name = call
    plural, _, group = resource.partition(".")
    return Question(verb, group, plural, name="".join(name))


def review(who: Identity, groups: Sequence[str], question: Question) -> dict[str, object]:
    """Put a question into the API's words."""
    user = f"system:serviceaccount:{who.namespace}:{who.name}"
    resource, _, subresource = question.resource.partition("/")
    attributes = {
        "verb": question.verb,
        "group": question.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": question.namespace,
        "name": question.name,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user if who.kind is Kind.ACCOUNT else who.name,
            "groups": list(groups),
            "resourceAttributes": {key: value for key, value in attributes.items() if value},
        },
    }


def answers(api: ApiClient, reviews: Sequence[Mapping[str, object]]) -> list[bool]:
    """Ask the API server's authorizer, several questions at once."""
    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda one: _asked(api, one), reviews))


def _asked(api: ApiClient, question: Mapping[str, object]) -> bool:
    answer = api.call_api(
        _PATH,
        "POST",
        body=question,
        header_params={"Content-Type": "application/json"},
        auth_settings=["BearerToken"],
        response_type="object",
        _return_http_data_only=True,
    )
    return bool(answer["status"].get("allowed", False))
