"""A site says where things are; the code is the same everywhere.

On a laptop a run starts its own servers, so an endpoint may be `embedded`. A site file holds
no secrets: keys and passwords come from the environment or from Kubernetes Secrets.
"""

import enum
import pathlib
import urllib.parse
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml

from components.foundation import digests
from components.foundation.errors import UserError, nearest
from components.foundation.pods import Namespace, ObjectName, Pods

EMBEDDED = "embedded"


class Profile(enum.StrEnum):
    """Which rule decides where data may lie; the first three keep every byte in the UAE."""

    HEALTH = "health"
    CBUAE = "cbuae"
    GOV = "gov"
    PDPL = "pdpl"
    DIFC = "difc"
    ADGM = "adgm"

    @property
    def hard_local(self) -> bool:
        return self in {Profile.HEALTH, Profile.CBUAE, Profile.GOV}


def _endpoint(value: str) -> str:
    parts = urllib.parse.urlsplit(value)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"{parts.hostname}: an address here has no user, query or fragment")
    _ = parts.port  # says itself that it is none
    if value != EMBEDDED and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError(
            f"expected 'embedded' or an address such as https://host:port, got {value!r}"
        )
    return value


def _root(value: str) -> str:
    parts = urllib.parse.urlsplit(value)
    if "?" in value or "#" in value:
        raise ValueError(
            f"{value!r} has a query string or fragment; with one, KFP ignores its provider "
            "settings and follows the address's own endpoint; remove it"
        )
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc:
        raise ValueError(f"expected s3://bucket/path, got {value!r}")
    return value


def _address(value: str) -> str:
    if value == EMBEDDED:
        raise ValueError("is never embedded; name an address such as https://host/pipeline")
    return _endpoint(value).rstrip("/")


Address = Annotated[str, pydantic.AfterValidator(_address)]
Endpoint = Annotated[str, pydantic.AfterValidator(_endpoint)]
PipelineRoot = Annotated[str, pydantic.AfterValidator(_root)]
Country = Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Z]{2}$")]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)


class ObjectStorePlace(_Strict):
    """Where objects lie; a region means nothing without its provider."""

    endpoint: Endpoint
    provider: str
    region: str


class Pipelines(_Strict):
    """Where pipelines are uploaded and run.

    Attributes:
        api: address of KFP's API; below it lies /apis/v2beta1.
        ui: what people open; without it, the API's address.
        experiment: what runs are gathered under, unless the command line names another.
        service_account: who steps are; KFP's own default may read every Secret.
    """

    api: Address
    ui: Address | None = None
    experiment: Annotated[str, pydantic.StringConstraints(min_length=1)] = "falaj"
    service_account: ObjectName = "falaj-runner"

    @property
    def link(self) -> str:
        """What links for people begin with."""
        return self.ui or self.api


class Features(_Strict):
    repository: str
    online_store: str = EMBEDDED
    look_up: bool = False


class Alert(_Strict):
    kind: Literal["log", "alertmanager", "webhook"]
    url: Endpoint = EMBEDDED


class Basis(_Strict):
    """Why a transfer abroad is lawful, as recorded by the person who decided it."""

    id: str
    article: str
    recorded_by: str
    recorded_on: str


class Residency(_Strict):
    profile: Annotated[Profile, pydantic.Field(strict=False)]
    country: Country | None = None
    hosts: tuple[str, ...] = pydantic.Field(default=(), strict=False)
    basis: Basis | None = None


class Site(_Strict):
    """Where everything of one installation is; `Site.parse(site.text()) == site`."""

    name: str
    kind: Literal["laptop", "cluster"]
    object_store: ObjectStorePlace
    pipeline_root: PipelineRoot
    kubernetes: str = EMBEDDED
    namespace: Namespace = "default"
    serving: Literal["standard", "knative"] = "standard"
    metrics: Endpoint = EMBEDDED
    keys: str = EMBEDDED
    pipelines: Pipelines | None = None
    features: Features
    alerts: tuple[Alert, ...] = pydantic.Field(default=(), strict=False)
    residency: Residency
    pods: Pods = Pods()

    @pydantic.field_serializer("pods")
    def _only_what_is_said(self, pods: Pods) -> dict[str, Any]:
        return pods.model_dump(mode="json", exclude_defaults=True)

    @pydantic.model_validator(mode="after")
    def _only_a_laptop_embeds(self) -> Self:
        embedded = [
            name for name in ("kubernetes", "metrics", "keys") if getattr(self, name) == EMBEDDED
        ]
        if self.object_store.endpoint == EMBEDDED:
            embedded.append("object_store.endpoint")
        if self.kind == "cluster" and embedded:
            raise ValueError(f"{embedded[0]}: 'embedded' is for laptops; name the real one")
        if self.kind == "laptop" and self.residency.country is None:
            raise ValueError("residency.country: a laptop's country is declared, e.g. AE")
        if self.kind == "laptop" and self.pipelines is not None:
            raise ValueError("pipelines: a laptop runs its own; name KFP's API at a cluster")
        if self.kind == "laptop" and self.pods != Pods():
            raise ValueError("pods: a laptop has none; remove it, or say kind: cluster")
        return self

    @classmethod
    def load(cls, path: pathlib.Path) -> Self:
        """Read a site file; raises UserError naming each field that is wrong."""
        try:
            return cls.parse(path.read_text(encoding="utf-8"), source=str(path))
        except FileNotFoundError:
            raise UserError(
                f"site {path}: no such file; sites ship in pipelines/sites/", code="site-missing"
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"site {path}: {type(error).__name__}; expected a file of YAML in UTF-8",
                code="site-malformed",
            ) from error

    @classmethod
    def parse(cls, text: str, *, source: str = "text") -> Self:
        try:
            value = yaml.load(text, Loader=_NoTwins)  # noqa: S506 - a SafeLoader
        except yaml.YAMLError as error:
            raise UserError(f"site {source}: not YAML: {error}", code="site-malformed") from error
        if not isinstance(value, dict):
            raise UserError(
                f"site {source}: expected fields such as name, kind and object_store",
                code="site-malformed",
            )
        try:
            return cls.model_validate(value)
        except pydantic.ValidationError as error:
            problems = "; ".join(_explain(cls, one) for one in error.errors())
            raise UserError(f"site {source}: {problems}", code="site-malformed") from error

    def text(self) -> str:
        """Return YAML that parses to the same site; what a component is given."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def digest(self) -> digests.Digest:
        return digests.of_json(self.model_dump(mode="json"))

    def environment(self) -> dict[str, str]:
        """Return what steps see of this site; embedded servers add their own."""
        values = {
            "AWS_ENDPOINT_URL": self.object_store.endpoint,
            "AWS_REGION": self.object_store.region,
            "PROMETHEUS_URL": self.metrics,
            "FALAJ_KEYS": self.keys,
            "FALAJ_NAMESPACE": self.namespace,
            "FALAJ_PROVIDER": self.object_store.provider,
            "FALAJ_COUNTRY": self.residency.country or "",
            "FALAJ_RESIDENCY": str(self.residency.profile),
        }
        return {name: value for name, value in values.items() if value not in {EMBEDDED, ""}}


class _NoTwins(yaml.SafeLoader):
    """Refuse a key given twice; YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{name!r} is given twice", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)


def _explain(model: type[pydantic.BaseModel], problem: Any) -> str:
    """Say which field is wrong, and for an unknown one which was probably meant."""
    where = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        known = _fields(model, problem["loc"][:-1])
        return f"{where}: unknown field; {nearest(str(problem['loc'][-1]), known)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in {"enum", "literal_error"}:
        known = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        message = f"got {problem['input']!r}; {nearest(str(problem['input']), known)}"
    elif problem["type"] not in {"missing", "value_error"}:
        message = f"got {problem['input']!r}; {message.lower()}"
    return f"{where}: {message}" if where else message


def _fields(model: type[pydantic.BaseModel], path: tuple[Any, ...]) -> list[str]:
    for step in path:
        field = model.model_fields.get(str(step))
        kinds = [] if field is None else [field.annotation, *_arguments(field.annotation)]
        inner = [k for k in kinds if isinstance(k, type) and issubclass(k, pydantic.BaseModel)]
        model = inner[0] if inner else model
    return list(model.model_fields)


def _arguments(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", ())
