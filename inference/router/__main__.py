"""Split a model's requests among servers.

    python -m inference.router --config router.json --http_port 8080 --allow_plaintext

Exit code 2 means that the configuration is wrong or that protection was not said; SIGTERM
drains, SIGHUP reads the configuration again and takes it whole or not at all.
"""

import logging
import socket
import sys
from collections.abc import Sequence

from components.foundation.errors import FalajError, UserError
from inference.router.options import Options

_LOG = logging.getLogger("router")


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    options = Options.parse(argv)
    try:
        _serve(options)
    except FalajError as error:
        _LOG.error("%s", error.shown)
        return error.exit_code
    return 0


def _serve(options: Options) -> None:
    import uvloop

    from inference.router.config import Config
    from inference.router.process import Process, upstream_tls
    from inference.server.security import tls

    config = Config.read(options.config)
    certificates = tls.certificates(
        options.tls_cert,
        key=options.tls_key,
        client_ca=options.tls_client_ca,
        allow_plaintext=options.allow_plaintext,
    )
    checks = upstream_tls(options.upstream_ca)
    listener = _bind(options.host, options.http_port)
    uvloop.run(Process(options, listener, certificates, config, checks).serve())


def _bind(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise UserError(
            f"{host}:{port}: {error.strerror}; name another port", code="port-taken"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
