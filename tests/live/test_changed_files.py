"""Files that have another size, or other content, at the restart than at the checkpoint."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .harness import processes
from .harness.command import crtool


@contextmanager
def target(program: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    program += "\nimport time\nopen('ready', 'w').close()\ntime.sleep(60)\n"
    nothing = subprocess.DEVNULL
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=folder, stdin=nothing, stdout=nothing, stderr=nothing,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            processes.Deadline(30, "ready").wait_until((folder / "ready").exists)
            yield process
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def restarted_ends() -> Iterator[None]:
    """Whatever number it has."""
    with processes.all_ended():
        yield


@pytest.fixture
def image(tmp_path: Path) -> tuple[Path, Path, int]:
    """An image of a program that reads a file, the file, and the PID."""
    file, path = tmp_path / "data", tmp_path / "image"
    file.write_bytes(b"0123456789")
    with target("file = open('data', 'rb', 0); file.read(4)", tmp_path) as process:
        done = crtool("checkpoint", str(process.pid), "--kill", "-o", str(path))
        assert done.returncode == 0, done.stderr
        assert process.wait(30) == -signal.SIGKILL
    return path, file, process.pid


def test_grown_file_that_is_read(image: tuple[Path, Path, int]) -> None:
    path, file, _ = image
    file.write_bytes(b"0123456789abc")
    done = crtool("restart", str(path), "--detach")
    assert done.returncode == 126
    assert f"{file} had 10 bytes and has 13 now" in done.stderr
    assert "--files ignore" in done.stderr


def test_a_log_that_is_gone(tmp_path: Path) -> None:
    """Taken away by logrotate(8), say. What the remedy says does help."""
    log, path = tmp_path / "log", tmp_path / "image"
    with target("file = open('log', 'ab', 0); file.write(b'0123456789')", tmp_path) as process:
        assert 0 == crtool("checkpoint", str(process.pid), "--kill", "-o", str(path)).returncode
        process.wait(30)
    log.unlink()
    gone = crtool("restart", str(path), "--detach")
    log.touch()
    done = crtool("restart", str(path), "--detach")

    assert (126, True) == (gone.returncode, "or make an empty one: nobody reads it" in gone.stderr)
    assert (0, True) == (done.returncode, "log had 10 bytes and has 0 now" in done.stderr)


@pytest.mark.parametrize(("policy", "expected"), [("ignore", b"0123456789abc"), ("truncate", b"0123456789")])
def test_policy(policy: str, expected: bytes, image: tuple[Path, Path, int]) -> None:
    path, file, _ = image
    file.write_bytes(b"0123456789abc")
    done = crtool("restart", str(path), "--detach", "--files", policy)
    assert done.returncode == 0, done.stderr
    assert expected == file.read_bytes()
    assert ("had 10 bytes and has 13 now" in done.stderr) == (policy == "ignore")


READER = """
import os
with open('data', 'rb', 0) as file:
    file.read(4)
    import signal
    def tell(*_):
        same = os.path.sameopenfile(file.fileno(), os.open('data', os.O_RDONLY))
        open('told.new', 'w').write(f"{same} {file.read(99)}")
        os.rename('told.new', 'told')
    signal.signal(signal.SIGUSR1, tell)
    open('ready', 'w').close()
    while True:
        signal.pause()
"""


@pytest.fixture(params=["file", "pipe"])
def whole_image(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[list[str], bytes | None, int]:
    """The arguments of a restart, its input, and the PID, of an image that has the content of the files."""
    path = tmp_path / "image"
    (tmp_path / "data").write_bytes(b"0123456789")
    (tmp_path / "data").chmod(0o640)
    with target(READER, tmp_path) as process:
        done = crtool("checkpoint", str(process.pid), "--kill", "--files", "content", "-o", str(path))
        assert done.returncode == 0, done.stderr
        assert process.wait(30) == -signal.SIGKILL
    if request.param == "file":
        return ["restart", str(path)], None, process.pid
    return ["restart", "-"], path.read_bytes(), process.pid


def told(pid: int, folder: Path) -> str:
    os.kill(pid, signal.SIGUSR1)
    processes.Deadline(30, "told").wait_until((folder / "told").exists)
    return (folder / "told").read_text()


@pytest.mark.parametrize("change", ["grown", "gone", "same size", "touched"])
def test_content_is_put_back(change: str, whole_image: tuple[list[str], bytes | None, int], tmp_path: Path) -> None:
    arguments, image, pid = whole_image
    data = tmp_path / "data"
    before = data.stat()
    if change == "gone":
        data.unlink()
    else:
        data.write_bytes({"grown": b"0123456789abc", "same size": b"abcdefghij", "touched": b"0123456789"}[change])
    done = subprocess.run(
        [sys.executable, "-m", "crtool", *arguments, "--detach", "--no-pidns", "--files", "restore"],
        input=image, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert data.read_bytes() == b"0123456789"
    assert told(pid, tmp_path) == "True b'456789'"
    if change != "touched" or image is not None:
        assert f"{data} is put back" in done.stderr.decode()
        assert (before.st_mode, before.st_mtime_ns) == (data.stat().st_mode, data.stat().st_mtime_ns)
    else:
        assert done.stderr == b""
    assert not list(tmp_path.glob(".crtool*"))


def test_failed_restart_puts_nothing_back(
    whole_image: tuple[list[str], bytes | None, int], tmp_path: Path
) -> None:
    arguments, image, _ = whole_image
    (tmp_path / "data").write_bytes(b"new")
    before = processes.descendants()
    done = subprocess.run(
        [sys.executable, "-m", "crtool", *arguments, "--detach", "--files", "restore", "--pidfile", "/no/such/folder"],
        input=image, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode not in (0, 1), done.stderr
    assert (tmp_path / "data").read_bytes() == b"new"
    assert not list(tmp_path.glob(".crtool*"))
    assert processes.descendants() <= before


def test_program_is_not_replaced(tmp_path: Path) -> None:
    """One that is another now: the process has the one that it had, without a name."""
    program, image = tmp_path / "program", tmp_path / "image"
    shutil.copy("/bin/sleep", program)
    before = program.read_bytes()
    with subprocess.Popen([program, "60"], start_new_session=True, stdin=subprocess.DEVNULL) as process:
        processes.Deadline(30, "start").wait_until(lambda: os.readlink(f"/proc/{process.pid}/exe") == str(program))
        done = crtool("checkpoint", str(process.pid), "--kill", "--files", "content", "-o", str(image))
        assert done.returncode == 0, done.stderr
    program.unlink()
    program.write_bytes(before + b"another")
    done = crtool("restart", str(image), "--detach", "--no-pidns", "--files", "restore")
    assert done.returncode == 0, done.stderr
    assert program.read_bytes() == before + b"another"
    assert Path(f"/proc/{process.pid}/exe").read_bytes() == before
    assert f"{program} is another one now" in done.stderr


@pytest.fixture
def clones(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that can clone files."""
    disk, folder = tmp_path / "disk", tmp_path / "mounted"
    with open(disk, "wb") as file:
        file.truncate(120 << 20)
    folder.mkdir()
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("mkfs.btrfs is not installed")
    subprocess.run(["mkfs.btrfs", "-q", disk], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", disk, folder], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.machine("btrfs")
def test_cloned_content(clones: Path, tmp_path: Path) -> None:
    """The target goes on and changes its file while the image is written; the image has what was there before."""
    program = "file = open('data', 'wb', 0); file.write(b'x' * 30_000_000)"
    with target(program, clones) as process:
        done = crtool("checkpoint", str(process.pid), "--files", "content", "-o", str(tmp_path / "image"))
        assert done.returncode == 0, done.stderr
        process.kill()
        process.wait()
    (clones / "data").unlink()
    with processes.all_ended():  # before the file system is unmounted
        done = crtool("restart", str(tmp_path / "image"), "--detach", "--files", "restore")
        assert done.returncode == 0, done.stderr
        assert (clones / "data").read_bytes() == b"x" * 30_000_000


def test_shorter_file_cannot_be_cut(image: tuple[Path, Path, int]) -> None:
    path, file, _ = image
    file.write_bytes(b"012")
    done = crtool("restart", str(path), "--detach", "--files", "truncate")
    assert done.returncode == 126
    assert f"{file} had 10 bytes and has 3 now" in done.stderr
    assert file.read_bytes() == b"012"
