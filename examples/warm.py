"""A service that is slow to start, started warm: loaded once, and brought back in no time, as often as you like.

    python warm.py load             # loads for a while, saves itself to warm.crt, and ends
    crtool restart --pidns warm.crt # a running copy: says on which port it serves

Each copy takes its port after it has come back, so that there may be many at once.
"""

import http.server
import json
import sys
import time

import crtool


def load() -> dict[str, int]:
    """Something slow: in life, a model or an index."""
    table = {}
    for number in range(200_000):
        table[f"key {number}"] = number * number
    time.sleep(1)
    return table


class Answer(http.server.BaseHTTPRequestHandler):
    """GET /17 answers with the square of 17."""

    table: dict[str, int] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        value = self.table.get(f"key {self.path.strip('/')}")
        body = json.dumps(value).encode()
        self.send_response(200 if value is not None else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


if sys.argv[1:] != ["load"]:
    sys.exit(__doc__)
started = time.monotonic()
Answer.table = load()
print(f"loaded in {time.monotonic() - started:.1f} s", flush=True)
if crtool.checkpoint_self("warm.crt", force=True) == "restarted":
    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    print(f"serving on port {server.server_port}", flush=True)
    server.serve_forever()
