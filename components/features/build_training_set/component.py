"""Join features to entity rows as they were known at each row's time (a training set).

Reads: the registry; the entity table; the tables of the service's feature views.
Writes: a Delta table in one commit, or nothing if it holds the same request's rows already.
Needs: the object store (AWS_*); FALAJ_CACHE for data files.
Fails when: a name is unknown or the definitions changed (2), a feature knows the future (3),
rows were lost or the store did not answer (75).
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("data")
def build_training_set(
    repo: str,
    registry: str,
    entities: str,
    feature_service: str,
    columns: list,
    label: str,
    target: str,
    report: dsl.Output[dsl.HTML],
    where: str = "",
    tables: list = [],  # noqa: B006 - kfp wants a literal default, and never changes it
) -> NamedTuple("Outputs", [("table", str), ("rows", int)]):
    """Join features point in time; rows out are rows in, none knows the future.

    Args:
        repo: import path of the package with the Feast repository, e.g. examples.flights.features.
        registry: reference that apply_features gave.
        entities: table with one row a prediction, e.g. s3://falaj-curated/flights@7.
        feature_service: which features, e.g. lateness.
        columns: columns of the entity table to keep: entity keys, event_timestamp, and what
            is known at request time.
        label: label column of the entity table; empty for rows to be scored.
        target: table to write, e.g. s3://falaj-features/training.
        report: leakage report: where every feature comes from in time, and what is missing.
        where: SQL condition on the entity table, e.g. late IS NOT NULL; empty for all rows.
        tables: references of feature tables to read at a version,
            e.g. ["s3://falaj-curated/weather@3"]; others are read at their latest.

    Returns:
        table: reference of the training set, version pinned.
        rows: how many rows it has.
    """
    from components.features.build_training_set import training_set
    from components.features.build_training_set.report import render
    from components.features.build_training_set.request import Request
    from components.features.repository import Repository
    from components.step import step

    with step("build_training_set") as here:
        repository = Repository.load(repo, here.environment, cache=here.cache)
        pinned, rows = [here.reads(text) for text in tables], here.reads(entities)
        asked = Request.parse(registry, feature_service, rows, columns, label, where, target)
        found = training_set.join(repository, asked, here.tables, pinned=pinned)
        here.record(found.verdict)
        here.publish(report, render(found), rows=found.rows, judged=str(found.digest))
        here.uses(*found.sources)
        return (here.writes(training_set.write(found, here.tables)), found.rows)
