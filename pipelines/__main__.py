"""The command line `falaj`: build, run, serve and check.

Exit codes: 0 well, 2 your input, 3 refused by a policy or gate, 75 try again later.
"""

import argparse
import sys
from collections.abc import Sequence

from components.foundation.errors import FalajError
from pipelines.commands import (
    buckets,
    catalogue,
    channels,
    compile,
    doctor,
    errors,
    explain,
    keys,
    new,
    options,
    put,
    rbac,
    releases,
    report,
    residency,
    rewrap,
    rollback,
    run,
    runs,
    schedule,
    serve,
    status,
    upload,
    verify,
)

_COMMANDS = (
    new,
    compile,
    catalogue,
    put,
    upload,
    run,
    schedule,
    runs,
    report,
    serve,
    status,
    rollback,
    releases,
    channels,
    verify,
    keys,
    rewrap,
    explain,
    residency,
    buckets,
    rbac,
    doctor,
    errors,
)
_EXAMPLES = (
    "falaj compile --out build",
    "falaj run monitoring --set since=2013-08-01 --set until=2013-09-01",
    "falaj serve delays",
    "falaj residency check pipelines/sites",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.do(arguments) or 0)
    except FalajError as error:
        print(f"falaj: {error.shown}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """Build the parser of every command."""
    whole = argparse.ArgumentParser(
        prog="falaj",
        description="Machine learning that stays in the UAE, on Kubeflow.",
        epilog=options.shown(_EXAMPLES),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = whole.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add(verbs)
    return whole


if __name__ == "__main__":
    raise SystemExit(main())
