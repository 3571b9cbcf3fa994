"""Run the plane: a Kubernetes API for serving, and a gateway, on loopback.

    python -m inference.plane --state DIR --kubeconfig PATH

Prints one line once both ports answer, and writes them to DIR/ports.json. Environment that
pods need (AWS_*, FALAJ_KEYS) is passed on. SIGTERM and Ctrl-C stop everything.
"""

import argparse
import asyncio
import contextlib
import fcntl
import json
import pathlib
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import yaml

from components.foundation.errors import FalajError, UserError
from inference.plane.api import Api
from inference.plane.federation import federate
from inference.plane.gateway import Gateway
from inference.plane.objects import Objects
from inference.plane.pods import Programs
from inference.plane.workloads import Workloads
from inference.transport.limits import Limits
from inference.transport.messages import Handler
from inference.transport.server import BACKLOG, Server

_DRAIN_SECONDS = 2.0  # for requests under way at the end


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    options.state.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(options.state), asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_run(options))
    except FalajError as error:
        print(f"plane: {error.shown}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference.plane", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--state", type=pathlib.Path, required=True, help="folder for objects and model files")
    add("--kubeconfig", type=pathlib.Path, required=True, help="file to write for clients")
    add("--api-port", type=int, default=0, help="0 (the default) takes a free port")
    add("--gateway-port", type=int, default=0, help="0 (the default) takes a free port")
    add("--until-eof", action="store_true", help="stop when standard input ends")
    add("--initializer", default=Programs().initializer, help="module or .py file of a pod's init")
    add("--server", default=Programs().server, help="module or .py file of a pod's server")
    add("--transformer", default=Programs().transformer, help="likewise, of what stands before it")
    return parser


async def _run(options: argparse.Namespace) -> None:
    """Serve until a signal comes, then stop every pod."""
    stop = _stop_signal()
    if options.until_eof:
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: _AtEof(stop), sys.stdin)
    pods = options.state / "pods"
    shutil.rmtree(pods, ignore_errors=True)  # model files of an unclean end
    objects = Objects(options.state / "objects.json")
    programs = Programs(options.initializer, options.server, options.transformer)
    workloads = Workloads(objects, pods, programs)
    gateway = Gateway(objects, workloads.pick)
    objects.changed += [workloads.changed, gateway.changed]
    objects.load()
    api = Api(objects, lambda selectors: federate(workloads.ready(), selectors))
    async with (
        _serving(api, options.api_port) as api_port,
        _serving(gateway, options.gateway_port) as gateway_port,
    ):
        _publish(options, {"api": api_port, "gateway": gateway_port})
        await stop.wait()
    await workloads.close()


@contextlib.asynccontextmanager
async def _serving(handler: Handler, port: int) -> AsyncIterator[int]:
    """Serve on a loopback port, given to the block; 0 takes a free one."""
    with socket.create_server(("127.0.0.1", port), backlog=BACKLOG) as listener:
        bound: int = listener.getsockname()[1]
        async with Server(handler, Limits()).running(
            listener, tls=None, drain_seconds=_DRAIN_SECONDS
        ):
            yield bound


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


class _AtEof(asyncio.Protocol):
    """Stop when whoever started us closes our standard input, also by being killed."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, error: Exception | None) -> None:
        self._stop.set()


def _publish(options: argparse.Namespace, ports: dict[str, int]) -> None:
    """Write where we are, whole files at once: readers wait for them to appear."""
    host = f"http://127.0.0.1:{ports['api']}"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "plane", "cluster": {"server": host}}],
        "users": [{"name": "anyone", "user": {}}],
        "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "anyone"}}],
        "current-context": "plane",
        "preferences": {"gateway": f"http://127.0.0.1:{ports['gateway']}"},
    }
    _write(options.kubeconfig, yaml.safe_dump(config))
    _write(options.state / "ports.json", json.dumps(ports))
    print(f"plane: api {host} gateway http://127.0.0.1:{ports['gateway']}", flush=True)


def _write(path: pathlib.Path, content: str) -> None:
    half = path.with_name(f"{path.name}.part")
    half.write_text(content)
    half.replace(path)


@contextlib.contextmanager
def _alone(state: pathlib.Path) -> Iterator[None]:
    """Hold the folder's lock; the system lets go of it however we end."""
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{state}: another plane uses it; stop it or name another", code="folder-in-use"
            ) from None
        yield


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Use uvloop where it is installed; it halves the gateway's cost."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    raise SystemExit(main())
