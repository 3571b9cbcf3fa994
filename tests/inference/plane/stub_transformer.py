"""A stand-in for the transformer: it asks the server, and fails as often as its version says.

Its 9th and 10th digits, where they are decimal, are percent.
"""

import argparse
import collections
import http.client
import http.server
import random

parser = argparse.ArgumentParser()
for name in ("--model_name", "--http_port", "--predictor_host", "--expected_version"):
    parser.add_argument(name)
options, _ = parser.parse_known_args()  # features, TLS and tokens are not its matter
said = options.expected_version[8:10]
bad = int(said if said.isdecimal() else 0) / 100
counts: collections.Counter[int] = collections.Counter({200: 0})
labels = f'model="{options.model_name}",version="{options.expected_version}"'


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/metrics":
            lines = ["# TYPE falaj_transformer_requests_total counter"]
            lines += [
                f'falaj_transformer_requests_total{{{labels},code="{code}"}} {n}'
                for code, n in counts.items()
            ]
            self.answer(200, "\n".join(lines).encode() + b"\n")
        else:
            self.answer(*self.asked("GET", b""))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        failed = random.random() < bad  # noqa: S311 - a stand-in's errors
        code, content = (504, b'{"model_version": ""}') if failed else self.asked("POST", body)
        counts[code] += 1
        self.answer(code, content)

    def asked(self, method: str, body: bytes) -> tuple[int, bytes]:
        """Return what the server answers, 503 where it does not."""
        client = http.client.HTTPConnection(options.predictor_host, timeout=5)
        try:
            client.request(method, self.path, body)
            answer = client.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 503, b'{"model_version": ""}'
        finally:
            client.close()

    def answer(self, code: int, content: bytes) -> None:
        self.send_response(code)
        self.send_header("content-length", str(len(content)))
        self.send_header("x-before", "transformer")
        self.end_headers()
        self.wfile.write(content)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(options.http_port)), Handler).serve_forever()
