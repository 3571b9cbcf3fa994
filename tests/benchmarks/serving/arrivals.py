"""Open load: requests that come when they come, whether or not earlier ones were answered."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from tests.benchmarks.serving.payloads import Payload
from tests.benchmarks.serving.statistics import percentile

_GIVE_UP = 10.0  # seconds after which a request counts as never answered


@dataclass(frozen=True, slots=True)
class Answer:
    """One request's fate; the time runs from when it was due, not from when it was sent."""

    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What came back."""

    answers: tuple[Answer, ...]
    seconds: float

    def goodput(self, *, deadline: float) -> float:
        """Good answers in time, a second."""
        return self._good(deadline) / self.seconds

    def lost(self, deadline: float) -> float:
        """Return the share of what came that had no good answer in time."""
        return 1 - self._good(deadline) / len(self.answers)

    def _good(self, deadline: float) -> int:
        return sum(a.status == 200 and a.seconds <= deadline for a in self.answers)

    def millis(self, share: float, *, status: int | None = None) -> float:
        """Return a percentile of the times to an answer of a status, or any; inf if none."""
        times = [a.seconds for a in self.answers if status in (None, a.status)] or [math.inf]
        return percentile(times, share) * 1e3

    def statuses(self) -> dict[int, int]:
        """Count answers by status; 0 is no answer."""
        counted: dict[int, int] = {}
        for answer in self.answers:
            counted[answer.status] = counted.get(answer.status, 0) + 1
        return dict(sorted(counted.items()))


@dataclass
class Client:
    """Sends requests over connections that stay open, and opens one where all are taken."""

    port: int
    keep: bool = True
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def send(self, message: bytes) -> int:
        """Return the status that came, or 0."""
        writer, stays = None, False
        try:
            reader, writer = self._idle.pop() if self._idle else await self._open()
            writer.write(message)
            status, stays = await _read(reader)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            status = 0
        finally:
            if writer is not None and stays and self.keep:
                self._idle.append((reader, writer))
            elif writer is not None:
                writer.close()
        return status

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


def written(payload: Payload) -> bytes:
    """Return a POST as it goes over the wire."""
    return _message("POST", payload.path, payload.headers, payload.body)


def got(path: str) -> bytes:
    """Return a GET as it goes over the wire."""
    return _message("GET", path, {}, b"")


def _message(method: str, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def _read(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read one answer; return its status, and whether the connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower().decode("latin-1")
    headers = dict(line.split(":", 1) for line in head.split("\r\n")[1:] if ":" in line)
    await reader.readexactly(int(headers.get("content-length", "0")))
    stays = headers.get("connection", "").strip() != "close"
    return int(head.split()[1]), stays


async def arrive(client: Client, message: bytes, *, rate: float, seconds: float) -> Arrivals:
    """Send requests at random times, so many a second on average; wait for all answers."""
    chance = random.Random(7)  # noqa: S311 - the same arrivals for every server
    began = time.perf_counter()
    due, under_way = began, []
    while (due := due + chance.expovariate(rate)) < began + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        under_way.append(asyncio.create_task(_timed(client.send(message), due)))
    return Arrivals(tuple(await asyncio.gather(*under_way)), seconds)


async def probe(client: Client, message: bytes, *, every: float, seconds: float) -> Arrivals:
    """Ask at a fixed beat, as a kubelet does, answered or not."""
    began = time.perf_counter()
    under_way = []
    for beat in range(int(seconds / every)):
        due = began + beat * every
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        under_way.append(asyncio.create_task(_timed(client.send(message), due)))
    return Arrivals(tuple(await asyncio.gather(*under_way)), seconds)


async def _timed(asked: Awaitable[int], due: float) -> Answer:
    try:
        status = await asyncio.wait_for(asked, _GIVE_UP)
    except TimeoutError:
        status = 0
    return Answer(status, time.perf_counter() - due)


async def keep_busy(client: Client, message: bytes, until: Callable[[], bool]) -> list[int]:
    """Send the same request over and over, one at a time; return the statuses."""
    statuses: list[int] = []
    while not until():
        statuses.append(await client.send(message))
        if statuses[-1] != 200:
            await asyncio.sleep(0.1)
    return statuses
