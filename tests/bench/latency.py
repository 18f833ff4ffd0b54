"""What the clients of a redis notice while `crtool run --every` saves it, beside the same redis without crtool.

    python tests/bench/latency.py [SECONDS [MIB]]        10 s each, 256 MiB of data, if it is not given

A client of our own asks 1,000 times a second and notes how long each answer takes; first it is alone, then
redis-benchmark with 4 connections takes all the time that there is. In turns without and with crtool, five of each; the
answers of all turns together. Not a test: nothing fails here.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import ROUNDS, bench, ready_memory

EVERY = 2


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def connect(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            time.sleep(0.02)


def latencies(port: int, seconds: float) -> list[float]:
    """How many ms each answer took; asked a millisecond apart, or as soon as the last one is there."""
    took = []
    with connect(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        due = start = time.perf_counter()
        while start + seconds > due:
            time.sleep(max(0, due - time.perf_counter()))
            asked = time.perf_counter()
            connection.sendall(b"INCR probe\r\n")
            while not connection.recv(64).endswith(b"\n"):
                pass
            answered = time.perf_counter()
            took.append(1000 * (answered - asked))
            due = max(asked + 0.001, answered)
    return took


def turn(folder: Path, with_crtool: bool, load: bool, seconds: float, mib: int) -> tuple[list[float], int]:
    """The latencies of one redis that was made for it, and how many images of it there were in the end."""
    port, null = free_port(), subprocess.DEVNULL
    command = ["redis-server", "--port", str(port), "--save", "", "--enable-debug-command", "local"]
    with tempfile.TemporaryDirectory(dir=folder) as name, open(Path(name, "said"), "w+b") as said:
        images = Path(name, "images")
        images.mkdir()
        if with_crtool:
            run = ["run", "-q", "--every", f"{EVERY}s", "--image", str(images), "--keep", "1000", "--"]
            command = [sys.executable, "-m", "crtool", *run, *command]
        ready_memory(3 * mib)
        server = subprocess.Popen(command, cwd=name, stdin=null, stdout=said, stderr=said, start_new_session=True)
        connection = connect(port)
        connection.sendall(b"DEBUG POPULATE %d key 1000\r\n" % (mib * 1000))
        if not connection.recv(64).startswith(b"+OK"):
            raise SystemExit("redis cannot be filled")
        connection.close()
        benchmark = ["redis-benchmark", "-p", str(port), "-t", "set,get", "-c", "4", "-r", "100000", "-l", "-q"]
        user = subprocess.Popen(benchmark, stdin=null, stdout=null, stderr=null) if load else None
        before = len(list(images.iterdir()))
        took = latencies(port, seconds)
        count = len(list(images.iterdir())) - before
        if user:
            user.kill()
            user.wait()
        server.send_signal(signal.SIGTERM)
        server.wait()
        said.seek(0)
        if with_crtool and (text := said.read().decode(errors="replace")) and "no checkpoint" in text:
            raise SystemExit(next(line for line in text.splitlines() if "no checkpoint" in line))
    return took, count


def main(seconds: float, mib: int) -> None:
    """Prints the table."""
    with bench() as folder:
        print(f"redis with {mib} MiB; ms      images  answers     p50     p99   p99.9  p99.99     max")
        for load in (False, True):
            found: dict[bool, tuple[list[float], list[int]]] = {False: ([], []), True: ([], [])}
            for _ in range(ROUNDS):
                for with_crtool, (took, counts) in found.items():
                    answers, count = turn(folder, with_crtool, load, seconds, mib)
                    took += answers
                    counts.append(count)
            for with_crtool, (took, counts) in found.items():
                took.sort()
                name = f"{'under load' if load else 'idle'}{f', saved every {EVERY} s' if with_crtool else ''}"
                row = f"{name:26} {sum(counts):6}  {len(took):7}"
                for share in (0.5, 0.99, 0.999, 0.9999, 1):
                    row += f"  {took[min(int(share * len(took)), len(took) - 1)]:6.2f}"
                print(row, flush=True)


if __name__ == "__main__":
    main(float([*sys.argv[1:], "10"][0]), int(sys.argv[2]) if sys.argv[2:] else 256)
