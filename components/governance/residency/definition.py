"""Say what a ResidencyProfile may hold: the definition that the API server has of it."""

from typing import Any

from components.foundation.residency.places import HARD_LOCAL, UAE
from components.foundation.site import Profile
from components.governance.residency.profiles import API_VERSION, KIND, STRICTEST

PLURAL = "residencyprofiles"
GROUP, VERSION = API_VERSION.split("/")
NAMES = (*map(str, Profile), STRICTEST)
_NAME = "[a-z0-9]([a-z0-9.-]*[a-z0-9])?"
# Rules use names that begin with @ for what is no place: nobody may declare one of those.
_HOST = f"^{_NAME}(:[0-9]+)?$"  # a port counts for nothing
_SUFFIX = f"^[.]{_NAME}$"
_PLACE = "^[A-Za-z0-9][A-Za-z0-9._/-]*$"
_ADDRESSES = "^[0-9a-f.:]+(/[1-9][0-9]{0,2})?$"  # a range of everything, /0, is no network


def definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition, which keeps nothing that it does not name."""
    singular = KIND.lower()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": singular,
            },
            "scope": "Cluster",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _schema()},
                    "additionalPrinterColumns": [_column("Country"), _column("Law")],
                }
            ],
        },
    }


def _column(name: str) -> dict[str, str]:
    return {"name": name, "type": "string", "jsonPath": f".spec.{name.lower()}"}


def _schema() -> dict[str, Any]:
    hard = [*sorted(HARD_LOCAL), STRICTEST]
    top = _object({"spec": _spec()})
    top["properties"] |= {name: {"type": "string"} for name in ("apiVersion", "kind")}
    top["properties"]["metadata"] = {"type": "object"}
    return {
        **top,
        "x-kubernetes-validations": [
            _rule(f"self.metadata.name in {list(NAMES)}", f"one of {', '.join(NAMES)}"),
            _rule(
                f"!(self.metadata.name in {hard}) || self.spec.hardLocal",
                f"{', '.join(hard)} know no transfer: hardLocal is true",
            ),
        ],
    }


def _rule(rule: str, message: str) -> dict[str, str]:
    return {"rule": rule, "message": f"expected {message}"}


def _spec() -> dict[str, Any]:
    return _object(
        {
            "law": _text(1000),
            "hardLocal": {"type": "boolean"},
            "country": {"type": "string", "enum": [UAE]},
            "hosts": _list(_text(253, _HOST), 200, unique=False),  # two URLs may name one
            "networks": _list(_text(50, _ADDRESSES), 64),
            "suffixes": _list(_text(200, _SUFFIX), 1000),
            "places": _list(_text(200, _PLACE), 1000),
            # A line each: rules look a place up by one search, and only in what they refuse.
            "elsewhere": {"type": "string", "maxLength": 500_000},
            "bases": {
                **_list(_basis(), 200, unique=False),
                "default": [],  # what is left when the last one is taken away
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["id"],
            },
        }
    )


def _basis() -> dict[str, Any]:
    found = _object(
        {
            "id": _text(63, "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"),
            "article": _text(200),
            "places": _list(_text(253, _PLACE), 50),
            "recordedBy": _text(200),
            "recordedOn": {"type": "string", "format": "date"},
        }
    )
    # Its last day, if it has one: admission sees no clock, the attestor and the ledger do.
    found["properties"]["until"] = {"type": "string", "format": "date"}
    return found


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": sorted(fields), "properties": fields}


def _text(most: int, pattern: str = "") -> dict[str, Any]:
    text = {"type": "string", "minLength": 1, "maxLength": most}
    return {**text, "pattern": pattern} if pattern else text


def _list(of: dict[str, Any], most: int, *, unique: bool = True) -> dict[str, Any]:
    found = {"type": "array", "items": of, "maxItems": most}
    return {**found, "x-kubernetes-list-type": "set"} if unique else found
