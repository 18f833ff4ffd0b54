"""A program, a library, or a folder on the way to a file that is another one at the restart."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import processes
from .harness.command import crtool
from .test_changed_files import target

SOMEBODY = 54321
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make links in the name of others")


@pytest.fixture(autouse=True)
def restarted_ends() -> Iterator[None]:
    with processes.all_ended():
        yield


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program of its own, saved in the middle of its sleep as "image"."""
    program = tmp_path / "program"
    shutil.copy(shutil.which("sleep") or "", program)
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        [program, "60"], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True
    ) as process:
        try:
            comm = Path(f"/proc/{process.pid}/comm")
            processes.Deadline(30, "the program").wait_until(lambda: comm.read_text() == "program\n")
            done = crtool("checkpoint", process.pid, "--kill", "-o", tmp_path / "image")
            assert 0 == done.returncode, done.stderr
        finally:
            process.kill()
    return program


def replace(file: Path, content: bytes) -> None:
    """Puts another file in its place, as an update does."""
    other = file.with_suffix(".other")
    other.write_bytes(content)
    shutil.copymode(file, other)
    os.rename(other, file)


def changed(content: bytes) -> bytes:
    """As long, with another last byte."""
    return content[:-1] + bytes([content[-1] ^ 1])


@pytest.mark.parametrize("way", ["replaced", "written"])
def test_a_program_of_the_same_size_with_other_content(way: str, program: Path) -> None:
    image, content = program.parent / "image", changed(program.read_bytes())
    if way == "replaced":
        replace(program, content)
    else:
        program.write_bytes(content)

    refused = crtool("restart", "--detach", image)
    dry = crtool("restart", "--dry-run", image)
    ignored = crtool("restart", "--detach", "--files", "ignore", image)

    words = f"{program} has other content than the program or library that was executed"
    assert [126, 126, 0] == [done.returncode for done in (refused, dry, ignored)], ignored.stderr
    assert all(words in done.stderr for done in (refused, dry, ignored))


@pytest.mark.parametrize("way", ["replaced", "touched"])
def test_a_program_with_the_same_content(way: str, program: Path) -> None:
    """Another inode, or other times: it is read, found to be the same, and nothing is said."""
    if way == "replaced":
        replace(program, program.read_bytes())
    else:
        os.utime(program)

    done = crtool("restart", "--detach", program.parent / "image")

    assert (0, "") == (done.returncode, done.stderr)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A file that a program reads and writes in a folder of its own, saved as "image"."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "log").write_bytes(b"0123456789")
    with target("file = open('folder/log', 'r+b', 0)", tmp_path) as process:
        done = crtool("checkpoint", process.pid, "--kill", "--files", "content", "-o", tmp_path / "image")
        assert 0 == done.returncode, done.stderr
        assert -signal.SIGKILL == process.wait(30)
    return folder / "log"


def test_another_file_of_the_same_size(log: Path) -> None:
    replace(log, b"abcdefghij")

    done = crtool("restart", "--detach", log.parents[1] / "image")

    assert 0 == done.returncode, done.stderr
    assert f"{log} is not the file that it was, but another one of the same size" in done.stderr


def test_another_file_with_the_same_times(log: Path) -> None:
    """The mtime is set by whoever owns a file; the inode is another one all the same."""
    before = log.stat()
    replace(log, b"abcdefghij")
    os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))

    done = crtool("restart", "--detach", log.parents[1] / "image")
    dry = crtool("restart", "--dry-run", log.parents[1] / "image")

    words = f"crtool: warning: {log} is not the file that it was, but another one of the same size\n"
    assert [(0, words), (0, words)] == [(each.returncode, each.stderr) for each in (done, dry)]


def test_another_file_of_another_size(log: Path) -> None:
    """That it is another one is said beside what has become of the size."""
    replace(log, b"abcdefghijk")

    done = crtool("restart", "--detach", "--files", "ignore", log.parents[1] / "image")

    assert 0 == done.returncode, done.stderr
    assert f"{log} had 10 bytes and has 11 now\n" in done.stderr
    assert f"{log} is not the file that it was, but another one\n" in done.stderr


@pytest.mark.parametrize("policy", ["refuse", "restore"])
def test_another_mode(policy: str, log: Path) -> None:
    log.chmod(0o666)

    done = crtool("restart", "--detach", "--files", policy, log.parents[1] / "image")

    assert (0, f"crtool: warning: {log} had mode 0644 and has 0666 now\n") == (done.returncode, done.stderr)


@root_only
def test_another_owner_and_mode(log: Path) -> None:
    os.chown(log, SOMEBODY, -1)
    os.chown(log.parents[1], -1, SOMEBODY)  # the working folder of the program
    group = os.getegid()

    done = crtool("restart", "--detach", log.parents[1] / "image")

    assert 0 == done.returncode, done.stderr
    assert f"{log} belonged to user 0, group {group}, and to {SOMEBODY}, {group} now\n" in done.stderr
    assert f"{log.parents[1]} belonged to user 0, group {group}, and to 0, {SOMEBODY} now\n" in done.stderr


def test_content_that_was_changed_in_place_with_the_same_times(log: Path) -> None:
    """To be put back: nobody can set the ctime, which tells that the content has to be compared."""
    before = log.stat()
    log.write_bytes(b"abcdefghij")
    os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))

    done = crtool("restart", "--detach", "--files", "restore", log.parents[1] / "image")

    assert 0 == done.returncode, done.stderr
    assert b"0123456789" == log.read_bytes()


@pytest.fixture
def elsewhere(log: Path) -> Path:
    """What a symbolic link in the place of the folder leads to: a file of that name, of the same size."""
    elsewhere = log.parents[1] / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "log").write_bytes(b"precious!!")
    os.rename(log.parent, log.parents[1] / "old")
    os.symlink(elsewhere, log.parent)
    return elsewhere


@root_only
@pytest.mark.parametrize("policy", ["refuse", "restore", "truncate"])
def test_a_link_that_somebody_else_has_put_there(policy: str, log: Path, elsewhere: Path) -> None:
    os.lchown(log.parent, SOMEBODY, SOMEBODY)

    done = crtool("restart", "--detach", "--files", policy, log.parents[1] / "image")

    assert 126 == done.returncode
    assert f"{log} is reached through {log.parent} now, a symbolic link of user {SOMEBODY}" in done.stderr
    assert {"log": b"precious!!"} == {entry.name: entry.read_bytes() for entry in elsewhere.iterdir()}


@root_only
def test_a_link_that_is_taken_all_the_same(log: Path, elsewhere: Path) -> None:
    os.lchown(log.parent, SOMEBODY, SOMEBODY)

    done = crtool("restart", "--detach", "--files", "ignore", log.parents[1] / "image")

    assert 0 == done.returncode, done.stderr
    assert f"a symbolic link of user {SOMEBODY}" in done.stderr


def test_a_link_of_ones_own(log: Path, elsewhere: Path) -> None:
    """As an administrator moves a folder to another disk: the file is another one, which may have been there before."""
    shutil.copy2(log.parents[1] / "old" / "log", elsewhere)

    done = crtool("restart", "--detach", log.parents[1] / "image")

    words = f"crtool: warning: {log} is not the file that it was, but another one of the same size\n"
    assert (0, words) == (done.returncode, done.stderr)
