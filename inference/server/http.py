"""The HTTP server beneath: uvicorn on uvloop and httptools, draining on SIGTERM."""

import types

import uvicorn

from inference.server.app import App

_DRAIN_SECONDS = 25  # below the 30 s that Kubernetes grants by default
_IDLE_SECONDS = 75  # above the 60 s after which gateways commonly close idle connections


class Server(uvicorn.Server):
    """Says that it is not ready any more before it stops listening."""

    def __init__(self, app: App) -> None:
        config = uvicorn.Config(
            app,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        self._app.draining = True
        super().handle_exit(sig, frame)
