"""Register a Feast repository: entities, feature views and feature services.

Reads: the repository's package (definitions, feature_store.yaml).
Writes: the registry object that feature_store.yaml names, by compare-and-swap, if it changes.
Needs: the object store (AWS_*); FALAJ_ONLINE_STORE if the online store is a file.
Fails when: the package or a definition is wrong (2), somebody else applies at once (75).
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("data")
def apply_features(
    repo: str,
    report: dsl.Output[dsl.HTML],
) -> NamedTuple("Outputs", [("registry", str), ("views", list)]):
    """Register feature definitions; applying twice writes once.

    Args:
        repo: import path of the package with the Feast repository, e.g. examples.flights.features.
        report: what is registered: views, their keys, features and time to live.

    Returns:
        registry: reference with a digest of the definitions,
            e.g. s3://falaj-features/flights/registry.db#sha256:...
        views: names of the registered feature views.
    """
    from components.features.apply_features import apply
    from components.features.apply_features.report import render
    from components.features.repository import Repository
    from components.step import step

    with step("apply_features") as here:
        repository = Repository.load(repo, here.environment, cache=here.cache)
        applied = apply.apply(repository)
        page = render(applied, project=repository.project)
        here.publish(report, page, views=len(applied.views))
        return (here.writes(str(applied.registry)), [view.name for view in applied.views])
