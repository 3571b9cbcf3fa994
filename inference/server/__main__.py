"""Serve one model folder.

    python -m inference.server --model_name delays --model_dir /mnt/models --http_port 8080

The object store for observations comes by the AWS_* names. Exit code 2 means that the
folder is not what its signature or its release says, or that who may ask was not said;
SIGTERM drains, SIGHUP reads the folder again.
"""

import logging
import os
import socket
import sys
from collections.abc import Sequence

from components.foundation.errors import FalajError, UserError
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
    from inference.server.process import Shared, run
    from inference.server.security import tls, tokens
    from inference.server.telemetry.board import Board
    from inference.server.workers import Supervisor

    certificates = tls.certificates(
        options.tls_cert,
        key=options.tls_key,
        client_ca=options.tls_client_ca,
        allow_plaintext=options.allow_plaintext,
    )
    gate = tokens.gate(
        options.oidc_issuer,
        audience=options.oidc_audience,
        ca=options.oidc_ca,
        allow_anonymous=options.allow_anonymous,
    )
    board = Board(workers=options.workers)
    listener = _bind(options.host, options.http_port)
    shared = Shared(options, listener, board, gate, certificates, os.environ)
    if options.workers == 1:
        return run(shared, 0)
    return Supervisor(options.workers, lambda n: run(shared, n), died=board.vacate).run()


def _bind(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise UserError(
            f"{host}:{port}: {error.strerror}; name another port", code="port-taken"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
