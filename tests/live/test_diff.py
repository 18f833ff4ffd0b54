"""Two images of a living process, between which it has done what it was told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import crtool
from crtool.engine.diff import diff
from crtool.engine.results import Change, ImageDifference
from crtool.errors import NotFound

# Executable, so that the kernel does not join it with a neighbour.
_PROGRAM = """
import mmap, os, sys
anonymous = mmap.mmap(-1, 64 << 12, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=7)
shared = mmap.mmap(-1, 64 << 12)
anonymous[5 << 12] = shared[5 << 12] = 1
file = open(sys.argv[1], "rb")
print("ready", flush=True)
sys.stdin.readline()
anonymous[5 << 12] = 2             # another content
anonymous[9 << 12] = 1             # zeros before
shared[7 << 12: (7 << 12) + 8192] = b"x" * 8192
os.read(file.fileno(), 3)
extra = os.open(sys.argv[1], os.O_RDONLY)
print("ready", flush=True)
child = os.fork()
if child: print("ready", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """The PID, and the folder of images a, same and b: nothing done, still nothing, and something."""
    folder = tmp_path_factory.mktemp("diff")
    (folder / "file").write_text("0123456789")
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, folder / "file"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert "ready\n" == process.stdout.readline()
        for name in ("a", "same"):
            crtool.checkpoint(process.pid, folder / name, stdio="inherit")
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert "ready\nready\n" == process.stdout.readline() + process.stdout.readline()
        crtool.checkpoint(process.pid, folder / "b", stdio="inherit")
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
    return process.pid, folder


@pytest.fixture(scope="module")
def found(images: tuple[int, Path]) -> ImageDifference:
    folder = images[1]
    return diff(folder / "a", folder / "b")


def test_the_same_twice(images: tuple[int, Path]) -> None:
    _, folder = images

    assert () == diff(folder / "a", folder / "a").changes
    # The kernel notes in a thread's area for rseq(2) which CPU it runs on.
    assert {"pages"} >= {change.thing for change in diff(folder / "a", folder / "same").changes}
    assert 1 >= diff(folder / "a", folder / "same").pages


def test_descriptors(images: tuple[int, Path], found: ImageDifference) -> None:
    pid, folder = images
    changes = [change for change in found.changes if change.thing == "descriptor" and change.pid == pid]

    assert [
        Change(pid, "descriptor", "changed", "fd 3", f"file {folder}/file at 0", f"file {folder}/file at 3"),
        Change(pid, "descriptor", "came", "fd 4", "", f"file {folder}/file at 0"),
    ] == changes


def test_processes(images: tuple[int, Path], found: ImageDifference) -> None:
    pid, folder = images
    (child,) = [change for change in found.changes if change.thing == "process"]

    assert ("came", True) == (child.change, child.pid != pid)
    back = diff(folder / "b", folder / "a").changes
    assert ["went"] == [change.change for change in back if change.thing == "process"]


def test_pages(images: tuple[int, Path], found: ImageDifference) -> None:
    pid, folder = images
    (saved,) = [process for process in crtool.show(folder / "b").processes if process.pid == pid]
    ours = {mapping.start: mapping for mapping in saved.mappings if mapping.end - mapping.start == 64 << 12}
    pages = {}
    for change in found.changes:
        start = int(change.name.partition("-")[0], 16) if change.thing == "pages" else 0
        if start in ours and ours[start].permissions in ("rwxp", "rw-s"):
            pages[ours[start].permissions] = change.pages

    assert {"rwxp": 2, "rw-s": 2} == pages
    assert 4 <= found.pages
    back = diff(folder / "b", folder / "a")
    assert found.pages == back.pages


def test_no_image(images: tuple[int, Path], tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        diff(images[1] / "a", tmp_path / "none")
