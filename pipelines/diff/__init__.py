"""Compare compiled pipelines with released ones, in the words of those who call them."""

import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from components.foundation.errors import UserError
from pipelines.diff import callers, steps
from pipelines.diff.change import Change
from pipelines.ir import Compiled

__all__ = ["Change", "both", "compare", "one"]


def both(
    released: pathlib.Path, files: Sequence[pathlib.Path]
) -> tuple[dict[str, Compiled], dict[str, Compiled]]:
    """Return what was released and what is compiled now; of one released file, its like alone.

    Raises:
        UserError: there is nothing, or something that is no compiled pipeline.
    """
    before, now = read(released), _by_name(files)
    if released.is_file():
        now = {name: one for name, one in now.items() if name in before}
    return before, now


def read(path: pathlib.Path) -> dict[str, Compiled]:
    """Return what a file or folder of compiled pipelines holds, by the names KFP knows."""
    if not path.exists():
        raise UserError(
            f"{path}: no such file or folder; name what an earlier `falaj compile` wrote",
            code="file-missing",
        )
    files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
    found = _by_name(file for file in files if file == path or not _is_object(file))
    if not found:
        raise UserError(f"{path}: holds no compiled pipeline", code="pipeline-malformed")
    return found


def _by_name(files: Iterable[pathlib.Path]) -> dict[str, Compiled]:
    """Read files by the names that KFP knows; of two with one name nobody knows which is meant."""
    found: dict[str, Compiled] = {}
    for one in map(Compiled.read, files):
        if one.pipeline in found:
            raise UserError(
                f"{one.name}: is named {one.pipeline}, as {found[one.pipeline].name} is; remove "
                "the one that is not meant",
                code="pipeline-malformed",
            )
        found[one.pipeline] = one
    return found


def _is_object(path: pathlib.Path) -> bool:
    """Say whether a file is one of the Kubernetes objects that `--kubernetes` writes beside."""
    return any(line.startswith("kind: ") for line in path.read_text(encoding="utf-8").splitlines())


def compare(
    released: Mapping[str, Compiled], now: Mapping[str, Compiled]
) -> Iterator[tuple[str, list[Change]]]:
    """Yield each pipeline or component that is not what was released, and how it is not."""
    for name in sorted({*released, *now}):
        if found := list(_named(released.get(name), now.get(name))):
            yield name, found


def _named(released: Compiled | None, now: Compiled | None) -> Iterable[Change]:
    if now is None:
        name = "" if released is None else released.pipeline
        return [Change("is gone; its schedules and callers have nothing to run", name)]
    return [Change("is new")] if released is None else one(released, now)


def one(released: Compiled, now: Compiled) -> Iterator[Change]:
    """Yield how one pipeline is different: for its callers first, then for a run."""
    yield from callers.changes(released, now)
    yield from steps.changes(released, now)
    for word, (before, after) in _whole(released, now).items():
        if before != after:
            yield Change(f"the pipeline's {word} is another")


def _whole(released: Compiled, now: Compiled) -> Mapping[str, tuple[object, object]]:
    """Return what is said of a whole pipeline, before and now."""
    roots = [one.spec.get("defaultPipelineRoot") for one in (released, now)]
    settings = [
        one.platforms.get("kubernetes", {}).get("pipelineConfig") for one in (released, now)
    ]
    return {
        "root": (roots[0], roots[1]),
        "workspace or lifetime": (settings[0], settings[1]),
    }
