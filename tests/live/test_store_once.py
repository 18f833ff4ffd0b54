"""What processes share since a fork is in the image once, and shared again after a restart."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crtool.engine.snapshot import Snapshot
from crtool.image import codec
from crtool.image.reader import ImageReader

from .harness.catalogue import catalogue
from .harness.processes import family
from .harness.run import Run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see which frames pages are in")


def proportional(root: int) -> int:
    """Bytes of memory of a tree, each page once (Pss)."""
    found = 0
    for pid in family(root):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found += int(re.findall(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[0]) << 10
    return found


def run_of(name: str, folder: Path) -> Run:
    (specimen,) = [specimen for specimen in catalogue() if specimen.name == name]
    return Run(specimen, folder)


@pytest.mark.parametrize("options", ["--kill", "--live fork", "--kill --compress lz4"])
def test_pages_are_stored_once_and_shared_again(options: str, tmp_path: Path) -> None:
    run = run_of("memory_fork_many", tmp_path)
    try:
        run.await_ready()
        before = proportional(run.root)
        image = run.checkpoint(*options.split())
        if "--kill" not in options:
            run.pass_judgement()
        if "lz4" not in options:
            assert image.stat().st_size < 1.1 * before
        run.restart(image)
        after = proportional(run.root)
        run.pass_judgement()
    finally:
        run.end()

    assert after < 1.05 * before


def test_a_pipe_brings_what_came_with_another_process(tmp_path: Path) -> None:
    """By the time that it is needed it has come by. What only children share is not shared again."""
    run = run_of("memory_fork_many", tmp_path)
    pidfile = tmp_path / "pid"
    try:
        run.await_ready()
        before = proportional(run.root)
        image = run.checkpoint("--kill")
        command = ["sh", "-c", f"cat {image} | {sys.executable} -m crtool restart - --detach --pidfile {pidfile}"]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        after = proportional(run.root)
        os.kill(run.root, signal.SIGTERM)
        assert os.waitpid(run.root, 0) == (run.root, 0)
    finally:
        run.end()

    assert b"ready\nPASS\n" == run.printed()
    assert after < 2.5 * before


def test_what_is_copied_while_all_stand_still_is_compared_too(tmp_path: Path) -> None:
    """Processes of less than a MiB are not forked but copied."""
    run = run_of("tree_children_50", tmp_path)
    try:
        run.await_ready()
        image = run.checkpoint("--live", "auto")
        run.pass_judgement()
    finally:
        run.end()

    with ImageReader.open(image) as reader:
        memories = codec.unpack(reader.records, Snapshot).memories
        assert 51 == len(memories)
        assert not memories[0].shared
        stored = sum(extent.length for memory in memories[1:] for extent in memory.extents)
        assert stored < 2 * sum(shared.length for memory in memories[1:] for shared in memory.shared)
        assert all(0 <= shared.data < memory.data for memory in memories for shared in memory.shared)
