"""`falaj serve`: the champion behind a real endpoint, until Ctrl-C."""

import argparse
import json
import time
from typing import TYPE_CHECKING

from components.foundation.errors import Refused, UserError
from components.foundation.signature import Signature
from pipelines.commands import options
from pipelines.commands.screen import say
from pipelines.laptop import session
from pipelines.place import Place
from pipelines.project import Project, load

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs


def add(verbs: "Verbs") -> None:
    what = "serve a model's champion until Ctrl-C"
    parser = options.verb(verbs, "serve", what, "falaj serve delays")
    parser.add_argument("model", help="the project's model, e.g. delays")
    options.project(parser)
    options.site(parser)
    options.state(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Serve a model's champion until interrupted; print a request that works."""
    Place.here(arguments.site)
    project = load(arguments.project)
    if arguments.model != project.model.name:
        raise UserError(
            f"model {arguments.model!r}: project {project.name} has {project.model.name!r}",
            code="model-unknown",
        )
    with session.running(arguments.state) as laptop:
        release = serve_champion(project, laptop)
        if release is None:
            raise UserError(
                f"{arguments.model}: has no champion yet; `make run` makes one",
                code="channel-unset",
            )
        say(f"serving {arguments.model} from {release}; stop with Ctrl-C. Try:\n")
        print(_curl(project, laptop, release), flush=True)
        while True:
            time.sleep(3600)


def serve_champion(project: Project, laptop: session.Session) -> str | None:
    """Deploy the champion, if there is one; return its release."""
    from components.deployment.deploy.launch import Launch, launch
    from components.deployment.route import Route
    from components.deployment.slots import Capacity
    from components.foundation.audit import AuditLog
    from components.foundation.kubernetes.client import Cluster
    from components.foundation.sealing.channel import current
    from components.foundation.sealing.uri import ReleaseUri

    model = project.model.name
    champion = current(model, store=laptop.store, keys=laptop.keys)
    if champion is None:
        return None
    how = Launch(Route(model, session.host(model), "falaj"), Capacity(1, 1))
    cluster, log = Cluster.connect(laptop.environment), AuditLog(laptop.store)
    _, verdict = launch(cluster, ReleaseUri.parse(champion.uri), how, tell=log.record)
    if not verdict.passes:
        raise Refused(verdict.reason, code="deployment-failed")
    return champion.uri


def _curl(project: Project, laptop: session.Session, release: str) -> str:
    """Write a request for a real row beside the state, and the line that sends it."""
    from components.foundation.sealing.release import read_file
    from components.foundation.tables import TableRef

    sample = laptop.folder / "request.json"
    rows = laptop.tables.read(TableRef("falaj-features", f"{project.model.name}/scoring"))
    text = read_file(release, "signature.json", store=laptop.store, keys=laptop.keys)
    signature = Signature.from_dict(json.loads(text))
    sample.write_bytes(signature.request(signature.feed(rows.slice(0, 1)), id="try-me"))
    url = f"{laptop.gateway}/v2/models/{project.model.name}/infer"
    content = "Content-Type: application/json"
    host = f"Host: {session.host(project.model.name)}"
    return f"curl -s -H '{host}' -H '{content}' --data @{sample} {url}"
