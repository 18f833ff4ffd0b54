"""Servers whose clients are outside the tree: the same connections go on after checkpoint --kill and restart."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from .midwork import PATIENCE, REPOSITORY, need

pytestmark = pytest.mark.machine("nf_tables")  # by which connections are held
KEYS = 50_000


class Server:
    """A server in a folder of its own, and what crtool does to it."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.folder = folder
        self.images = 0
        with open(folder / "out", "ab") as out:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.root = self.process.pid

    def crtool(self, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.folder / "crtool", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "crtool", *arguments],
                cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def checkpoint(self, *options: str) -> str:
        self.images += 1
        image = str(self.folder / f"{self.images}.crt")
        assert 0 == self.crtool("checkpoint", str(self.root), "-o", image, *options).wait(PATIENCE), self.log()
        return image

    def again(self, *options: str) -> None:
        """Kill and restart; *options*: of the checkpoint."""
        members = psutil.Process(self.root).children(recursive=True)
        image = self.checkpoint("--kill", *options)
        self.process.wait(PATIENCE)
        for member in members:  # orphans come to us
            with suppress(ChildProcessError):
                os.waitpid(member.pid, 0)
        pidfile = self.folder / "pid"
        pidfile.unlink(missing_ok=True)
        self.process = self.crtool("restart", image, "--pidfile", str(pidfile))
        until(lambda: pidfile.exists() or self.process.poll() is not None)
        assert pidfile.exists(), self.log()

    def log(self) -> str:
        return "".join((self.folder / name).read_text(errors="replace") for name in ("out", "crtool"))[-3000:]

    def end(self) -> None:
        if self.process.poll() is None:
            os.kill(self.root, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.kill(self.root, signal.SIGKILL)
                self.process.wait(PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def connect(port: int) -> socket.socket:
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), PATIENCE)
        except ConnectionRefusedError:
            assert time.monotonic() < limit
            time.sleep(0.02)


class Redis(Server):
    """A redis-server with a connection, which speaks the lines of its protocol."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        command = ["redis-server", "--port", str(self.port), "--save", "", "--bind", "127.0.0.1", "--unixsocket", ""]
        super().__init__(folder, command)
        self.connection = connect(self.port)
        self.reader = self.connection.makefile("rb")

    def ask(self, line: str) -> bytes:
        self.connection.sendall(line.encode() + b"\r\n")
        return self.reader.readline().strip()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    try:
        yield server
    finally:
        server.end()
        server.reader.close()
        server.connection.close()


@need("redis-server", "redis-cli")
def test_redis_and_its_clients(redis: Redis) -> None:
    """50,000 keys, a client that asks, and one that waits for what is published."""
    lines = "".join(f"SET key:{number} {number * number}\r\n" for number in range(KEYS))
    filled = subprocess.run(
        ["redis-cli", "-p", str(redis.port), "--pipe"], input=lines, capture_output=True, text=True, check=True
    )
    assert f"replies: {KEYS}" in filled.stdout
    with subprocess.Popen(
        ["redis-cli", "-p", str(redis.port), "SUBSCRIBE", "news"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as subscriber:
        assert subscriber.stdout is not None
        assert [b"subscribe", b"news", b"1"] == [subscriber.stdout.readline().strip() for _ in range(3)]
        for number in range(3):
            redis.again()
            assert b":1" == redis.ask(f"PUBLISH news number{number}")
            heard = [subscriber.stdout.readline().strip() for _ in range(3)]
            assert [b"message", b"news", b"number%d" % number] == heard
        assert b":50000" == redis.ask("DBSIZE")
        assert b"$10" == redis.ask("GET key:49999")
        assert b"2499900001" == redis.reader.readline().strip()
        subscriber.kill()


@need("redis-server", "redis-benchmark")
def test_a_benchmark_during_checkpoints(redis: Redis) -> None:
    """Nobody who talks to a server that goes on finds an error."""
    command = ["redis-benchmark", "-p", str(redis.port), "-t", "set,get,incr", "-n", "60000", "-c", "50", "-q"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as benchmark:
        assert benchmark.stdout is not None
        taken = 0
        while benchmark.poll() is None and taken < 5:
            redis.checkpoint()
            taken += 1
        said = benchmark.stdout.read()
    assert 0 == benchmark.returncode, said
    assert taken
    assert "rror" not in said
    assert "GET" in said


NGINX = """
daemon off; master_process on; worker_processes 2; pid nginx.pid; error_log error.log;
events { worker_connections 64; }
http { access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4;
       scgi_temp_path t5; server { listen 127.0.0.1:PORT; root .; } }
"""
SIZE = 8_000_000


@need("nginx", "curl")
def test_nginx_and_a_slow_download(tmp_path: Path) -> None:
    """curl takes a file slowly, from a master with two workers that is away for a moment."""
    os.chmod(tmp_path, 0o755)  # the workers are somebody else
    port = free_port()
    content = b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(SIZE // 32))
    (tmp_path / "file.bin").write_bytes(content)
    (tmp_path / "nginx.conf").write_text(NGINX.replace("PORT", str(port)) + "user root;\n")
    server = Server(tmp_path, ["nginx", "-p", str(tmp_path), "-c", "nginx.conf"])
    try:
        connect(port).close()
        got = tmp_path / "got.bin"
        command = ["curl", "-s", "--limit-rate", "2M", "-o", str(got), f"http://127.0.0.1:{port}/file.bin"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as curl:
            until(lambda: got.exists() and got.stat().st_size > SIZE // 8)
            server.again()
            assert 0 == curl.wait(PATIENCE)
        assert content == got.read_bytes()
        again = subprocess.run(["curl", "-s", command[-1]], capture_output=True, check=True)
        assert content == again.stdout
    finally:
        server.end()
