"""`python -m components.foundation.buckets`: what the job in the cluster runs."""

import argparse
import os
import sys
from collections.abc import Sequence

from components.foundation.buckets import program
from components.foundation.errors import FalajError


def main(argv: Sequence[str] | None = None) -> int:
    """Check or apply; return an exit code as `falaj` has them."""
    parser = argparse.ArgumentParser(prog="python -m components.foundation.buckets")
    program.options(parser)
    try:
        return program.run(parser.parse_args(argv), os.environ)
    except FalajError as error:
        print(f"buckets: {error.shown}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
