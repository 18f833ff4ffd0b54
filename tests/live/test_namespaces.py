"""Namespaces that a tree has made for itself: what of them is refused, and containers as unshare(1) makes them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from crtool.engine.checkpoint import checkpoint
from crtool.engine.dry_run import dry_run
from crtool.engine.preflight import survey
from crtool.engine.restart import restart
from crtool.errors import CrtoolError, EnvironmentDiffers, ObstacleError
from crtool.kernel.resolve import resolve_plain
from crtool.procfs import cgroup as cgroup_file
from crtool.resources.namespaces import own_mounts
from tests.machine import own_group

from .harness.processes import Deadline, all_ended, descendants, end, family

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for namespaces")
SCRATCH = "mount -t tmpfs none /mnt"
LISTEN = f'{sys.executable} -c "import socket; socket.socket(1).bind(\\"/mnt/s\\")"'
QUEUE = (
    f'{sys.executable} -c "import ctypes, time; c = ctypes.CDLL(None); q = c.mq_open(b\\"/full\\", 66, 384, None); '
    'c.mq_notify(q, bytes([0] * 12 + [1] + [0] * 51)); open(\\"told\\", \\"w\\"); time.sleep(1000)" & '
    "until [ -e told ]; do sleep 0.01; done"
)
LARGE = (
    f'{sys.executable} -c "import ctypes; c = ctypes.CDLL(None); '
    'c.msgsnd(c.msgget(0, 384), bytes([1] * 999), 900, 0)"; echo 100 >/proc/sys/kernel/msgmax'
)
SHELL = "echo ready; sleep 1000 & wait"


@contextmanager
def unshared(options: str, script: str, said: Path) -> Iterator[int]:
    """A shell in namespaces of its own, as unshare(1) starts it; its PID, or with --fork that of unshare(1)."""
    before = descendants()
    command = ["unshare", *options.split(), "sh", "-c", f"{script}\n{SHELL}"]
    with open(said, "wb") as out:
        process = subprocess.Popen(
            command, cwd=said.parent, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        Deadline(30, "the shell").wait_until(lambda: b"ready" in said.read_bytes() and len(descendants() - before) > 1)
        assert said.read_bytes() == b"ready\n"
        yield process.pid
    finally:
        end(descendants() - before)
        process.poll()


def below(command: str, option: str = "--mount") -> str:
    """Lets a child do *command* in a namespace of its own, and waits until it has done so, which a file says."""
    child = f"unshare {option} sh -c '{command}; : >done; exec sleep 1000'"
    return f"{child} & until [ -e done ]; do sleep 0.01; done"


@pytest.mark.parametrize(
    ("options", "script", "words"),
    [
        ("--uts", below("mount -t ramfs none /mnt"), "has /mnt (ramfs) mounted in a mount namespace of its own"),
        ("--uts", below("mount -t tmpfs none /mnt; mount -t tmpfs none /mnt"), "has /mnt (tmpfs) mounted beneath"),
        ("--uts", below(f"{SCRATCH}; head -c 70M /dev/zero >/mnt/big"), "has 70 MiB in it, and 64 are saved"),
        ("--uts", below(f"{SCRATCH}; {LISTEN}"), "has the socket /s in it"),
        ("--mount", "umount -l /dev/pts", "does not have /dev/pts (devpts) mounted in a mount"),
        ("--uts", below(QUEUE, "--ipc"), "has the POSIX message queue /full that tells PID"),
        ("--ipc", QUEUE, "has the POSIX message queue /full that tells PID"),
        ("--net", "ip link add more type bridge", "has the interface more in a network namespace of its own"),
        ("--net", "ip address add 10.9.8.7/32 dev lo", "has the address 10.9.8.7 in a network namespace of its own"),
        ("--user --map-root-user", "", "has capabilities in a user namespace, which would be rights over"),
    ],
)
def test_what_cannot_be_made_again_is_named(options: str, script: str, words: str, tmp_path: Path) -> None:
    if script.startswith("ip ") and shutil.which("ip") is None:
        pytest.skip("ip(8) is missing")
    with unshared(options, script, tmp_path / "said") as pid:
        found = [str(obstacle) for obstacle in survey(pid).obstacles]

    assert found
    assert [line for line in found if words in line], found


SEGMENT = """
import ctypes, os, time
c = ctypes.CDLL(None)
c.shmat.restype = ctypes.c_void_p
os.fork() or time.sleep(1000)
c.unshare(0x08000000)
c.shmat(c.shmget(0, 4096, 0o1600), None, 0)
open("attached", "w").close()
if not os.fork():
    c.unshare(0x08000000)
    c.shmget(0, 4096, 0o1600)
    open("done", "w").close()
time.sleep(1000)
"""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (below(LARGE, "--ipc"), "holds a message larger than kernel.msgmax is now"),
        (f"{sys.executable} -c '{SEGMENT}' & until [ -e done ]; do sleep 0.01; done", "of another IPC namespace"),
    ],
    ids=["large", "segment"],
)
def test_what_only_shows_when_everybody_stands_still_is_named(script: str, words: str, tmp_path: Path) -> None:
    with unshared("--uts", script, tmp_path / "said") as pid:
        with pytest.raises(ObstacleError) as caught:
            checkpoint(pid, tmp_path / "x.crt")

        assert words in str(caught.value)
        assert [] == survey(pid).obstacles  # all go on, and could be asked again


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group below that of this process."""
    made = own_group(f"crtool-{os.getpid()}")
    yield made
    Deadline(10, "the end of the group").wait_until(lambda: removed(made))


def removed(group: Path) -> bool:
    with suppress(OSError):
        group.rmdir()
    return not group.exists()


@pytest.mark.machine("a control group")
@pytest.mark.parametrize("moved", [False, True], ids=["at-its-root", "elsewhere"])
def test_a_cgroup_namespace(moved: bool, group: Path, tmp_path: Path) -> None:
    """It comes back if its root is where its members are; a group that would be lost is named."""
    join = f"echo $$ >{group}/cgroup.procs"
    script = f"unshare --cgroup sh -c '{join if moved else ':'}; : >done; exec sleep 1000' & "
    script += "until [ -e done ]; do sleep 0.01; done"
    image = tmp_path / "x.crt"
    with unshared("--uts", script, tmp_path / "said") as root, all_ended():
        if moved:
            found = [str(obstacle) for obstacle in survey(root).obstacles]
            assert [line for line in found if "in the control group /" in line and "which is not put back" in line]
            return
        members = family(root)
        checkpoint(root, image, leave="killed")
        end(members)
        assert "cgroup" in dry_run(image).namespaces
        pid = restart(image, detach=True).pid
        (inside,) = [
            member
            for member in family(pid)
            if os.readlink(f"/proc/{member}/ns/cgroup") != os.readlink("/proc/self/ns/cgroup")
        ]
        there = ["nsenter", "-t", str(inside), "-C", "cat", f"/proc/{inside}/cgroup"]
        seen = subprocess.run(there, capture_output=True, check=True).stdout
        assert {b"/"} == {membership.path for membership in cgroup_file.parse(seen)}


@pytest.mark.parametrize(
    ("script", "words"),
    [(below("mount --make-shared /proc"), "mounts of its namespace that propagate otherwise than its root")],
)
def test_what_is_lost_is_named(script: str, words: str, tmp_path: Path) -> None:
    with unshared("--uts", script, tmp_path / "said") as pid:
        found = survey(pid).warnings

    assert [line for line in found if words in line], found


def mounted_proc(pid: int) -> list[int]:
    """The numbers that /proc shows to process *pid*."""
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/root/proc") if name.isdigit())


@pytest.mark.parametrize("inner", [False, True], ids=["from-outside", "its-init"])
def test_a_container_with_its_own_proc(inner: bool, tmp_path: Path) -> None:
    """The root is the process that has made it, or the first one inside."""
    image = tmp_path / "x.crt"
    with unshared("--pid --fork --mount-proc --uts", "hostname inside", tmp_path / "said") as outer:
        (first,) = (int(word) for word in Path(f"/proc/{outer}/task/{outer}/children").read_text().split())
        root = first if inner else outer
        members = family(root)
        before = mounted_proc(first)
        assert 1 == before[0]
        assert len(members - {outer}) == len(before)
        if inner:  # its parent is not in the image and goes its way
            os.kill(outer, 9)
            os.waitpid(outer, 0)
        checkpoint(root, image, leave="killed")
        end(members)
        result = restart(image, detach=True, pidns=False)
        try:
            assert root == result.pid
            assert before == mounted_proc(first)
            assert members == family(root)
            name = subprocess.run(
                ["nsenter", "-t", str(first), "-u", "hostname"], capture_output=True, text=True, check=True
            )
            assert "inside\n" == name.stdout
        finally:
            end(family(root))


CONTAINER = """
mount -t tmpfs -o size=8m scratch /mnt
mkdir /mnt/data; echo saved >/mnt/data/file
mount --bind "$PWD/shared" /srv
mount --bind -o ro /usr/share /opt
cd /mnt/data
exec 7</mnt/data/file 8>>/srv/log 9</mnt/data
read -r _ <&7
"""


@contextmanager
def container(folder: Path, more: str = "") -> Iterator[int]:
    """A shell in a mount namespace with some mounts of its own; its current folder and open files are there."""
    (folder / "shared").mkdir()
    (folder / "shared" / "seen").write_text("by both\n")
    with unshared("--mount", CONTAINER + more, folder / "said") as pid:
        yield pid


def told(pid: int, command: str) -> str:
    """What *command* prints where *pid* lives."""
    there = ["nsenter", "-t", str(pid), "-m", "sh", "-c", command]
    return subprocess.run(there, capture_output=True, text=True, check=True).stdout


def mounts_of(pid: int, *fds: int) -> list[str]:
    """Where that which is open is mounted, as *pid* sees it."""
    points = {line.split()[0]: line.split()[4] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()}
    infos = [Path(f"/proc/{pid}/fdinfo/{fd}").read_text().split() for fd in fds]
    return [points[words[words.index("mnt_id:") + 1]] for words in infos]


@pytest.mark.parametrize("pidns", [False, True], ids=["here", "in-a-pid-namespace"])
def test_a_container_with_mounts_of_its_own(pidns: bool, tmp_path: Path) -> None:
    """The root lives in the mount namespace, which comes along with all that only it has; and so once more."""
    image, again = tmp_path / "x.crt", tmp_path / "y.crt"
    with container(tmp_path) as root, all_ended():
        members = family(root)
        checkpoint(root, image, leave="killed")
        end(members)
        seen = dry_run(image)
        assert {"mount", "mount of /mnt (tmpfs)", "mount of /opt (/usr/share)"} <= set(seen.namespaces)
        assert "/srv/log" in seen.written
        for saved in (image, again):
            pid = restart(saved, detach=True, pidns=pidns).pid
            assert "saved\n" == told(pid, "cat /mnt/data/file")
            assert "by both\n" == told(pid, "cat /srv/seen")
            assert "8192\n" == told(pid, "df --output=size -k /mnt | tail -1 | tr -d ' '")
            assert "refused\n" == told(pid, "touch /opt/x 2>/dev/null || echo refused")
            assert "/mnt/data" == os.readlink(f"/proc/{pid}/cwd")
            assert ["/mnt", "/srv", "/mnt"] == mounts_of(pid, 7, 8, 9)
            assert "pos:\t6\n" in Path(f"/proc/{pid}/fdinfo/7").read_text()
            Path(f"/proc/{pid}/fd/8").write_text("more\n")
            assert not os.path.exists("/mnt/data")
            members = family(pid) & descendants()
            checkpoint(pid, again, leave="killed", force=True)
            end(members)
        assert "more\n" == (tmp_path / "shared" / "log").read_text()


@pytest.mark.parametrize("pidns", [None, True], ids=["here", "in-a-pid-namespace"])
def test_a_mount_point_or_a_file_that_is_missing(pidns: bool | None, tmp_path: Path) -> None:
    """All or nothing: it is named, by the numbers of the image wherever the restart happens, and nobody is left."""
    image, shared = tmp_path / "x.crt", tmp_path / "shared"
    with container(tmp_path) as root, all_ended():
        members = family(root)
        checkpoint(root, image, leave="killed")
        end(members)
        before = descendants()
        (shared / "log").unlink()
        with pytest.raises(EnvironmentDiffers, match="/srv/log: No such file"):
            restart(image, detach=True, pidns=pidns)
        assert before == descendants()
        shutil.rmtree(shared)
        with pytest.raises(EnvironmentDiffers, match=f"/srv cannot be mounted in .* of PID {root}: No such"):
            restart(image, detach=True, pidns=pidns)
        assert before == descendants()


def test_what_is_mounted_in_a_tmpfs_is_no_part_of_it(tmp_path: Path) -> None:
    """Neither sockets of what is bound there, nor a whole /proc."""
    image = tmp_path / "x.crt"
    (tmp_path / "bound").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tmp_path / "bound" / "socket"))
        script = (
            "mount -t tmpfs none /mnt; mkdir /mnt/data /mnt/data/bound /mnt/proc; echo saved >/mnt/data/file; "
            "touch /mnt/one; mount --bind bound /mnt/data/bound; mount --bind bound/socket /mnt/one; "
            "mount -t proc proc /mnt/proc"
        )
        with unshared("--pid --fork --mount-proc", script, tmp_path / "said") as root, all_ended():
            assert [] == list(survey(root).obstacles)
            members = family(root)
            checkpoint(root, image, leave="killed")
            end(members)
            pid = restart(image, detach=True, pidns=False).pid
            assert "saved\nsocket\n" == told(pid, "cat /mnt/data/file; ls /mnt/data/bound")
            assert "socket\n" == told(pid, "test -S /mnt/one && echo socket")
            assert "1\n" == told(pid, "ls /mnt/proc | grep -x 1")


# Who may make links where something was mounted, or where that came from: a name, and what crtool says.
DIVERTED = {
    "place": "{0}/place, where something was mounted, is reached through a symbolic link now",
    "bound": "{0}/bound, which was mounted at {0}/there, is a symbolic link now",
    "deep": "{0}/deep/bound is reached through {0}/deep now, a symbolic link of user 54321",
}


@pytest.mark.parametrize("pidns", [None, True], ids=["here", "in-a-pid-namespace"])
@pytest.mark.parametrize("name", DIVERTED)
def test_nothing_is_mounted_by_way_of_a_link(name: str, pidns: bool | None, tmp_path: Path) -> None:
    """Nothing of the host is written or shown, by a dry run nor by a restart."""
    image, host, folder = tmp_path / "x.crt", tmp_path / "host", tmp_path.resolve()
    for path in ("place", "bound", "there", "deep/bound", "too", "host/bound"):
        (tmp_path / path).mkdir(parents=True)
    script = (
        "mount -t tmpfs none place; echo saved >place/file; mkdir place/sub; "
        "mount --bind bound there; mount --bind deep/bound too"
    )
    with unshared("--mount", script, tmp_path / "said") as root, all_ended():
        members = family(root)
        checkpoint(root, image, leave="killed")
        end(members)
        before = descendants()
        shutil.rmtree(tmp_path / name)
        (tmp_path / name).symlink_to(host)
        os.lchown(tmp_path / name, 54321, 54321)
        for attempt in (dry_run, partial(restart, detach=True)):
            with pytest.raises(EnvironmentDiffers) as caught:
                attempt(image, pidns=pidns)
            assert DIVERTED[name].format(folder) == caught.value.message
        assert before == descendants()
        assert ["bound"] == os.listdir(host)
        assert [] == os.listdir(host / "bound")


@pytest.mark.parametrize("use", ["exec 8>>there/deep/log", "cd there/deep"], ids=["open", "current"])
def test_nothing_is_opened_on_such_a_mount_by_way_of_a_link(use: str, tmp_path: Path) -> None:
    """What is bound may be a folder of somebody else."""
    image, host, folder = tmp_path / "x.crt", tmp_path / "host", tmp_path.resolve()
    for path in ("bound/deep", "there", "host/deep"):
        (tmp_path / path).mkdir(parents=True)
    (host / "log").touch()
    moved = tmp_path / "bound" / "deep"
    with unshared("--mount", f"mount --bind bound there; {use}", tmp_path / "said") as root, all_ended():
        members = family(root)
        checkpoint(root, image, leave="killed")
        end(members)
        shutil.rmtree(moved)
        moved.symlink_to(host)
        os.lchown(moved, 54321, 54321)
        words = f"{folder}/there/deep(/log is reached through .* link of user 54321| is now a file of another)"
        with pytest.raises(EnvironmentDiffers, match=words):
            restart(image, detach=True)


def test_a_place_that_is_replaced_while_it_is_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a folder, between the mount and the filling."""
    image, place, looks = tmp_path / "x.crt", tmp_path / "place", []
    place.mkdir()

    def look(path: bytes, root: int) -> int:
        looks.append(path)
        if len(looks) == 2:
            place.rename(tmp_path / "moved")
            place.mkdir()
        return resolve_plain(path, root)

    script = "mount -t tmpfs none place; echo saved >place/file"
    with unshared("--mount", script, tmp_path / "said") as root, all_ended():
        members = family(root)
        checkpoint(root, image, leave="killed")
        end(members)
        monkeypatch.setattr(own_mounts, "resolve_plain", look)
        with pytest.raises(EnvironmentDiffers, match="/place has just been replaced"):
            restart(image, detach=True)
        assert [] == os.listdir(place) == os.listdir(tmp_path / "moved")


MAP = "import mmap, time; f = open('/mnt/data/file'); m = mmap.mmap(f.fileno(), 0, prot=1); open('/mnt/go', 'w')"
USES = {
    "mapped": f'{sys.executable} -Sc "{MAP}; time.sleep(99)" & until [ -e /mnt/go ]; do sleep 0.01; done',
    "executed": "cp /bin/sleep /mnt/s; /mnt/s 1000 & until readlink /proc/$!/exe | grep -q /mnt/s; do sleep 0.01; done",
    "fifo": "mkfifo /mnt/f; exec 6<>/mnt/f",
}


@pytest.mark.parametrize("use", USES)
def test_what_is_more_than_open_on_such_a_mount_is_named(use: str, tmp_path: Path) -> None:
    """And the container goes on."""
    with container(tmp_path, USES[use]) as pid:
        with pytest.raises(CrtoolError, match=r"lies on a mount that only|is not to be found there by crtool"):
            checkpoint(pid, tmp_path / "x.crt")
        assert not (tmp_path / "x.crt").exists()
        assert "\nTracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text()
