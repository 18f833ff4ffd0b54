"""Faults on purpose, as CRTOOL_FAULT asks for them, and how the matrices of them are told."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from crtool import faults

from ..live.harness import warm
from .matrix import DONE, REFUSED, UNUSED, record, run_with, share, tables


def checkpoint(pid: int, image: Path, fault: str, *, cold: bool = False) -> tuple[int, str]:
    """The status and the words of a crtool that is told to fail."""
    arguments = ["checkpoint", str(pid), "-o", str(image)]
    environment = {**os.environ, "CRTOOL_FAULT": fault}
    with tempfile.TemporaryFile("w+") as said:
        if cold:
            command = [sys.executable, "-m", "crtool", *arguments]
            status = subprocess.run(command, env=environment, stdout=said, stderr=said, timeout=60).returncode
        else:
            status = warm.start(arguments, environment, said.fileno(), said.fileno()).wait(60)
        said.seek(0)
        return status, said.read()


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_the_points_are_listed(cold: bool, sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    file = tmp_path / "points"
    status, said = checkpoint(sleeper.pid, tmp_path / "image", f"list={file}", cold=cold)
    points = file.read_text().splitlines()

    assert 0 == status, said
    assert "preflight begin 1" == points[0]
    assert 1 == points.count("sync 1")
    assert len(points) == len({*points})


def test_a_disk_is_full_at_a_point(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    status, said = checkpoint(sleeper.pid, tmp_path / "image", "sync 1=ENOSPC")

    assert 126 == status, said
    assert "no space is left there" in said
    assert sleeper.poll() is None
    assert [] == [*tmp_path.iterdir()]


def transfer() -> None:
    """What passes a point, and then ends with the error that is to come."""
    faults.point("here")
    if faults.fail_transfer():
        raise OSError


def test_an_error_that_no_call_meets_has_not_happened() -> None:
    assert UNUSED == run_with(lambda: faults.point("here"), "here 1", "EIO")
    assert UNUSED == run_with(transfer, "here 1", "EINTR")
    assert DONE == run_with(lambda: faults.point("here"), "here 1", lambda _: None)
    assert run_with(transfer, "here 1", "EIO") not in (UNUSED, DONE, REFUSED)


def test_a_table_says_how_many_of_its_parts_have_passed() -> None:
    one = record("restart", {("batch 1", "EIO"): "n"}, ["EIO"], "n: nothing", (0, 8), ["batch 1", "batch 3"])
    other = record("restart", {("batch 2", "EIO"): "m"}, ["EIO"], "n: nothing", (5, 8))
    (table,) = tables([one, ("of another kind", 1), other])

    assert "restart: 2 of 8 parts" == table.splitlines()[0]
    assert ["batch", "×2", "1m", "1n"] == table.splitlines()[3].split()
    assert "2 points × 1 faults: 2 cells" == table.splitlines()[-2].strip()
    assert table.endswith(": batch 3")


def test_each_point_is_one_parts_whatever_others_there_are() -> None:
    points = [f"batch {number}" for number in range(200)]
    shares = [share(points, part, 8) for part in range(8)]

    assert sorted(points) == sorted(point for part in shares for point in part)
    assert all(10 < len(part) < 40 for part in shares)
    assert [point for point in shares[3] if point in points[::2]] == share(points[::2], 3, 8)
