"""The command line `falaj`: build, run, serve and check.

Exit codes: 0 well, 2 your input, 3 refused by a policy or gate, 75 try again later.
"""

import argparse
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from components.foundation.errors import FalajError
from pipelines import commands

_EXAMPLES = (
    "falaj compile --out build",
    "falaj run monitoring --set since=2013-08-01 --set until=2013-09-01",
    "falaj serve delays",
    "falaj residency check pipelines/sites",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.do(arguments) or 0)
    except FalajError as error:
        print(f"falaj: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="falaj",
        description="Machine learning that stays in the UAE, on Kubeflow.",
        epilog=_shown(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    _build_verbs(verbs)
    _run_verbs(verbs)
    _release_verbs(verbs)
    _policy_verbs(verbs)
    return parser


if TYPE_CHECKING:
    _Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _verb(verbs: "_Verbs", name: str, what: str, *examples: str) -> argparse.ArgumentParser:
    """Add a command, with one sentence and lines to copy."""
    return verbs.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=_shown(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _shown(examples: Iterable[str]) -> str:
    return "\n  ".join(["examples:", *examples])


def _build_verbs(verbs: "_Verbs") -> None:
    what = "compile pipelines and components to IR YAML, linted"
    make = _verb(verbs, "compile", what, "falaj compile", "falaj compile --site my-site.yaml")
    _project_option(make)
    out = pathlib.Path("build")
    make.add_argument("--out", type=pathlib.Path, default=out, help="folder to write to")
    make.add_argument("--site", default="cluster", help="a site file, or the name of one here")
    make.set_defaults(do=commands.compile_)
    what = "list every component: what for, in, out"
    listing = ("falaj catalogue", "falaj catalogue --write docs/components.md")
    catalogue = _verb(verbs, "catalogue", what, *listing)
    catalogue.add_argument("--write", type=pathlib.Path, help="write Markdown to this file")
    catalogue.set_defaults(do=commands.catalogue)


def _run_verbs(verbs: "_Verbs") -> None:
    again = "falaj run monitoring --set since=2013-08-01 --set until=2013-09-01"
    rollout = "falaj run deployment --set release=sealed+s3://... --set 'steps=[5, 25, 50]'"
    run = _verb(verbs, "run", "run a pipeline on this machine", again, rollout)
    run.add_argument("pipeline", help="training-torch, deployment, ...")
    _project_option(run)
    _site_options(run)
    values = "a parameter of the pipeline; lists as JSON"
    run.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="values", help=values
    )
    run.set_defaults(do=commands.run)
    what = "serve a model's champion until Ctrl-C"
    serve = _verb(verbs, "serve", what, "falaj serve delays")
    serve.add_argument("model", help="the project's model, e.g. delays")
    _project_option(serve)
    _site_options(serve)
    serve.set_defaults(do=commands.serve)


def _release_verbs(verbs: "_Verbs") -> None:
    what = "sign and encrypt a release folder into the store"
    seal = _verb(verbs, "seal", what, "falaj seal out/release --model delays")
    seal.add_argument("folder", type=pathlib.Path, help="holds model.onnx, signature.json, ...")
    seal.add_argument("--model", required=True, help="name of the model, e.g. delays")
    seal.set_defaults(do=commands.seal)
    what = "verify and decrypt a release into a folder"
    uri = "sealed+s3://falaj-models/MODEL/VERSION"
    unseal = _verb(verbs, "unseal", what, f"falaj unseal {uri} out/opened")
    unseal.add_argument("uri", help=uri)
    unseal.add_argument("folder", type=pathlib.Path, help="new or empty")
    unseal.set_defaults(do=commands.unseal)
    what = "check the audit log and every sealed release"
    verify = _verb(verbs, "verify", what, "falaj verify", "falaj verify --state out/laptop")
    _state_option(verify)
    verify.set_defaults(do=commands.verify)


def _policy_verbs(verbs: "_Verbs") -> None:
    example = "falaj residency check pipelines/sites"
    residency = _verb(verbs, "residency", "judge where bytes may go", example)
    deeper = residency.add_subparsers(required=True, metavar="COMMAND")
    check = _verb(deeper, "check", "judge site files, or every one in a folder", example)
    check.add_argument("paths", nargs="+", type=pathlib.Path, metavar="PATH")
    check.set_defaults(do=commands.residency_check)


def _project_option(parser: argparse.ArgumentParser) -> None:
    default = pathlib.Path("examples/flights")
    parser.add_argument("--project", type=pathlib.Path, default=default, help="project folder")


def _site_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", default="laptop", help="a site file, or the name of one here")
    _state_option(parser)


def _state_option(parser: argparse.ArgumentParser) -> None:
    default = pathlib.Path("out/laptop")
    parser.add_argument(
        "--state", type=pathlib.Path, default=default, help="where a laptop's data are"
    )


if __name__ == "__main__":
    raise SystemExit(main())
