"""``verify --deep``: the memory of the moment of the freeze is in the image, and there again after a restart."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.verify import verify
from crtool.errors import UsageError

from .harness.catalogue import catalogue
from .harness.processes import family
from .harness.run import Run

# What differs between processes since forks; zeros; shared memory without a name; private pages of a file.
SPECIMENS = ["memory_fork_remapped", "memory_zero_pages", "memory_memfd_shared", "memory_file_private_changed"]


def memory_of(image: Path) -> dict[int, str]:
    return {found.pid: found.xxh3 for found in verify(image, deep=True).memory}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to choose PIDs")
@pytest.mark.parametrize("name", SPECIMENS)
def test_every_mode_keeps_the_memory(name: str, tmp_path: Path) -> None:
    (specimen,) = [specimen for specimen in catalogue() if specimen.name == name]
    # On one CPU, whose number the kernel writes into the memory of each thread that has asked for it (rseq).
    run = Run(specimen, tmp_path, prefix=["taskset", "-c", str(min(os.sched_getaffinity(0)))])
    try:
        run.await_ready()
        wanted = memory_of(run.checkpoint("--live", "fork"))
        members = family(run.root)
        found = {"off": memory_of(run.checkpoint("--live", "off", "--compress", "lz4"))}
        image = run.checkpoint("--kill", "--compress", "zstd")
        found["zstd"] = memory_of(image)
        run.restart(image, "--leave-stopped")
        image = run.checkpoint()
        found["restarted"] = memory_of(image)
        for pid in members:
            os.kill(pid, signal.SIGCONT)
        run.pass_judgement()
    finally:
        run.end()

    assert members == wanted.keys()
    assert len(members) == len({*wanted.values()})
    for how, memory in found.items():
        assert wanted == memory, how


def test_another_byte_is_another_checksum(tmp_path: Path) -> None:
    (specimen,) = [specimen for specimen in catalogue() if specimen.name == "memory_written_steadily"]
    run = Run(specimen, tmp_path)
    try:
        run.await_ready()
        first, second = (memory_of(run.checkpoint()) for _ in range(2))
    finally:
        run.end()

    assert first.keys() == second.keys()
    assert first != second


def test_a_pipe_is_not_read_twice(tmp_path: Path) -> None:
    null = subprocess.DEVNULL
    with subprocess.Popen(["sleep", "1000"], stdin=null, stdout=null, stderr=null, start_new_session=True) as process:
        image = checkpoint(process.pid, tmp_path / "image").image
        process.kill()
    with subprocess.Popen(["cat", str(image)], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        with pytest.raises(UsageError):
            verify(cat.stdout.fileno(), deep=True)
