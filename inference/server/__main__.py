"""Serve one model folder.

    python -m inference.server --model_name delays --model_dir /mnt/models --http_port 8080

The object store for observations comes by the AWS_* names. Exit code 2 means that the
folder is not what its signature or its release says, or that who may ask was not said;
SIGTERM drains, SIGHUP reads the folder again.
"""

import logging
import os
import sys
from collections.abc import Sequence

from components.foundation.errors import FalajError
from inference.server.options import Options

_LOG = logging.getLogger("server")


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    options = Options.parse(argv)
    try:
        return _serve(options)
    except FalajError as error:
        _LOG.error("%s", error.shown)
        return error.exit_code


def _serve(options: Options) -> int:
    from inference.server import memory
    from inference.server.process import Shared, run
    from inference.server.security import tokens
    from inference.server.telemetry.board import Board
    from inference.server.workers import Supervisor

    certificates = options.certificates()
    gate = tokens.gate(
        options.oidc_issuer,
        audience=options.oidc_audience,
        ca=options.oidc_ca,
        allow_anonymous=options.allow_anonymous,
    )
    memory.keep()
    board = Board(workers=options.workers)
    listener = options.bind()
    shared = Shared(options, listener, board, gate, certificates, os.environ)
    if options.workers == 1:
        return run(shared, 0)
    supervisor = Supervisor(
        options.workers, lambda n: run(shared, n), died=board.vacate, ending=listener.close
    )
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
