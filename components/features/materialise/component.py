"""Load the newest features into the online store, and read them back.

Reads: the registry; the tables of all feature views that are online.
Writes: the online store that feature_store.yaml names; the time loaded, in the registry.
Needs: the object store (AWS_*); the online store (FALAJ_ONLINE_STORE: a file, for SQLite).
Fails when: the definitions changed or a table is missing (2), a store did not answer (75).
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("data")
def materialise(
    repo: str,
    registry: str,
    end: str,
    report: dsl.Output[dsl.HTML],
    tables: list = [],  # noqa: B006 - kfp wants a literal default, and never changes it
) -> NamedTuple("Outputs", [("verdict", dict), ("decision", str), ("rows", int)]):
    """Load features for serving; what is read back must be what a training row would get.

    Args:
        repo: import path of the package with the Feast repository, e.g. examples.flights.features.
        registry: reference that apply_features gave.
        end: load what was known by then, ISO 8601, UTC if no zone, e.g. 2013-07-01T00:00:00Z;
            empty: now.
        report: rows loaded and read back, view by view.
        tables: references of feature tables to read at a version,
            e.g. ["s3://falaj-curated/weather@3"]; others are read at their latest.

    Returns:
        verdict: accept if the online store answers what was loaded.
        decision: the verdict's decision alone, for a gate.
        rows: keys loaded, over all views.
    """
    from components.features.materialise import load
    from components.features.materialise.report import render
    from components.features.registry_store.reference import RegistryRef
    from components.features.repository import Repository
    from components.step import step

    with step("materialise") as here:
        repository = Repository.load(repo, here.environment, cache=here.cache)
        moment, wanted = load.parse_time(end), RegistryRef.parse(registry)
        pinned = [here.reads(text) for text in tables]
        loaded = load.load(repository, wanted, here.tables, end=moment, pinned=pinned)
        here.uses(*loaded.sources)
        verdict = here.record(loaded.verdict)
        here.publish(report, render(verdict), rows=loaded.rows)
        return (verdict.to_dict(), str(verdict.decision), loaded.rows)
