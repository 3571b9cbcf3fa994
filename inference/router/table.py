"""One reading of the configuration, ready to serve: swapped whole, so nothing is ever mixed."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from inference.router.assignment import Split
from inference.router.config import Config, Variant
from inference.transport.client import Bounds, Call, Client, Failed, Origin

_READY: Final = Call(b"GET", b"/v2/health/ready")
_READY_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """An experiment, its split and the servers of its variants."""

    experiment: str
    split: Split
    clients: Mapping[str, Client]
    weighted: tuple[str, ...]  # variants that somebody gets

    @classmethod
    def of(cls, config: Config, *, bounds: Bounds, tls: ssl.SSLContext | None) -> "Table":
        return cls(
            config.experiment,
            Split(salt=config.experiment, weights=config.weights),
            {v.name: Client(_origin(v, tls), bounds) for v in config.variants},
            tuple(v.name for v in config.variants if v.weight > 0),
        )

    async def ready(self) -> bool:
        """Ask every variant that somebody gets whether it is ready."""
        asked = (_is_ready(self.clients[name]) for name in self.weighted)
        return all(await asyncio.gather(*asked))

    def close(self) -> None:
        """Keep no connection; requests under way are still answered."""
        for client in self.clients.values():
            client.close()


def _origin(variant: Variant, tls: ssl.SSLContext | None) -> Origin:
    return Origin(variant.host, variant.port, tls if variant.scheme == "https" else None)


async def _is_ready(client: Client) -> bool:
    try:
        return (await client.send(_READY, seconds=_READY_SECONDS)).status == 200
    except Failed:
        return False
