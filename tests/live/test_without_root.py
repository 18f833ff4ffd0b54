"""An ordinary user saves his own processes and brings them back, in a user namespace and a PID namespace."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import site
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .harness.catalogue import Specimen, catalogue
from .harness.processes import Deadline, end, family, reap_all
from .harness.run import REPOSITORY, Run, Skipped, User
from .test_pidns import keeper_of, numbers_of, reaped

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")

ID = 54321
GROUPS = ("tree", "terminals", "time", "signals")
NOWHERE: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
REFUSED = "terminals_exclusive"  # only CAP_SYS_ADMIN opens such a terminal
SPECIMENS = [
    specimen for specimen in catalogue()
    if specimen.group in GROUPS and not specimen.needs and specimen.name != REFUSED
]  # fmt: skip


@cache
def user() -> User:
    """Somebody without any right, with a Python of this very version that he may execute; else the test is skipped."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [str(REPOSITORY), *site.getsitepackages()]
    environment = {"PYTHONPATH": ":".join(folders), "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if os.path.exists(python):
            command = [python, "-c", "import crtool.cli.main, xxhash, msgpack"]
            who: dict[str, Any] = {"user": ID, "group": ID, "extra_groups": [], "env": {**os.environ, **environment}}
            try:
                subprocess.run(command, cwd="/", check=True, capture_output=True, **who)
            except (OSError, subprocess.CalledProcessError):
                continue
            return User(ID, python, environment)
    pytest.skip(f"there is no {version} that everybody may execute")


@pytest.fixture
def folder() -> Iterator[Path]:
    """The user's own, where he can go: the folders of pytest are root's."""
    path = Path(tempfile.mkdtemp())
    os.chown(path, ID, ID)
    yield path
    shutil.rmtree(path)


def as_user(*command: object, **options: Any) -> dict[str, Any]:
    """Arguments for subprocess."""
    environment = {**os.environ, **user().environment}
    who: dict[str, Any] = {"user": ID, "group": ID, "extra_groups": [], "env": environment, "stdin": subprocess.DEVNULL}
    return {"args": list(map(str, command)), **who, **options}


def crtool(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = (user().python, "-m", "crtool", *arguments)
    return subprocess.run(**as_user(*command, text=True, capture_output=True, timeout=60, check=False, **options))


@pytest.mark.parametrize(
    "specimen",
    [
        pytest.param(specimen, id=specimen.name, marks=pytest.mark.machine(*specimen.of_machine, name=specimen.name))
        for specimen in SPECIMENS
    ],
)
def test_specimens_find_everything_as_it_was(specimen: Specimen, folder: Path) -> None:
    run = Run(specimen, folder, user())
    try:
        run.await_ready()
        before = run.root
        run.restart(run.checkpoint("--kill"))
        assert [run.root, before] == numbers_of(run.root)
        run.pass_judgement()
    except Skipped as reason:
        pytest.skip(str(reason))
    finally:
        run.end()


def test_an_ipc_namespace_that_may_not_be_entered(folder: Path) -> None:
    command = ("unshare", "-U", "--map-current-user", "--ipc", "sleep", "99")
    with subprocess.Popen(**as_user(*command, **NOWHERE)) as process:
        try:
            own = os.readlink("/proc/self/ns/ipc")
            Deadline(30, "sleep").wait_until(
                lambda: os.readlink(f"/proc/{process.pid}/ns/ipc") != own
                and Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"
            )
            done = crtool("checkpoint", process.pid, "-o", folder / "x.crt")
            assert 122 == done.returncode, done.stderr
            assert "lives in another ipc namespace, which crtool may not enter" in done.stderr
            assert process.poll() is None
        finally:
            process.kill()


def test_requests_in_flight_that_may_not_be_looked_for(folder: Path) -> None:
    run = Run(next(specimen for specimen in catalogue() if specimen.name == "aio_ring"), folder, user())
    try:
        run.await_ready()
        done = crtool("checkpoint", run.root, "-o", folder / "x.crt")
        assert 122 == done.returncode, done.stderr
        assert "has an AIO context (io_setup), and requests in flight cannot be seen: BPF: " in done.stderr
        run.pass_judgement()
    except Skipped as reason:
        pytest.skip(str(reason))
    finally:
        run.end()


def test_what_is_refused_by_name(folder: Path) -> None:
    run = Run(next(specimen for specimen in catalogue() if specimen.name == REFUSED), folder, user())
    try:
        run.await_ready()
        done = run.attempt("checkpoint", str(run.root), "-o", str(folder / "x.crt"), "--kill")
        assert 122 == done.returncode
        assert b"TIOCEXCL" in done.stdout.splitlines()[0]
        run.pass_judgement()
    finally:
        run.end()


WATCHER = """
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
{}
open("ready", "w").close()
time.sleep(99)
"""
INOTIFY = 'assert libc.inotify_add_watch(libc.inotify_init1(0), b".", 0x100) == 1'
FANOTIFY = """
group = libc.fanotify_init(0x200, 0)  # FAN_CLASS_NOTIF | FAN_REPORT_FID, since 5.13 for everybody
if group < 0 or libc.fanotify_mark(group, 1, ctypes.c_ulonglong(0x20), -100, b"."):
    raise SystemExit(os.strerror(ctypes.get_errno()))
"""


@pytest.mark.parametrize(
    ("watch", "cause"), [(INOTIFY, "inotify watch 1 is of inode "), (FANOTIFY, "a fanotify mark is of inode ")]
)
def test_watches_that_only_privilege_can_find(watch: str, cause: str, folder: Path) -> None:
    command = (user().python, "-c", WATCHER.format(watch))
    streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(**as_user(*command, cwd=folder, **streams)) as process:
        try:
            Deadline(30, "ready").wait_until(lambda: (folder / "ready").exists() or process.poll() is not None)
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.skip(f"no watch like that: {process.stderr.read().decode().strip()}")
            done = crtool("checkpoint", process.pid, "-o", folder / "x.crt")
            assert 122 == done.returncode, done.stderr
            assert cause in done.stderr
            assert "which only privilege can find" in done.stderr
            assert "run crtool as root, or with CAP_DAC_READ_SEARCH" in done.stderr
            assert process.poll() is None
        finally:
            process.kill()


@pytest.fixture
def job(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The computation of the quickstart in mid-work."""
    shutil.copy(REPOSITORY / "examples" / "primes.py", folder)
    with open(folder / "log", "wb") as log:
        os.fchown(log.fileno(), ID, ID)
        command = (user().python, "primes.py", 30_000_000)
        process = subprocess.Popen(**as_user(*command, cwd=folder, stdout=log, stderr=log, start_new_session=True))
    Deadline(60, "some lines").wait_until(lambda: len((folder / "log").read_text().splitlines()) > 8)
    yield process
    process.kill()
    process.wait()


def test_the_quickstart(job: subprocess.Popen[bytes], folder: Path) -> None:
    """Saved in mid-work, killed, and brought back, to the same result as one that was never interrupted."""
    members = family(job.pid)
    done = crtool("checkpoint", job.pid, "--kill", "-o", "primes.crt", cwd=folder)
    assert 0 == done.returncode, done.stderr
    job.wait()
    end(members)
    done = crtool("restart", "primes.crt", "-q", cwd=folder)
    assert 0 == done.returncode, done.stderr
    reference = subprocess.run(
        [sys.executable, folder / "primes.py", "30000000"], capture_output=True, text=True, check=True
    )

    assert reference.stdout == (folder / "log").read_text()


@pytest.fixture
def sleeper(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(**as_user("sleep", 1000, cwd=folder, start_new_session=True, **NOWHERE))
    Deadline(10, "sleep").wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
    yield process
    process.kill()
    process.wait()


HIDING = "from tests.live.forked import hide_clone3; hide_clone3(); from crtool.cli.main import run; run()"


@pytest.mark.parametrize("hidden", [False, True], ids=["clone3", "clone3-hidden"])
def test_ten_copies_while_the_pids_are_taken(sleeper: subprocess.Popen[bytes], folder: Path, hidden: bool) -> None:
    """All at once, by --pidns; also where a seccomp filter hides clone3."""
    assert 0 == crtool("checkpoint", sleeper.pid, "-o", folder / "x.crt", cwd=folder).returncode
    verb = ("-c", HIDING) if hidden else ("-m", "crtool")
    files = [folder / f"{number}.pid" for number in range(10)]
    waiting = []
    for file in files:
        command = (user().python, *verb, "restart", "x.crt", "-q", "--pidns", "--pidfile", file)
        waiting.append(subprocess.Popen(**as_user(*command, cwd=folder, start_new_session=True, **NOWHERE)))
    Deadline(60, "ten restarts").wait_until(lambda: all(file.exists() for file in files))
    roots = [int(file.read_text()) for file in files]
    keepers = [keeper_of(pid) for pid in roots]
    try:
        assert [[pid, sleeper.pid] for pid in roots] == [numbers_of(pid) for pid in roots]
        assert 10 == len({os.readlink(f"/proc/{pid}/ns/pid") for pid in roots})
    finally:
        end(roots)
        for process in waiting:
            process.wait(30)
        reap_all(keepers)


def test_what_it_has_afterwards(sleeper: subprocess.Popen[bytes], folder: Path) -> None:
    """The same user, no capability, its old PID; and the namespaces are said."""
    done = crtool("checkpoint", sleeper.pid, "-o", folder / "x.crt", cwd=folder)
    assert 0 == done.returncode, done.stderr
    done = crtool("restart", folder / "x.crt", "--detach", "--json", cwd=folder)
    assert 0 == done.returncode, done.stderr
    result = json.loads(done.stdout)
    pid, keeper = result["pid"], keeper_of(result["pid"])
    try:
        assert (True, True, sleeper.pid) == (result["pidns"], result["userns"], result["own_pid"])
        assert "user namespace" in done.stderr
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{ID}\t{ID}\t{ID}\t{ID}\n" in status
        assert "CapPrm:\t0000000000000000\n" in status
    finally:
        end(family(pid))
        Deadline(10, "the end of the keeper").wait_until(lambda: reaped(keeper))


SHARING = """
import os, socket, time
for port in (0, 0, 1):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", last.getsockname()[1] if port else 0))
    last = socket.socket(fileno=os.dup(one.fileno()))
    one.detach()
open("ready", "w").close()
time.sleep(99)
"""


def test_a_program_that_divides_among_sockets_may_not_be_looked_for(folder: Path) -> None:
    """It is said once that it would be lost, and only of sockets that share a port indeed."""
    command = (user().python, "-c", SHARING)
    with subprocess.Popen(**as_user(*command, cwd=folder, start_new_session=True, **NOWHERE)) as process:
        Deadline(30, "ready").wait_until((folder / "ready").exists)
        done = crtool("checkpoint", process.pid, "--kill", "-o", folder / "x.crt")
    assert 0 == done.returncode, done.stderr
    told = [line for line in done.stderr.splitlines() if "SO_ATTACH_REUSEPORT_CBPF" in line]
    assert 1 == len(told), done.stderr
    assert " cannot be seen, and it would be lost: BPF: Operation not permitted" in told[0]


def pair_made_in_a_group(group: int) -> tuple[int, int]:
    """A pair of unix sockets that the user made when he was in another *group*."""
    ours, theirs = socket.socketpair()
    with ours:
        if (child := os.fork()) == 0:
            try:
                os.setgroups([group])
                os.setresgid(ID, ID, ID)
                os.setresuid(ID, ID, ID)
                pair = socket.socketpair()
                socket.send_fds(theirs, [b"x"], [each.fileno() for each in pair])
            finally:
                os._exit(0)
        theirs.close()
        os.waitpid(child, 0)
        _, (one, other), _, _ = socket.recv_fds(ours, 1, 2)
    return one, other


def test_groups_that_he_may_not_choose(folder: Path) -> None:
    """SO_PEERGROUPS of a socket that was made with other groups than he has now: he is told so, once."""
    pair = pair_made_in_a_group(77)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "pass_fds": pair}
    with subprocess.Popen(**as_user("sleep", 1000, cwd=folder, start_new_session=True, **streams)) as process:
        Deadline(10, "sleep").wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
        for fd in pair:
            os.close(fd)
        done = crtool("checkpoint", process.pid, "--kill", "-o", folder / "x.crt", cwd=folder)
        assert 0 == done.returncode, done.stderr
    done = crtool("restart", folder / "x.crt", "--detach", "--json", cwd=folder)
    assert 0 == done.returncode, done.stderr
    pid = json.loads(done.stdout)["pid"]
    keeper = keeper_of(pid)
    end(family(pid))
    Deadline(10, "the end of the keeper").wait_until(lambda: reaped(keeper))
    assert 1 == done.stderr.count("its other end is told other groups (SO_PEERGROUPS)"), done.stderr


def test_without_a_namespace_it_takes_privilege(sleeper: subprocess.Popen[bytes], folder: Path) -> None:
    assert 0 == crtool("checkpoint", sleeper.pid, "-o", folder / "x.crt", cwd=folder).returncode
    done = crtool("restart", folder / "x.crt", "--detach", "--no-pidns", cwd=folder)

    assert 126 == done.returncode
    assert done.stderr.startswith("crtool: PIDs may not be chosen: CAP_CHECKPOINT_RESTORE")
    assert 2 == len(done.stderr.splitlines())


def test_somebody_elses_process(folder: Path) -> None:
    other = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, cwd="/", start_new_session=True, **NOWHERE)
    try:
        done = crtool("checkpoint", other.pid, "-o", folder / "x.crt", cwd=folder)
    finally:
        other.kill()
        other.wait()

    assert 121 == done.returncode
    about = f"crtool: PID {other.pid}: not permitted to look at "
    cause, remedy = done.stderr.splitlines()
    assert cause.startswith(about)
    assert cause.endswith(": it belongs to root (user 0)")
    assert remedy == "  run crtool as root"


def test_a_process_that_proc_hides(folder: Path) -> None:
    """It is not said that there is none."""
    script = f"mount -t proc -o hidepid=2 proc /proc && exec setpriv --reuid {ID} --regid {ID} --clear-groups"
    words = [user().python, "-m", "crtool", "checkpoint", str(os.getpid()), "-o", str(folder / "x.crt")]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"{script} {shlex.join(words)}"],
        cwd=folder, env={**os.environ, **user().environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 121 == done.returncode, done.stderr
    assert f"PID {os.getpid()} is hidden from who may not trace it" in done.stderr


def test_an_image_of_somebody_else(sleeper: subprocess.Popen[bytes], folder: Path) -> None:
    """Root saves a process of root's; the user cannot become root, and is told so."""
    nothing = subprocess.DEVNULL
    other = subprocess.Popen(["sleep", "1000"], stdin=nothing, cwd="/", start_new_session=True, **NOWHERE)
    try:
        command = [sys.executable, "-m", "crtool", "checkpoint", str(other.pid), "-o", folder / "x.crt"]
        subprocess.run(command, check=True, capture_output=True)
    finally:
        other.kill()
        other.wait()
    os.chown(folder / "x.crt", ID, ID)
    done = crtool("restart", folder / "x.crt", "--detach", cwd=folder)

    assert 126 == done.returncode, done.stderr
    groups = ",".join(map(str, sorted(os.getgroups()))) or "none"
    assert f"PID {other.pid} ran as user 0, group 0, groups {groups}; crtool is user {ID}" in done.stderr
