"""The command line `falaj`: build, run, serve and check.

Exit codes: 0 well, 2 your input, 3 refused by a policy or gate, 75 try again later.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from components.foundation.errors import FalajError
from pipelines import commands

_EXAMPLES = """examples:
  falaj compile --out build
  falaj run training-torch --site laptop --set epochs=4
  falaj serve delays
  falaj residency check pipelines/sites/cluster.yaml
"""


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
        epilog=_EXAMPLES,
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


def _build_verbs(verbs: "_Verbs") -> None:
    make = verbs.add_parser("compile", help="compile pipelines and components to IR YAML, linted")
    _project_option(make)
    make.add_argument("--out", type=pathlib.Path, default=pathlib.Path("build"))
    make.add_argument("--site", default="cluster", help="a site file, or the name of one here")
    make.set_defaults(do=commands.compile_)
    catalogue = verbs.add_parser("catalogue", help="list every component: what for, in, out")
    catalogue.add_argument("--write", type=pathlib.Path, help="write Markdown to this file")
    catalogue.set_defaults(do=commands.catalogue)


def _run_verbs(verbs: "_Verbs") -> None:
    run = verbs.add_parser("run", help="run a pipeline on this machine")
    run.add_argument("pipeline", help="training-torch, deployment, ...")
    _site_options(run)
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="values")
    run.set_defaults(do=commands.run)
    serve = verbs.add_parser("serve", help="serve a model's champion until Ctrl-C")
    serve.add_argument("model")
    _site_options(serve)
    serve.set_defaults(do=commands.serve)


def _release_verbs(verbs: "_Verbs") -> None:
    seal = verbs.add_parser("seal", help="sign and encrypt a release folder into the store")
    seal.add_argument("folder", type=pathlib.Path)
    seal.add_argument("--model", required=True)
    seal.set_defaults(do=commands.seal)
    unseal = verbs.add_parser("unseal", help="verify and decrypt a release into a folder")
    unseal.add_argument("uri", help="sealed+s3://falaj-models/MODEL/VERSION")
    unseal.add_argument("folder", type=pathlib.Path)
    unseal.set_defaults(do=commands.unseal)
    verify = verbs.add_parser("verify", help="check the audit log and every sealed release")
    _site_options(verify)
    verify.set_defaults(do=commands.verify)


def _policy_verbs(verbs: "_Verbs") -> None:
    residency = verbs.add_parser("residency", help="where bytes may go")
    check = residency.add_subparsers(required=True).add_parser("check", help="check site files")
    check.add_argument("paths", nargs="+", type=pathlib.Path)
    check.set_defaults(do=commands.residency_check)


def _project_option(parser: argparse.ArgumentParser) -> None:
    default = pathlib.Path("examples/flights")
    parser.add_argument("--project", type=pathlib.Path, default=default, help="project folder")


def _site_options(parser: argparse.ArgumentParser) -> None:
    _project_option(parser)
    parser.add_argument("--site", default="laptop", help="a site file, or its name")
    parser.add_argument("--state", type=pathlib.Path, default=pathlib.Path("out/laptop"))


if __name__ == "__main__":
    raise SystemExit(main())
