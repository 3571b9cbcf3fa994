"""Ask only what a project needs: a pipeline without a SQL source has no `sql_connection`."""

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any

from pipelines.project import Project, RestSource, SqlSource

Function = Callable[..., Any]


def without(names: Collection[str]) -> Callable[[Function], Function]:
    """Hide parameters of a pipeline function from KFP; they keep their defaults."""

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)
        kept = [one for name, one in signature.parameters.items() if name not in names]
        asked = signature.replace(parameters=kept)

        @functools.wraps(function)
        def asking(*values: Any, **named: Any) -> Any:
            return function(**asked.bind(*values, **named).arguments)

        asking.__signature__ = asked  # type: ignore[attr-defined]  # how inspect is told
        return asking

    return decorate


def sources_lacking(project: Project) -> set[str]:
    """Name the parameters of sources that a project has none of."""
    kinds = {type(source) for source in project.sources.values()}
    needs = {"sql_connection": SqlSource, "rest_url": RestSource}
    return {name for name, kind in needs.items() if kind not in kinds}
