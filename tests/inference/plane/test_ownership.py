import pytest

from inference.plane import ownership
from inference.plane.ownership import Clashes, Manifest, Owners


def applied(
    live: Manifest, owners: Owners, spec: Manifest, *, manager: str = "falaj", force: bool = False
) -> tuple[Manifest, Owners]:
    return ownership.apply(live, owners, {"spec": spec}, manager=manager, force=force)


def test_a_field_left_out_is_removed_with_the_maps_that_are_empty_then() -> None:
    live, owners = applied({}, {}, {"a": {"b": 1}, "c": 2})

    live, owners = applied(live, owners, {"c": 2})

    assert live == {"spec": {"c": 2}}


def test_a_field_that_another_manager_owns_too_stays_when_one_leaves_it_out() -> None:
    live, owners = applied({}, {}, {"a": 1, "c": 2})
    live, owners = applied(live, owners, {"a": 1}, manager="other")

    live, owners = applied(live, owners, {"c": 2})

    assert live == {"spec": {"a": 1, "c": 2}}


def test_changing_a_field_of_another_manager_clashes_by_name() -> None:
    live, owners = applied({}, {}, {"a": {"b": 1}})

    with pytest.raises(Clashes) as caught:
        applied(live, owners, {"a": {"b": 2}}, manager="other")

    assert [(c.manager, c.field) for c in caught.value.clashes] == [("falaj", ".spec.a.b")]


def test_force_takes_the_field_over() -> None:
    live, owners = applied({}, {}, {"a": 1})
    live, owners = applied(live, owners, {"a": 2}, manager="other", force=True)

    with pytest.raises(Clashes):
        applied(live, owners, {"a": 3})
    assert live == {"spec": {"a": 2}}


def test_an_update_takes_what_it_changes_and_only_that() -> None:
    live, owners = applied({}, {}, {"a": 1, "b": 1})

    owners = ownership.update(live, owners, {"spec": {"a": 2, "b": 1}}, manager="kubectl")

    assert owners[("falaj", "Apply")] == {("spec", "b")}
    assert owners[("kubectl", "Update")] == {("spec", "a")}


def test_lists_are_replaced_whole() -> None:
    live, owners = applied({}, {}, {"args": ["x", "y"]})

    live, owners = applied(live, owners, {"args": ["z"]})

    assert live == {"spec": {"args": ["z"]}}


def test_managed_fields_are_written_as_kubernetes_does() -> None:
    _, owners = applied({}, {}, {"a": {"b": 1}})

    (entry,) = ownership.managed_fields(owners, api_version="v1")

    assert (entry["manager"], entry["operation"]) == ("falaj", "Apply")
    assert entry["fieldsV1"] == {"f:spec": {"f:a": {"f:b": {}}}}
