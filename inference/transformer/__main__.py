"""Serve a model by entity: features from the online store, then the predictor.

Exit code 2 means that something was said wrong, that no version was pinned, or that who may ask
was not said; SIGTERM drains.
"""

import logging
import os
import sys
from collections.abc import Sequence

from components.foundation.errors import FalajError
from inference.transformer.options import Options

_LOG = logging.getLogger("transformer")


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    options = Options.parse(argv)
    try:
        _serve(options)
    except FalajError as error:
        _LOG.error("%s", error.shown)
        return error.exit_code
    return 0


def _serve(options: Options) -> None:
    import uvloop

    from inference.server.security import tokens
    from inference.transformer.feast_source import FeastSource
    from inference.transformer.process import Process

    if options.pin.version is None:
        _LOG.warning("any version is taken: features and model may be of different releases")
    certificates = options.certificates()
    gate = tokens.gate(
        options.oidc_issuer,
        audience=options.oidc_audience,
        ca=options.oidc_ca,
        allow_anonymous=options.allow_anonymous,
    )
    source = FeastSource.open(
        options.feature_repository,
        service=options.feature_service,
        registry=options.feature_registry,
        environment=os.environ,
        cache=options.feature_cache,
    )
    listener = options.bind()
    uvloop.run(Process(options, listener, certificates, gate, source).serve())


if __name__ == "__main__":
    sys.exit(main())
