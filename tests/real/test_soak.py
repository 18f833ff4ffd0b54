"""A busy server that is saved again and again, and goes on: its clients notice nothing, and nothing adds up in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.kernel import nftables
from crtool.procfs.read import read

from .midwork import need
from .test_servers import Redis, redis

__all__ = ["redis"]

LONG = bool(os.environ.get("CRTOOL_LONG"))
COUNT, SECONDS = (10_000, 1200.0) if LONG else (300, 25.0)
"""So many checkpoints, or as many as fit into the time."""
GROWTH = 8 << 20
"""Bytes by which the resident memory of a busy redis may vary."""
PROBE = """
import json, select, socket, sys, time
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
answers, took, count = connection.makefile("rb"), {}, 0
while not select.select([0], [], [], 0)[0]:
    count += 1
    start = time.perf_counter()
    connection.sendall(b"INCR probe\\r\\n")
    assert answers.readline() == b":%d\\r\\n" % count
    upto = 1 << int((time.perf_counter() - start) * 1e6).bit_length()
    took[upto] = took.get(upto, 0) + 1
print(json.dumps(sorted(took.items())))
"""
"""A client that counts, and notes how long each answer takes: [microseconds at the most, how often]."""


@pytest.mark.timeout(1500)
@need("redis-server", "redis-benchmark")
def test_redis_under_load(redis: Redis, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    load = ["redis-benchmark", "-p", str(redis.port), "-t", "set,get,incr", "-c", "20", "-r", "1000", "-q", "-l"]
    pipe, file = subprocess.PIPE, tmp_path / "benchmark"
    with (
        open(file, "wb") as said,
        subprocess.Popen(load, stdout=said, stderr=said) as benchmark,
        subprocess.Popen([sys.executable, "-c", PROBE, str(redis.port)], stdin=pipe, stdout=pipe) as probe,
    ):
        try:
            image = tmp_path / "image"
            save(redis, image)
            before = what_it_has(redis)
            frozen = []
            start = time.monotonic()
            while len(frozen) < COUNT and time.monotonic() < start + SECONDS:
                frozen.append(save(redis, image))
                assert (benchmark.poll(), probe.poll()) == (None, None), file.read_text()[-1000:]
            took = time.monotonic() - start
            after = what_it_has(redis)
            latencies = json.loads(probe.communicate(b"\n", 60)[0])
        finally:
            probe.kill()
            benchmark.kill()
    record_property("figures", told(frozen, took, latencies))

    assert probe.returncode == 0
    assert "rror" not in file.read_text(errors="replace")
    assert before[:2] == after[:2]
    assert after[2] - before[2] < GROWTH


def save(redis: Redis, image: Path) -> float:
    """A checkpoint; for how many seconds the server stood still."""
    tcp = "keep" if nftables.why_not() is None else "close"
    return checkpoint(redis.root, image, force=True, tcp=tcp).frozen_seconds


def what_it_has(redis: Redis) -> tuple[int, int, int]:
    """Mappings, descriptors, and bytes of resident memory."""
    pages = int(read(redis.root, "statm").split()[1])
    return read(redis.root, "maps").count(b"\n"), len(os.listdir(f"/proc/{redis.root}/fd")), pages * 4096


def told(frozen: list[float], took: float, latencies: list[tuple[int, int]]) -> str:
    frozen = sorted(frozen)
    lines = [
        f"redis under load: {len(frozen)} checkpoints in {took:.0f} s; it stood still for "
        f"{frozen[len(frozen) // 2] * 1000:.1f} ms (median), {frozen[-1] * 1000:.1f} ms (most)",
        "  latencies that a client saw:",
    ]
    answers = sum(count for _, count in latencies)
    for upto, count in latencies:
        lines.append(f"  < {upto:>9,} µs {count:>9,}  {100 * count / answers:6.2f} %")
    return "\n".join(lines)
