"""Stages that several pipelines share, from a project's words to tasks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from components.evaluation.gate.component import gate
from components.features.apply_features.component import apply_features
from components.governance.attest_residency.component import attest_residency
from components.ingestion.ingest_objects.component import ingest_objects
from components.ingestion.ingest_rest.component import ingest_rest
from components.ingestion.ingest_sql.component import ingest_sql
from components.preparation.curate.component import curate
from components.preparation.validate.component import validate
from pipelines.place import Place
from pipelines.project import ObjectSource, Project, RestSource, SqlSource


def attest(place: Place) -> Any:
    """Ask first whether the site keeps bytes where its law wants them; return the gate."""
    attested = attest_residency(site=place.site.text())
    place.settle(attested, name="Attest residency", memory="1G")
    return hold(place, attested, name="Gate on residency")


def ingest(
    project: Project, place: Place, *, sql_connection: Any, rest_url: Any, after: Any
) -> dict[str, Any]:
    """Bring sources to their raw tables; return name -> reference of the raw table."""
    return {
        name: place.settle(
            _ingest_one(project, name, sql_connection, rest_url).after(after),
            name=f"Ingest {name}",
            cached=False,
            retries=3,
        ).outputs["table"]
        for name in project.sources
    }


def _ingest_one(project: Project, name: str, sql_connection: Any, rest_url: Any) -> Any:
    target = f"s3://falaj-raw/{name}"
    match project.sources[name]:
        case SqlSource() as source:
            return ingest_sql(
                connection=source.connection or sql_connection,
                table=source.table,
                key=source.key,
                target=target,
            )
        case ObjectSource() as source:
            return ingest_objects(source=source.source, format=source.format, target=target)
        case RestSource() as source:
            return ingest_rest(
                url=f"{rest_url}{source.path}",
                pagination=source.pagination,
                items=source.items,
                cursor=source.cursor,
                since=source.since,
                target=target,
            )


def check_contracts(
    project: Project, place: Place, raw: Mapping[str, Any], *, as_of: Any
) -> dict[str, Any]:
    """Validate every raw table that has a contract; return name -> the gate to wait for."""
    gates = {}
    for name in (name for name in project.contracts if name in raw):
        checked = validate(table=raw[name], contract=project.contract(name), as_of=as_of)
        place.settle(checked, name=f"Validate {name}")
        gates[name] = hold(place, checked, name=f"Gate on {name}")
    return gates


def hold(place: Place, judged: Any, *, name: str) -> Any:
    """Fail the run here unless the verdict passes."""
    return place.settle(gate(verdict=judged.outputs["verdict"]), name=name, memory="1G")


def curate_all(
    project: Project, place: Place, raw: Mapping[str, Any], *, gates: Mapping[str, Any]
) -> dict[str, Any]:
    """Curate tables in their order in the project; return the tasks.

    Contracts hold for raw tables: rows that break one are quarantined on the way, and a table
    whose gate says no holds up only what is made from it.
    """
    known = {f"raw/{name}": reference for name, reference in raw.items()}
    made = {}
    for name, table in project.curated.items():
        aliases = {source.partition("/")[2]: source for source in table.reads}
        checked = [a for a, s in aliases.items() if s in _raw_with_contract(project)]
        task = curate(
            tables={alias: known[source] for alias, source in aliases.items()},
            sql=project.text(table.sql),
            target=f"s3://falaj-curated/{name}",
            contracts={alias: project.contract(alias) for alias in checked},
        ).after(*(gates[alias] for alias in checked))
        made[name] = place.settle(task, name=f"Curate {name}", memory="4G")
        known[f"curated/{name}"] = task.outputs["table"]
    return made


def _raw_with_contract(project: Project) -> set[str]:
    return {f"raw/{name}" for name in project.contracts}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What preparation leaves for later stages, as references."""

    entities: Any
    feature_tables: list[Any]
    registry: Any


def prepare(
    project: Project, place: Place, *, sql_connection: Any, rest_url: Any, as_of: Any
) -> Prepared:
    """Take every source to curated tables, and define the features over them."""
    raw = ingest(
        project, place, sql_connection=sql_connection, rest_url=rest_url, after=attest(place)
    )
    gates = check_contracts(project, place, raw, as_of=as_of)
    made = curate_all(project, place, raw, gates=gates)
    applied = place.settle(apply_features(repo=project.features.repo), name="Apply features")
    kept = {project.features.entities, project.labels}
    return Prepared(
        entities=made[project.features.entities].outputs["table"],
        feature_tables=[task.outputs["table"] for n, task in made.items() if n not in kept],
        registry=applied.outputs["registry"],
    )
