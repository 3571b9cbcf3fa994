"""Split a model's requests among servers.

    python -m inference.router --config router.json --http_port 8080 --allow_plaintext

Exit code 2 means that the configuration is wrong or that protection was not said; SIGTERM
drains, SIGHUP reads the configuration again and takes it whole or not at all.
"""

import logging
import sys
from collections.abc import Sequence

from components.foundation.errors import FalajError
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
    from inference.router.process import Process
    from inference.transport.tls import upstream_tls

    config = Config.read(options.config)
    certificates = options.certificates()
    checks = upstream_tls(options.upstream_ca)
    listener = options.bind()
    uvloop.run(Process(options, listener, certificates, config, checks).serve())


if __name__ == "__main__":
    sys.exit(main())
