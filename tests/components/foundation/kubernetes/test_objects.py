"""Texts of YAML and JSON give the objects in them, however they are wrapped."""

import pytest

from components.foundation.errors import UserError
from components.foundation.kubernetes.objects import objects

POD = '{"apiVersion": "v1", "kind": "Pod"}'


@pytest.mark.parametrize(
    "text",
    [
        POD,
        f"---\n---\n{POD}\n---\n",
        f"kind: List\nitems: [{POD}]",
        f"kind: List\nitems: [{{kind: List, items: [{POD}]}}]",
        "apiVersion: v1\nkind: PodList\nitems: [{}]",
    ],
    ids=["json", "documents", "list", "list of lists", "typed list"],
)
def test_gives_each_object(text: str) -> None:
    assert list(objects(text, "x")) == [{"apiVersion": "v1", "kind": "Pod"}]


def test_a_kind_that_only_sounds_like_a_list_is_an_object() -> None:
    assert list(objects("kind: AllowList\nspec: {}", "x")) == [{"kind": "AllowList", "spec": {}}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "no YAML"),
        ("- a", "a document is a list"),
        ("kind: List\nitems: [1]", "an item is a int"),
    ],
)
def test_refuses_what_holds_no_objects(text: str, says: str) -> None:
    with pytest.raises(UserError, match=f"x: {says}") as refusal:
        list(objects(text, "x"))

    assert refusal.value.code == "objects-malformed"
