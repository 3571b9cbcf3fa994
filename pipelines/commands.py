"""What each command of `falaj` does; the parser is in __main__."""

import argparse
import json
import os
import pathlib
import tempfile
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console

from components.foundation.errors import Refused, UserError
from components.foundation.signature import Signature
from components.foundation.storage import ObjectStore, Settings
from pipelines.laptop import session
from pipelines.laptop.runner import LocalRunner
from pipelines.laptop.watch import StepRun
from pipelines.project import Project, load

if TYPE_CHECKING:
    from components.foundation.sealing.keys import KeyRing
    from pipelines.place import Place

_console = Console(highlight=False, soft_wrap=True, markup=False)


def compile_(arguments: argparse.Namespace) -> int:
    """Compile everything for a cluster; refuse what the linter finds."""
    from pipelines import compiled, linter
    from pipelines.place import Place

    place = Place.named(arguments.site)
    files = compiled.compile_all(load(arguments.project), place, arguments.out)
    findings = [finding for file in files for finding in linter.lint(file)]
    for finding in findings:
        _console.print(str(finding))
    if findings:
        raise Refused(f"{len(findings)} findings in {len(files)} compiled files; see above")
    _console.print(f"{len(files)} files in {arguments.out}, no findings")
    return 0


def catalogue(arguments: argparse.Namespace) -> int:
    """Print the catalogue, or write it as Markdown."""
    from pipelines import catalogue as listing

    if arguments.write:
        arguments.write.write_text(listing.markdown())
    else:
        print(listing.text())
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Run one pipeline through kfp.local against a laptop's own services."""
    from pipelines import compiled, parameters

    place = _laptop(arguments.site)
    pipeline = compiled.pipeline(arguments.pipeline, load(arguments.project), place)
    values = parameters.parse(arguments.values, pipeline)
    with session.running(arguments.state) as laptop:
        environment = {**place.site.environment(), **laptop.environment}
        runner = LocalRunner(arguments.state / "runs", environment, show)
        done = runner.run(pipeline, values)
    _console.print(f"{done.pipeline}: {len(done.steps)} steps in {done.seconds:.0f} s")
    return 0


def serve(arguments: argparse.Namespace) -> int:
    """Serve a model's champion until interrupted; print a request that works."""
    _laptop(arguments.site)
    project = load(arguments.project)
    if arguments.model != project.model.name:
        raise UserError(
            f"model {arguments.model!r}: project {project.name} has {project.model.name!r}"
        )
    with session.running(arguments.state) as laptop:
        release = serve_champion(project, laptop)
        if release is None:
            raise UserError(f"{arguments.model}: has no champion yet; `make run` makes one")
        _console.print(f"serving {arguments.model} from {release}; stop with Ctrl-C. Try:\n")
        print(_curl(project, laptop, release), flush=True)
        while True:
            time.sleep(3600)


def verify(arguments: argparse.Namespace) -> int:
    """Check every link of the audit log and every release, offline but for the store."""
    from components.foundation.audit import AuditLog
    from components.foundation.sealing import release
    from components.foundation.sealing.keys import KeyRing

    with session.storing(arguments.state) as laptop:
        keys = KeyRing.from_environment(laptop.environment)
        entries = AuditLog(laptop.store).verify()
        _console.print(f"audit log: {entries} entries, every link holds")
        uris = list(release.releases(store=laptop.store))
        refused = [uri for uri in uris if not _verified(uri, laptop.store, keys)]
    if refused:
        raise Refused(f"{len(refused)} of {len(uris)} releases do not verify; see above")
    return 0


def _verified(uri: str, store: ObjectStore, keys: "KeyRing") -> bool:
    """Say whether a release is what was sealed, and what is wrong if not."""
    from components.foundation.sealing import release

    try:
        release.verify(uri, store=store, keys=keys)
    except Refused as refusal:
        _console.print(f"refused: {refusal}", markup=False)
        return False
    _console.print(f"verified: {uri}", markup=False)
    return True


def seal(arguments: argparse.Namespace) -> int:
    """Seal a folder with the keys and store of the environment."""
    from components.foundation.sealing.release import seal as seal_release

    release = seal_release(
        arguments.folder, model=arguments.model, facts={}, store=_store(), keys=_keys()
    )
    print(release.uri)
    return 0


def unseal(arguments: argparse.Namespace) -> int:
    """Verify and decrypt a release into a folder."""
    from components.foundation.sealing.release import unseal as unseal_release

    release = unseal_release(arguments.uri, arguments.folder, store=_store(), keys=_keys())
    print(f"{release.uri} verified into {arguments.folder}")
    return 0


def residency_check(arguments: argparse.Namespace) -> int:
    """Print a verdict for each site file; refuse when any is refused."""
    from components.governance.attest_residency import attestation

    verdicts = [found for path in arguments.paths for found in attestation.check(path)]
    for verdict in verdicts:
        _console.print(str(verdict))
    refused = [verdict for verdict in verdicts if not verdict.passes]
    if refused:
        raise Refused(f"{len(refused)} of {len(verdicts)} sites refused")
    return 0


def show(step: StepRun) -> None:
    """Print one line for a step: its name, how long, and what came of it."""
    took = "unchanged" if step.cached else f"{step.seconds:.1f} s"
    line = f"    {step.title:<32} {took:>9}  {_gist(step.outputs)}"
    _console.print(line[:160].rstrip())


def _gist(outputs: Mapping[str, Any]) -> str:
    """Say in a few words what a step gave: a verdict, or a table with its rows."""
    if verdict := outputs.get("verdict"):
        return f"{verdict['decision']}: {verdict['reason']}"
    words = []
    for name, value in sorted(outputs.items()):
        match value:
            case int() | float() if value:
                words.append(f"{name.replace('_', ' ')} {_number(value)}")
            case dict() if name in {"rows", "quarantined", "summary"} and value:
                words.append(f"{name} " + ", ".join(f"{k} {_number(v)}" for k, v in value.items()))
            case str() if "s3://" in value:
                words.append(value)
    return "  ".join(words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4f}"


def serve_champion(project: Project, laptop: session.Session) -> str | None:
    """Deploy the champion, if there is one; return its release."""
    from components.deployment.deploy.launch import Launch, launch
    from components.deployment.route import Route
    from components.deployment.slots import Capacity
    from components.foundation.kubernetes.client import Cluster
    from components.foundation.sealing.channel import current
    from components.foundation.sealing.keys import KeyRing
    from components.foundation.sealing.uri import ReleaseUri

    model = project.model.name
    keys = KeyRing.from_environment(laptop.environment)
    champion = current(model, store=laptop.store, keys=keys)
    if champion is None:
        return None
    how = Launch(Route(model, session.host(model), "falaj"), Capacity(1, 1))
    cluster = Cluster.connect(laptop.environment)
    _, verdict = launch(cluster, ReleaseUri.parse(champion.uri), how)
    if not verdict.passes:
        raise Refused(verdict.reason)
    return champion.uri


def _curl(project: Project, laptop: session.Session, release: str) -> str:
    """Write a request for a real row beside the state, and the line that sends it."""
    from components.foundation.tables import TableRef

    sample = laptop.folder / "request.json"
    rows = laptop.tables.read(TableRef("falaj-features", f"{project.model.name}/scoring"))
    signature = _signature(laptop, release)
    sample.write_bytes(signature.request(signature.feed(rows.slice(0, 1)), id="try-me"))
    url = f"{laptop.gateway}/v2/models/{project.model.name}/infer"
    content = "Content-Type: application/json"
    host = f"Host: {session.host(project.model.name)}"
    return f"curl -s -H '{host}' -H '{content}' --data @{sample} {url}"


def _signature(laptop: session.Session, release: str) -> Signature:
    from components.foundation.sealing.keys import KeyRing
    from components.foundation.sealing.release import unseal

    keys = KeyRing.from_environment(laptop.environment)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "release"
        unseal(release, folder, store=laptop.store, keys=keys)
        return Signature.from_dict(json.loads((folder / "signature.json").read_text()))


def _laptop(site: str) -> "Place":
    """Read a site on which this machine can run; a cluster is not one."""
    from pipelines.place import Place

    place = Place.named(site)
    if place.on_kubernetes:
        raise UserError(
            f"site {site}: is a cluster; compile with `falaj compile` and upload build/pipelines"
        )
    return place


def _environment() -> Mapping[str, str]:
    return os.environ


def _store() -> ObjectStore:
    return ObjectStore(Settings.from_environment(_environment()))


def _keys() -> Any:
    from components.foundation.sealing.keys import KeyRing

    return KeyRing.from_environment(_environment())
