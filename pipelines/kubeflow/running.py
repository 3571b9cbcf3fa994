"""Start a run once, and follow it to its end."""

import datetime
import functools
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.site import Site
from pipelines.kubeflow import settling
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.failures import Unsettled
from pipelines.kubeflow.values import WELL, Run, Task, Version

EVERY_S = 5.0  # between looks at a run
_CODE = re.compile(r"exit code (\d+)")
_AROUND = re.compile(r"^(root|executor)$|-driver$")  # what KFP starts besides our steps


@dataclass(frozen=True, slots=True)
class Started:
    """A run that goes on, and where to look at it."""

    run: Run
    link: str
    new: bool


def fresh_name(pipeline: str) -> str:
    """Return a name that no other run has."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{pipeline}-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def start(
    client: Client,
    version: Version,
    *,
    name: str,
    experiment: str,
    parameters: Mapping[str, Any],
    site: Site,
) -> Started:
    """Find the run of that name, else start it, and its experiment before.

    KFP gives two runs the same name if asked twice, so nothing is asked twice: where no answer
    came and no such run is there, that is what is raised.

    Raises:
        UserError: the run of that name is another.
    """
    under = experiment_of(client, experiment)
    runs = client.runs(name, experiment=under)
    if runs:
        _hold_same(runs[0], version, parameters)
        return Started(runs[0], link(client, runs[0].id), new=False)
    try:
        run = client.create_run(
            name,
            version,
            experiment=under,
            parameters=parameters,
            root=site.pipeline_root,
            service_account=site.pipelines.service_account if site.pipelines else "",
        )
    except Unsettled as error:
        run = _look_again(client, name, under, error)
    return Started(run, link(client, run.id), new=True)


def _hold_same(run: Run, version: Version, parameters: Mapping[str, Any]) -> None:
    """Refuse to follow a run of something else: its end says nothing of what was asked for."""
    got, wanted = (run.version, dict(run.parameters)), (version.id, dict(parameters))
    if run.version and got != wanted:
        what = "of another version" if run.version != version.id else "with other parameters"
        raise UserError(
            f"run {run.name}: is there already, {what}; give this one another --name, "
            "or the same version and parameters to follow it",
            code="run-differs",
        )


def experiment_of(client: Client, name: str) -> str:
    """Find an experiment, else create it; return its id."""
    made, _ = settling.once(
        functools.partial(client.experiment, name),
        functools.partial(client.create_experiment, name),
    )
    return made


def link(client: Client, run: str) -> str:
    return f"{client.link}/#/runs/details/{run}"


def follow(client: Client, run: Run, *, told: Callable[[Task], None]) -> Run:
    """Tell of each step that ends, until the run has ended; return it."""
    seen: set[str] = set()
    while True:
        run = client.run(run.id)
        for task in _steps(run):
            if task.state in {*WELL, "FAILED", "CANCELED"} and task.id not in seen:
                seen.add(task.id)
                told(task)
        if run.ended:
            return run
        time.sleep(EVERY_S)


def judge(run: Run, *, link: str) -> None:
    """Raise what a run that did not end well ended with; steps end with exit codes of ours."""
    if run.state in WELL:
        return
    if run.state == "CANCELED":
        raise Refused(f"run {run.name}: somebody stopped it; {link}", code="run-canceled")
    raise _failed(run, link)


def _failed(run: Run, link: str) -> FalajError:
    step, said = _blamed(run)
    where = f"run {run.name}: {f'step {step}' if step else 'it'} failed: {said}; look at {link}"
    code = _CODE.search(said)
    match int(code.group(1)) if code else None:
        case Refused.exit_code:
            return Refused(where, code="run-refused")
        case InfrastructureError.exit_code:
            return InfrastructureError(where, code="run-interrupted")
        case _:
            return UserError(where, code="run-failed")


def _blamed(run: Run) -> tuple[str, str]:
    """Return the step that failed by itself, not for what lies in it, and what it said."""
    failed = [task for task in run.tasks if task.state == "FAILED"]
    around = {task.parent for task in failed}
    alone = [task for task in failed if task.id not in around] or failed
    if not alone:
        return "", run.message or "without a word"
    first = next((task for task in alone if task.message), alone[0])
    return _name(first, run), first.message or run.message or "without a word"


def _name(task: Task, run: Run) -> str:
    """Return a step's name; what KFP starts around a step bears that of its parent."""
    by_id = {one.id: one for one in run.tasks}
    while _AROUND.search(task.name) and task.parent in by_id:
        task = by_id[task.parent]
    return task.name


def _steps(run: Run) -> Iterator[Task]:
    return (task for task in run.tasks if not _AROUND.search(task.name))


def _look_again(client: Client, name: str, experiment: str, error: Unsettled) -> Run:
    for pause in settling.PAUSES:
        time.sleep(pause)
        if runs := client.runs(name, experiment=experiment):
            return runs[0]
    raise Unsettled(
        f"{error}; no run {name} is there yet; `--name {name}` finds it, or starts it if it never "
        "was",
        code="kfp-unsettled",
    ) from error
