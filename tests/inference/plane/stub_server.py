"""A stand-in for the server: readiness, metadata, inference, counters.

A version of 12 digits says in its last two how often inference fails, in percent.
"""

import argparse
import collections
import http.server
import json
import pathlib
import random

parser = argparse.ArgumentParser()
for name in ("--model_name", "--model_dir", "--http_port", "--variant"):
    parser.add_argument(name)
options, _ = parser.parse_known_args()  # TLS and tokens are not its matter
version = (pathlib.Path(options.model_dir) / "version").read_text()
bad = int(version[10:] or 0) / 100
counts: collections.Counter[int] = collections.Counter()
labels = f'model="{options.model_name}",version="{version}",variant="{options.variant}"'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/metrics":
            lines = ["# TYPE inference_requests_total counter"]
            lines += [
                f'inference_requests_total{{{labels},code="{code}"}} {n}'
                for code, n in counts.items()
            ]
            self.answer(200, "\n".join(lines) + "\n")
        else:
            self.answer(200, json.dumps({"name": options.model_name, "versions": [version]}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        code = 500 if random.random() < bad else 200  # noqa: S311 - a stand-in's errors
        counts[code] += 1
        self.answer(code, json.dumps({"model_version": version}))

    def answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(options.http_port)), Handler).serve_forever()
