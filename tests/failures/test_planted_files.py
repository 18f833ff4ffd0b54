"""What root writes into a folder of everybody, where somebody else has put something under its name before."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..live.harness.command import cold, crtool
from .test_bad_input import runs_on

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be attacked by somebody else")

OTHER = 54321
PRECIOUS = "precious " * 1000
KINDS = ("link", "dangling link", "hard link", "fifo", "folder", "device", "socket")


@pytest.fixture(params=[0o777, 0o1777], ids=["open", "sticky"])
def common(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder for everybody. The kernel protects links and FIFOs in sticky ones only (proc_sys_fs(5))."""
    path = Path(tempfile.mkdtemp())
    path.chmod(request.param)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file of root's that nobody else may touch."""
    path = tmp_path / "own"
    path.write_text(PRECIOUS)
    path.chmod(0o600)
    return path


def untouched(path: Path) -> None:
    """The file of root's has its content, mode, owner and name."""
    status = path.stat()
    assert PRECIOUS == path.read_text()
    assert (0o600, 0) == (stat.S_IMODE(status.st_mode), status.st_uid)


def plant(kind: str, place: Path, own: Path) -> os.stat_result:
    """What the other user has put there, and its status."""
    if kind == "link":
        place.symlink_to(own)
    elif kind == "dangling link":
        place.symlink_to(own.with_name("not-there"))
    elif kind == "hard link":  # by root, as fs.protected_hardlinks is on; where it is off, anybody can make it
        try:
            os.link(own, place)
        except OSError:
            pytest.skip("needs TMPDIR and the folder of pytest on one file system, for a hard link")
    elif kind == "fifo":
        os.mkfifo(place, 0o666)
    elif kind == "folder":
        place.mkdir()
    elif kind == "device":
        try:
            os.mknod(place, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("needs CAP_MKNOD, and a file system with devices")
    elif kind == "socket":
        os.mknod(place, 0o666 | stat.S_IFSOCK)
    if kind != "hard link":
        os.lchown(place, OTHER, OTHER)
    return place.lstat()


def is_still(place: Path, before: os.stat_result) -> bool:
    now = place.lstat()
    return os.path.samestat(now, before) and (now.st_mode, now.st_uid) == (before.st_mode, before.st_uid)


@pytest.fixture
def image(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> Path:
    """Of the sleeper, which has ended."""
    path = tmp_path / "sleeper.crt"
    done = crtool("checkpoint", sleeper.pid, "--kill", "-o", path)
    assert 0 == done.returncode, done.stderr
    sleeper.wait()
    return path


def one_line(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    lines = done.stderr.splitlines()
    assert status == done.returncode, done.stderr
    assert lines[0].startswith("crtool: ")
    assert len(lines) <= 2
    for word in words:
        assert word in lines[0]


# -- the PID file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_pid_file(kind: str, common: Path, own: Path, image: Path) -> None:
    """A link loses its name to the PID file, what it leads to is not touched; what is no file stays."""
    place = common / "pid"
    before = plant(kind, place, own)

    done = crtool("restart", image, "--detach", "--json", "--pidfile", place)

    untouched(own)
    assert not own.with_name("not-there").exists()
    if kind in ("link", "dangling link", "hard link"):
        assert 0 == done.returncode, done.stderr
        pid = json.loads(done.stdout)["pid"]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert f"{pid}\n" == place.read_text()
        assert (0, 1, stat.S_IFREG) == ((now := place.lstat()).st_uid, now.st_nlink, stat.S_IFMT(now.st_mode))
    else:
        one_line(done, 126, str(place), "cannot be written")
        assert is_still(place, before)
    assert [place] == list(common.iterdir())


def test_nobody_else_may_write_a_pid_file(tmp_path: Path, image: Path) -> None:
    """He would choose whom root ends by kill $(cat FILE)."""
    pid_file = tmp_path / "pid"

    umask = os.umask(0)
    try:
        done = cold("restart", image, "--detach", "--json", "--pidfile", pid_file)
    finally:
        os.umask(umask)

    assert 0 == done.returncode, done.stderr
    pid = json.loads(done.stdout)["pid"]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert 0o644 == stat.S_IMODE(pid_file.stat().st_mode)


# -- the folder --------------------------------------------------------------------------------------------


@pytest.fixture
def diverted(common: Path, own: Path) -> Path:
    """A link of the other user's, which leads to the folder of root's file."""
    link = common / "link"
    link.symlink_to(own.parent)
    os.lchown(link, OTHER, OTHER)
    return link


def test_a_pid_file_through_a_folder_of_others(diverted: Path, own: Path, image: Path) -> None:
    done = crtool("restart", image, "--detach", "--pidfile", diverted / "own")

    one_line(done, 126, str(diverted))
    untouched(own)


@pytest.mark.parametrize("verb", ["checkpoint", "squash", "core", "extract"])
def test_a_new_file_through_a_folder_of_others(
    verb: str, diverted: Path, own: Path, tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    image = tmp_path / "image.crt"
    assert 0 == crtool("checkpoint", sleeper.pid, "-o", image).returncode
    what = sleeper.pid if verb == "checkpoint" else image
    more = ("--memory", "[stack]") if verb == "extract" else ()

    done = crtool(verb, what, *more, "--force", "-o", diverted / "own")

    one_line(done, 126, str(diverted))
    untouched(own)
    assert runs_on(sleeper)


@pytest.mark.parametrize("verb", ["run", "prune"])
def test_a_folder_of_images_that_others_choose(verb: str, common: Path, tmp_path: Path, image: Path) -> None:
    """They would have root's images removed."""
    theirs = tmp_path / "images"
    theirs.mkdir()
    for name in ("a.crt", "b.crt"):
        shutil.copyfile(image, theirs / name)
        (theirs / name).chmod(0o600)
    link = common / "link"
    link.symlink_to(theirs)
    os.lchown(link, OTHER, OTHER)

    if verb == "run":
        done = crtool("run", "--image", link, "--keep", "2", "--fresh", "--", "true")
    else:
        done = crtool("prune", link, "--keep", "1")

    one_line(done, 126, str(link))
    assert ["a.crt", "b.crt"] == sorted(os.listdir(theirs))


# -- images ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_image(kind: str, common: Path, own: Path, sleeper: subprocess.Popen[bytes]) -> None:
    """--force gives it the name of a link; nothing is written through that."""
    place = common / "image.crt"
    before = plant(kind, place, own)

    refused = crtool("checkpoint", sleeper.pid, "-o", place)
    one_line(refused, 120, str(place))
    assert is_still(place, before)
    done = crtool("checkpoint", sleeper.pid, "--force", "-o", place)

    untouched(own)
    assert not own.with_name("not-there").exists()
    if kind in ("link", "dangling link", "hard link"):
        assert 0 == done.returncode, done.stderr
        status = place.lstat()
        assert (0, 1, stat.S_IFREG | 0o600) == (status.st_uid, status.st_nlink, status.st_mode)
    else:
        one_line(done, 120, str(place), "will not be replaced")
        assert is_still(place, before)
    assert runs_on(sleeper)
    assert [place] == list(common.iterdir())


# -- crtool run --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*KINDS, "file", "locked file", "open file of root's"])
@pytest.mark.parametrize("several", [False, True], ids=["an image", "a folder"])
def test_the_lock_of_a_run(kind: str, several: bool, common: Path, own: Path) -> None:
    """Nothing is written through it, and nobody waits for it."""
    if several:
        (common / "job.d").mkdir()
        (common / "job.d").chmod(common.stat().st_mode)
        place, where = common / "job.d" / ".run", common / "job.d"
    else:
        place, where = common / ".job.crt.run", common / "job.crt"
    locked = -1
    if "file" in kind:
        place.write_text("x")
        place.chmod(0o666)
        if kind != "open file of root's":
            os.chown(place, OTHER, OTHER)
        if kind == "locked file":
            locked = os.open(place, os.O_RDWR)
            fcntl.flock(locked, fcntl.LOCK_EX)
        before = place.lstat()
    else:
        before = plant(kind, place, own)
    begun = time.monotonic()
    try:
        done = crtool("run", "--image", where, "--", "touch", common / "has-run")
    finally:
        if locked >= 0:
            os.close(locked)

    one_line(done, 126, str(place))
    assert time.monotonic() - begun < 20
    assert not (common / "has-run").exists()
    assert is_still(place, before)
    assert "file" not in kind or place.read_text() == "x"
    untouched(own)
    assert not own.with_name("not-there").exists()


def test_nobody_else_can_take_the_lock_of_a_run(common: Path) -> None:
    """While it runs its lock is a file that only root opens; when it has ended there is none."""
    program = [sys.executable, "-m", "crtool", "run", "--image", str(common / "job.crt"), "--", "sleep", "1000"]
    null = subprocess.DEVNULL
    run = subprocess.Popen(program, stdin=null, stdout=null, stderr=null, start_new_session=True)
    lock = common / ".job.crt.run"
    try:
        until = time.monotonic() + 30
        while not (lock.exists() and lock.read_text()) and time.monotonic() < until:
            time.sleep(0.01)

        assert (0, 0o600 | stat.S_IFREG) == (lock.lstat().st_uid, lock.lstat().st_mode)
        opened = subprocess.run(["cat", lock], user=OTHER, group=OTHER, extra_groups=[], check=False,
            capture_output=True, cwd="/")  # fmt: skip
        assert 0 != opened.returncode
    finally:
        run.send_signal(signal.SIGTERM)
        run.wait(30)
    assert not lock.exists()


def test_a_run_does_not_wait_for_a_named_pipe(common: Path) -> None:
    """In the place of its image: it would wait for a writer, and for ever."""
    place = common / "job.crt"
    os.mkfifo(place, 0o666)
    os.chown(place, OTHER, OTHER)

    done = crtool("run", "--image", place, "--", "touch", common / "has-run")

    one_line(done, 120, str(place))
    assert [place] == list(common.iterdir())


def test_a_run_does_not_go_on_with_an_image_of_others(common: Path, image: Path) -> None:
    """Which decides what is executed as root."""
    place = common / "job.crt"
    shutil.copyfile(image, place)
    os.chown(place, OTHER, OTHER)

    done = crtool("run", "--quiet", "--image", place, "--", "touch", common / "has-run")

    one_line(done, 123, str(place), f"belongs to user {OTHER}")
    assert [place] == list(common.iterdir())
