"""A project folder: its sources, contracts, SQL, features, models and expectations.

Pipelines are built from one. Text (contracts, SQL) travels inside the compiled pipeline as
parameters; code (features, models) comes from the image by its import path.
"""

import pathlib
from typing import Annotated, Any, Literal, Self

import pydantic
import yaml

from components.foundation.errors import UserError, nearest
from components.foundation.statistics.task import Task

PROJECT_FILE = "project.yaml"


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class SqlSource(_Strict):
    """A table in a SQL database, read by a growing key: an integer or a time."""

    kind: Literal["sql"]
    table: str
    key: str
    connection: str = ""  # empty: the pipeline's sql_connection


class ObjectSource(_Strict):
    """Files in the object store, read when new or changed."""

    kind: Literal["objects"]
    source: str
    format: Literal["csv", "parquet", "jsonl"]


class RestSource(_Strict):
    """A paged REST collection, read from a growing integer cursor."""

    kind: Literal["rest"]
    path: str
    pagination: str
    items: str
    cursor: str
    since: str = "since"


Source = Annotated[SqlSource | ObjectSource | RestSource, pydantic.Field(discriminator="kind")]


class Curated(_Strict):
    """One curated table: a SELECT over `raw/NAME` and earlier `curated/NAME` tables."""

    sql: str
    reads: list[str]


class Features(_Strict):
    """The Feast repository, and the curated table with one row a prediction."""

    repo: str
    service: str
    entities: str
    columns: list[str]  # of the entity table: keys, times, and what is known when predicting


class Split(_Strict):
    column: str
    boundaries: list[str]


class Estimator(_Strict):
    """How one framework's model is trained."""

    entry_point: str
    loss: Literal["", "log_loss", "squared", "huber"] = ""  # empty: the task's first
    epochs: int = 8
    batch_size: int = 2048
    learning_rate: float = 0.003
    weight_decay: float = 0.0
    parameters: dict[str, Any] = {}


class Provenance(_Strict):
    """Who answers for a model; no release is sealed without."""

    licence: str  # an SPDX expression; LicenseRef- and a name of your own is one
    source: str
    trained_by: str


class Model(_Strict):
    name: str
    task: Task = Task.CLASSIFICATION
    label: str
    id: str
    time: str
    inputs: list[str]
    slices: list[str] = []
    expectations: str
    provenance: Provenance
    torch: Estimator | None = None
    tensorflow: Estimator | None = None

    @pydantic.model_validator(mode="after")
    def _has_an_estimator(self) -> Self:
        if not self.torch and not self.tensorflow:
            raise ValueError("has neither torch nor tensorflow; expected at least one")
        return self


class Project(_Strict):
    """A whole project; raises UserError naming the field that is wrong."""

    name: str
    folder: pathlib.Path = pydantic.Field(exclude=True)
    sources: dict[str, Source]
    contracts: dict[str, str]
    curated: dict[str, Curated]
    labels: str
    features: Features
    training_where: str = ""
    split: Split
    model: Model

    def text(self, file: str) -> str:
        """Read one of the project's own files."""
        path = self.folder / file
        if not path.is_file():
            raise UserError(
                f"{self.folder / PROJECT_FILE}: names {file}, which is not there",
                code="project-malformed",
            )
        return path.read_text()

    def contract(self, table: str) -> str:
        return self.text(self.contracts[table])

    @pydantic.model_validator(mode="after")
    def _names_hold(self) -> Self:
        """Refuse a name of a table that no other part of the file has."""
        sources, curated = list(self.sources), list(self.curated)
        for name, known, where in (
            (self.features.entities, curated, "features.entities"),
            (self.labels, curated, "labels"),
            *((name, sources, f"contracts.{name}") for name in self.contracts),
        ):
            if name not in known:
                raise ValueError(f"{where} names {name!r}; {nearest(name, known)}")
        if not self._origins():
            raise ValueError(
                f"contracts has none for what {self.features.entities!r} is made from; a release "
                "is sealed with the contract of its data"
            )
        return self

    def _origins(self) -> list[str]:
        """Name the raw tables with a contract that the entities come from, the nearest first."""
        entities = self.features.entities
        read = [source.partition("/")[2] for source in self.curated[entities].reads]
        return [name for name in (entities, *read) if name in self.contracts]

    @property
    def data_contract(self) -> str:
        """The contract of the entities' raw table, which is sealed with a model."""
        return self.contract(self._origins()[0])

    @property
    def environment(self) -> dict[str, str]:
        """What steps on this machine need to import the project's own code."""
        return {"PYTHONPATH": str(self.import_root)}

    @property
    def import_root(self) -> pathlib.Path:
        """The folder from which the project's own package is importable."""
        root = self.folder.resolve()
        while (root / "__init__.py").exists():
            root = root.parent
        return root


def load(folder: pathlib.Path) -> Project:
    """Read `project.yaml` of a folder.

    Raises:
        UserError: no such file, not YAML, or a field that is unknown, missing or of the
            wrong kind; the message names the field.
    """
    path = folder / PROJECT_FILE
    if not path.is_file():
        raise UserError(
            f"{path}: not found; a project folder has a {PROJECT_FILE}", code="project-missing"
        )
    try:
        raw = yaml.safe_load(path.read_text())
        return Project(folder=folder, **raw)
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}", code="project-malformed") from error
    except pydantic.ValidationError as error:
        raise UserError(f"{path}: {_what(error)}", code="project-malformed") from error


def _what(error: pydantic.ValidationError) -> str:
    """Say what is wrong: an unknown field first, for it explains a missing one."""
    found = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")[0]
    where = ".".join(str(part) for part in found["loc"])
    match found["type"]:
        case "extra_forbidden":
            known = list(Project.model_fields)
            return f"{where}: unknown; {nearest(str(found['loc'][-1]), known)}"
        case "missing":
            return f"{where}: {found['msg']}"
        case "value_error":  # ours, which says what it got
            return ": ".join(filter(None, [where, found["msg"].removeprefix("Value error, ")]))
        case _:
            return f"{where}: {found['msg']}, got {found['input']!r}"[:300]
