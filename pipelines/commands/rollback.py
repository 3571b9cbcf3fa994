"""`falaj rollback`: traffic back from a candidate, or to a version that was champion before."""

import argparse
import dataclasses
from typing import TYPE_CHECKING

from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.verdict import Decision
from pipelines.commands import options, serving
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from components.deployment.clearing import Tell
    from components.deployment.roll_back.back import Whole
    from components.deployment.slots import Version
    from components.foundation.storage import ObjectStore
    from components.foundation.verdict import Verdict
    from pipelines.commands.options import Verbs

_RELEASE = "sealed+s3://falaj-models/MODEL/VERSION"


def add(verbs: "Verbs") -> None:
    what = "take traffic from a candidate, or back to the champion before"
    shown = ("falaj rollback delays", f"falaj rollback delays --to {_RELEASE}")
    parser = options.verb(verbs, "rollback", what, *shown)
    parser.add_argument("model", help="name of the model, e.g. delays")
    parser.add_argument("--to", default="", metavar="RELEASE", help="one that was champion before")
    parser.add_argument("--why", default="by hand", help="what the verdict says, in a few words")
    parser.add_argument(
        "--timeout", type=float, default=300.0, metavar="SECONDS", help="for pods to be ready"
    )
    serving.add(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Roll back; say what has the traffic now."""
    from components.deployment.record import Record
    from components.deployment.roll_back.back import Back, roll_back
    from components.foundation.sealing.uri import ReleaseUri

    release = ReleaseUri.parse(arguments.to) if arguments.to else None
    with serving.place(arguments) as (cluster, environment):
        how = Back(
            _teller(environment), _completer(environment), release, arguments.why, arguments.timeout
        )
        verdict = roll_back(Record.open(cluster, arguments.model), how)
    if verdict.decision is Decision.REFUSE:
        raise Refused(verdict.reason, code="deployment-failed")
    say(str(verdict))
    return 0


def _teller(environment: "Mapping[str, str]") -> "Tell":
    """Return what records verdicts in the audit log.

    The store is looked for only when there is something to tell: traffic has moved by then,
    whether the environment names a store or not.
    """
    from components.foundation.audit import AuditLog

    def tell(verdict: "Verdict") -> None:
        try:
            AuditLog(_store(environment)).record(verdict)
        except (UserError, InfrastructureError) as error:
            raise InfrastructureError(
                f"{verdict}; but it is in no audit log: {error}; once there is a store, this "
                "command or the next deployment goes on",
                code="verdict-not-told",
            ) from error

    return tell


def _completer(environment: "Mapping[str, str]") -> "Whole":
    """Return what reads from a signed release what serves it, where an old record does not say."""
    from components.deployment import releases
    from components.foundation.sealing import release as sealed
    from components.foundation.sealing.keys import KeyRing

    def whole(version: "Version") -> "Version":
        keys = KeyRing.from_environment(environment)
        signed = sealed.read(version.release, store=_store(environment), keys=keys)
        return dataclasses.replace(version, runtime=releases.runtime(signed))

    return whole


def _store(environment: "Mapping[str, str]") -> "ObjectStore":
    from components.foundation.storage import ObjectStore, Settings

    return ObjectStore(Settings.from_environment(environment))
