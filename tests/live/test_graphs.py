"""Graphs of open files grown from seeds: killed and restarted, they are what they were, by what the kernel says."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections import defaultdict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from crtool.abi.clone import CLONE_NEWNET
from crtool.kernel.process import KCMP_FILE, KCMP_FILES, kcmp, pidfd_getfd, pidfd_open
from crtool.kernel.sock_diag import SockDiag
from crtool.kernel.splice import tee
from crtool.kernel.syscall import syscall
from crtool.kernel.unix_diag import UnixSocket, all_sockets

from .harness import processes
from .harness.command import cold  # in our namespace

SOURCE = Path(__file__).with_name("graph.c")
SEEDS = 8
AT_ONCE = 25  # graphs of a seed
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a network namespace")

REFUSED = re.compile(
    "epoll watches a file by descriptor .* which nobody in the tree has open any more|"
    "a terminal in flight within a unix socket cannot be saved|"
    "a connection that waits to be accepted has bytes in it"
)
ATTEMPTS = 5

# What of fdinfo is another one each time, or changes by itself.
_DROPPED = re.compile(rb"^(mnt_id|ino|eventfd-id|it_value|tty-index|tfd):.*\n", re.MULTILINE)
# The kernel goes on counting the descriptors in datagrams that it has dropped, as connect(2) makes it do.
_IN_FLIGHT = re.compile(rb"^scm_fds:.*\n", re.MULTILINE)
_NUMBERED = re.compile(rb"^(pipe|socket):\[\d+\]$|^(/dev/pts/)\d+( \(deleted\))?$|(/file-[^ ]*|/#\d+) \(deleted\)$")
_FLAGS = re.compile(rb"^flags:\t0(\d+)", re.MULTILINE)
_WATCHED = re.compile(rb"tfd:\s+(\d+) events:\s+(\w+) data:\s+(\w+)\s+pos:(\d+) ino:(\w+) sdev:(\w+)")


class Picture:
    """What the kernel says about the open files of a tree; identities are numbered in the order of their appearance."""

    def __init__(self, pids: set[int]) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._known: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        self._tables: list[int] = []
        with SockDiag() as line:
            self._sockets = {found.inode: found for found in all_sockets(line)}
        self.lines = [entry for pid in sorted(pids) for entry in self._process(pid)]

    def _number(self, *what: Hashable) -> int:
        return self._numbers.setdefault(what, len(self._numbers))

    def _process(self, pid: int) -> Iterator[tuple[object, ...]]:
        for table, other in enumerate(self._tables):
            if kcmp(pid, other, KCMP_FILES) == 0:
                yield pid, "shares the table", table
                return
        self._tables.append(pid)
        pidfd = pidfd_open(pid)
        for fd in sorted(map(int, os.listdir(f"/proc/{pid}/fd"))):
            mine = pidfd_getfd(pidfd, fd)
            try:
                yield pid, fd, *self._file(pid, fd, mine)
            finally:
                os.close(mine)
        os.close(pidfd)

    def _file(self, pid: int, fd: int, mine: int) -> Iterator[object]:
        info = Path(f"/proc/{pid}/fdinfo/{fd}").read_bytes()
        link = os.fsencode(os.readlink(f"/proc/{pid}/fd/{fd}"))
        stat = os.fstat(mine)
        anonymous = link.startswith(b"anon_inode:")
        place = (stat.st_dev, stat.st_ino)
        for other in self._known[place]:
            if kcmp(pid, other[0], KCMP_FILE, fd, other[1]) == 0:
                yield "the same as", other
                return
        self._known[place].append((pid, fd))
        yield _NUMBERED.sub(rb"\1\2", link)
        if (found := self._sockets.get(stat.st_ino)) is not None and not found.receive_queue:
            info = _IN_FLIGHT.sub(b"", info)
        yield _FLAGS.sub(_without_large_file, _DROPPED.sub(b"", info))
        if not anonymous:
            yield stat.st_mode, stat.st_size, self._number(*place)
        for number, events, data, position, inode, device in sorted(_WATCHED.findall(info)):
            # Device numbers as the kernel has them inside, 12 bits and 20.
            at = (os.makedev(int(device, 16) >> 20, int(device, 16) & 0xFFFFF), int(inode, 16))
            known = self._number(*at) if at in self._known else "somewhere"
            yield number, events, data, position, known
        yield from self._content(mine, stat.st_ino, link)

    def _content(self, mine: int, inode: int, link: bytes) -> Iterator[object]:
        if link.startswith(b"pipe:"):
            yield _in_pipe(mine)
        if (found := self._sockets.get(inode)) is not None and link.startswith(b"socket:"):
            yield self._socket(found)
            with socket.socket(fileno=os.dup(mine)) as one:
                for _ in range(2):  # an error is told once
                    try:
                        yield one.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                        break
                    except ConnectionResetError:
                        continue
                    except OSError as error:
                        yield error.errno
                        break
        if link.startswith(b"/") and os.fstat(mine).st_size and not link.startswith(b"/dev/"):
            with open(f"/proc/self/fd/{mine}", "rb") as file:
                yield file.read()

    def _socket(self, found: UnixSocket) -> tuple[object, ...]:
        peer = self._number("socket", found.peer) if found.peer else 0
        own, waiting = self._number("socket", found.inode), len(found.waiting)
        name = found.name and re.sub(rb"graph-\d+-", b"", found.name)
        return found.kind, found.state, name, own, peer, waiting, found.receive_queue, found.shutdown


def _without_large_file(flags: re.Match[bytes]) -> bytes:
    """The kernel sets O_LARGEFILE, which means nothing on 64 bits, on a pipe that is opened by a path of /proc."""
    return b"flags:\t%o" % (int(flags[1], 8) & ~0o100000)


def _in_pipe(mine: int) -> bytes:
    inside, outside = os.pipe()
    try:
        copied = tee(mine, outside, 1 << 16)
        return os.read(inside, 1 << 16) if copied else b""
    except OSError as error:
        return os.strerror(error.errno).encode()
    finally:
        os.close(inside)
        os.close(outside)


@pytest.fixture(scope="session")
def grower(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that grows graphs."""
    program = tmp_path_factory.mktemp("graph") / "graph"
    subprocess.run(["gcc", "-O1", "-Wall", "-Wno-unused-result", "-o", str(program), str(SOURCE)], check=True)
    return program


@contextmanager
def graphs(grower: Path, seed: int, folder: Path) -> Iterator[int]:
    """Graphs that have stopped growing; the PID of their root."""
    before = processes.descendants()
    with open(folder / "said", "wb") as out:
        root = subprocess.Popen(
            [grower, str(seed), str(AT_ONCE)],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
        )  # fmt: skip
    try:
        processes.Deadline(60, "the graphs to grow").wait_until(lambda: (folder / "said").read_bytes() == b"ready\n")
        collect_garbage()
        yield root.pid
    finally:
        processes.end(processes.descendants() - before)
        root.poll()


@pytest.fixture(autouse=True)
def namespace() -> Iterator[None]:
    """A network namespace for each test, in which all sockets are its own: they are counted."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    syscall("unshare", CLONE_NEWNET)
    try:
        yield
    finally:
        syscall("setns", home, CLONE_NEWNET)
        os.close(home)


def collect_garbage() -> None:
    """Sockets that are only in flight within each other live until the kernel looks for them: when some other socket
    is closed, and not at once.
    """
    seen = [0]

    def calm() -> bool:
        for one in socket.socketpair():
            one.close()
        with SockDiag() as line:
            seen.append(sum(1 for _ in all_sockets(line)))
        return len(seen) > 5 and len(set(seen[-5:])) == 1

    processes.Deadline(30, "all garbage to be collected").wait_until(calm)


def refused(root: int, said: str) -> int:
    """Ends the graphs that have in them what is refused by name, as crtool has *said*; how many there were."""
    found = re.findall(r"PID (\d+) fd \d+: (.*)", said)
    assert found, said
    assert all(REFUSED.search(why) for _, why in found), said
    leaders = {child: processes.family(child) for child in children(root)}
    ended = {leader for leader, family in leaders.items() if family & {int(pid) for pid, _ in found}}
    for leader in ended:
        processes.end(leaders[leader])
    collect_garbage()
    return len(ended)


def children(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children()}


@pytest.mark.machine("the long form (CRTOOL_LONG=1)")
@pytest.mark.parametrize("seed", range(SEEDS))
def test_graphs(seed: int, grower: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    with graphs(grower, seed, tmp_path) as root:
        ended = 0
        for _ in range(ATTEMPTS):
            family = processes.family(root)
            before = Picture(family)
            done = cold("checkpoint", str(root), "-o", str(image), "--kill")
            if done.returncode != 122:
                break
            ended += refused(root, done.stderr)
        assert done.returncode == 0, done.stderr
        assert ended < AT_ONCE // 3
        processes.reap_all(family)
        done = cold("restart", str(image), "--detach", "--no-pidns")
        assert done.returncode == 0, done.stderr
        assert family == processes.family(root)
        after = Picture(family)
        different = [pair for pair in zip(before.lines, after.lines, strict=True) if pair[0] != pair[1]]
        assert [] == different
