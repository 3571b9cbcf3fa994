"""The weather, behind a small REST service as one finds them: pages, a rate limit, bad moments.

`GET /weather?since=ID&page=N&size=ROWS` answers `{"items": [...]}` with the observations whose
id is greater than `since`, up to the end of the month that is "now". Every few requests it
answers 429 with Retry-After, or 503 without a word; the same ones for the same seed.

    python -m examples.flights.weather_service --month 7 --port 8080
"""

import argparse
import contextlib
import http.server
import json
import threading
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from examples.flights import published

PATH = "/weather"
PAGE_ROWS = 2000
RETRY_AFTER_S = 1
_BUSY_EVERY, _DOWN_EVERY = 7, 5  # requests; a year of weather is 14 pages
_MEASURED = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)


@dataclass
class Weather:
    """What the service knows, and how it behaves.

    Attributes:
        month: "now"; may be moved while the service runs.
        seed: which requests it refuses.
    """

    month: int
    seed: int = 0
    requests: int = 0
    refused: dict[int, int] = field(default_factory=dict)  # status -> how often

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Return a status and a body for a request."""
        self.requests += 1
        turn = self.requests + self.seed
        if turn % _BUSY_EVERY == 2:
            return self._refuse(429, "too many requests")
        if turn % _DOWN_EVERY == 4:
            return self._refuse(503, "the thermometer is being read")
        if path != PATH:
            return 404, {"error": f"no {path}; there is {PATH}"}
        return 200, {"items": self._page(query)}

    def _page(self, query: dict[str, str]) -> list[dict[str, Any]]:
        since, page = int(query.get("since", 0)), int(query.get("page", 1))
        size = min(int(query.get("size", PAGE_ROWS)), PAGE_ROWS)
        return _rows(self.month, since, (page - 1) * size, size)

    def _refuse(self, status: int, why: str) -> tuple[int, Any]:
        self.refused[status] = self.refused.get(status, 0) + 1
        return status, {"error": why}


def _rows(month: int, since: int, offset: int, size: int) -> list[dict[str, Any]]:
    import polars as pl

    return (
        published.weather()
        .filter((pl.col("month") <= month) & (pl.col("id") > since))
        .slice(offset, size)
        .select("id", "origin", "time", pl.col(*_MEASURED).cast(pl.Float64))
        .to_dicts()
    )


@contextlib.contextmanager
def running(month: int, *, seed: int = 0, port: int = 0) -> Iterator[str]:
    """Run the service in a thread on a loopback port; yield its address, without a path."""
    with serving(Weather(month, seed), port=port) as url:
        yield url


@contextlib.contextmanager
def serving(weather: Weather, *, port: int = 0) -> Iterator[str]:
    """Serve this weather; the caller may look at it and move its month meanwhile."""
    published.weather()  # read the file now, not within the first request
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _handler(weather))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(weather: Weather) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urllib.parse.urlsplit(self.path)
            try:
                status, body = weather.answer(parts.path, dict(urllib.parse.parse_qsl(parts.query)))
            except ValueError as error:
                status, body = 400, {"error": str(error)}
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 429:
                self.send_header("Retry-After", str(RETRY_AFTER_S))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a story's output is not the place for access logs."""

    return Handler


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Serve the weather of New York, 2013.")
    parser.add_argument("--month", type=int, default=12, help="the month that is now, 1 to 12")
    parser.add_argument("--port", type=int, default=0, help="port; 0 picks a free one")
    options = parser.parse_args(argv)
    with running(options.month, port=options.port) as url:
        print(f"{url}{PATH}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
