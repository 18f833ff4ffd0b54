"""Pseudoterminals whose master is in the tree.

The kernel keeps a pair: a number, settings (struct termios2) and a window size for both sides, what was written at
each side and not yet read at the other (:mod:`.pty_queues`), packet mode, exclusive mode, the lock of a slave that
was never opened, the session whose controlling terminal it is, and that session's foreground group. A master that
has been closed leaves a slave *hung up*.

We ask all of it of a descriptor of the master that we borrow, and what belongs to the slave of one that we open for
the moment.

We rebuild a pair by opening /dev/ptmx until the number is the same, and each end with its own flags; what can only
be opened as /dev/tty is opened so by a child that has the terminal for that moment. The leader of the
session takes it as its controlling terminal before it has children, who would else have none.

Lost: the column that an erased tab goes back to; what was written to a slave that is still locked; the number, with a
warning, if somebody else has it. Refused: line disciplines other than the usual, stopped output (^S), a
status in packet mode that nobody has read.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Sequence
from typing import Literal

from crtool.abi import termios as abi
from crtool.errors import EnvironmentDiffers, Obstacle, ObstacleError
from crtool.kernel import terminal
from crtool.kernel.process import pidfd_getfd, pidfd_open
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.pty_queues import NOTHING, QueuesRecord, restore_queues

__all__ = [
    "HungUpRecord",
    "Pair",
    "PtyRecord",
    "TerminalEndRecord",
    "dump",
    "is_hung_up",
    "make_all",
    "obstacle",
    "open_hung_up",
    "role",
]

Role = Literal["master", "slave", "tty"]


@dataclass(frozen=True)
class PtyRecord:
    """A pair."""

    device: int  # st_rdev of the slave
    number: int  # N of /dev/pts/N, −1 for any
    multiplexer: bytes  # the path by which the master was opened
    settings: bytes  # struct termios2
    size: tuple[int, int, int, int]  # rows, columns, pixels across, pixels down
    locked: bool  # nobody has called unlockpt(3) yet
    exclusive: bool  # TIOCEXCL
    packet: bool  # TIOCPKT
    mode: int  # permissions of the slave's node
    uid: int  # its owner
    gid: int
    session: int  # whose controlling terminal it is, 0 if nobody's
    foreground: int  # process group, 0 if there is none
    queues: QueuesRecord


@dataclass(frozen=True)
class TerminalEndRecord:
    """An open end of a terminal."""

    device: int  # st_rdev of the slave: a pair of the image, or else the caller's terminal
    role: str  # "master", "slave", or "tty" for one that was opened as /dev/tty
    flags: int  # O_* as fcntl(F_GETFL) gives them


@dataclass(frozen=True)
class HungUpRecord:
    """A slave whose master is gone: reads end, writes fail."""

    flags: int


def role(file: OpenFile) -> Role | None:
    """Which end of a terminal *file* is, None if it is no terminal."""
    if not stat.S_ISCHR(file.stat.st_mode) or file.flags & os.O_PATH:
        return None
    major, minor = os.major(file.stat.st_rdev), os.minor(file.stat.st_rdev)
    if (major, minor) == (abi.MAJOR_ALTERNATE, abi.MINOR_PTMX):
        return "master"
    if (major, minor) == (abi.MAJOR_ALTERNATE, abi.MINOR_TTY):
        return "tty"
    return "slave" if major in abi.MAJORS_PTS or os.isatty(file.local) else None


def is_hung_up(file: OpenFile) -> bool:
    """Whether the other end of a slave is gone for good."""
    try:
        terminal.device(file.local)
    except OSError:
        return True
    return False


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why the pair of the master *file* cannot be saved."""
    if terminal.word(file.local, abi.TIOCGETD) != abi.N_TTY:
        return Obstacle(file.pid, where, "a terminal with a line discipline of its own (PPP, SLIP…)", "close it first")
    return None


def dump(file: OpenFile) -> tuple[PtyRecord, int]:
    """The record of the pair of the master *file*, without what is under way in it, and a descriptor of the slave.

    The descriptor is −1 for a slave that is locked.
    """
    master = file.local
    locked = terminal.word(master, abi.TIOCGPTLCK) != 0
    number = terminal.number(master)
    try:
        slave = -1 if locked else terminal.open_peer(master, os.O_RDWR | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        why = "the master of a terminal that nobody without privilege may open (TIOCEXCL)"
        raise ObstacleError([Obstacle(file.pid, f"fd {file.fd}", why, "run crtool as root")]) from None
    node = os.fstat(slave) if slave >= 0 else None
    record = PtyRecord(
        device=terminal.device(master),
        number=number,
        multiplexer=file.link,
        settings=terminal.settings(master),
        size=terminal.size(master),
        locked=locked,
        exclusive=slave >= 0 and terminal.word(slave, abi.TIOCGEXCL) != 0,
        packet=terminal.word(master, abi.TIOCGPKT) != 0,
        mode=stat.S_IMODE(node.st_mode) if node is not None else -1,
        uid=node.st_uid if node is not None else -1,
        gid=node.st_gid if node is not None else -1,
        session=terminal.session(master),
        foreground=terminal.foreground(master),
        queues=NOTHING,
    )
    return record, slave


@dataclass
class Pair:
    """A pair made anew. Whoever restores its ends closes both descriptors at last."""

    record: PtyRecord
    master: int
    slave: int  # held open for as long as the restart takes, −1 if it is locked and nobody may open it

    def open_end(self, end: TerminalEndRecord) -> int:
        """A descriptor for one end; that of the master itself is the one there is, with its flags set."""
        if end.role == "master":
            fd = os.dup(self.master)
            fcntl.fcntl(fd, fcntl.F_SETFL, end.flags & ~os.O_ACCMODE)
            return fd
        if end.role == "tty":
            return _open_as_controlling(self.slave, end.flags)
        return terminal.open_peer(self.master, end.flags)

    def finish(self) -> None:
        """What would stand in the way of opening the ends, or of filling the queues."""
        record = self.record
        if record.packet:
            terminal.set_word(self.master, abi.TIOCPKT, 1)
        if record.exclusive:
            fcntl.ioctl(self.slave, abi.TIOCEXCL)


def make_all(records: Sequence[PtyRecord], warn: list[str]) -> list[Pair]:
    """The pairs, filled, with the numbers that they had if those are free."""
    pairs: dict[int, Pair] = {}
    spare: list[int] = []
    try:
        for record in sorted(records, key=lambda record: record.number):
            pairs[record.device] = _make(record, spare, warn)
    except BaseException:
        for pair in pairs.values():
            os.close(pair.master)
            if pair.slave >= 0:
                os.close(pair.slave)
        raise
    finally:
        for fd in spare:
            os.close(fd)
    return [pairs[record.device] for record in records]


def _make(record: PtyRecord, spare: list[int], warn: list[str]) -> Pair:
    """The kernel gives out the lowest number that is free: what lies below is taken meanwhile, into *spare*."""
    while True:
        try:
            master = os.open(record.multiplexer, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            if not spare:
                shown = record.multiplexer.decode(errors="replace")
                cause = f"no pseudoterminal can be made by {shown}: {error.strerror}"
                raise EnvironmentDiffers(cause, "mount /dev/pts, raise kernel.pty.max") from None
            master = spare.pop(0)
            break
        if (number := terminal.number(master)) >= record.number:
            break
        spare.append(master)
    if (number := terminal.number(master)) != record.number >= 0:
        warn.append(f"/dev/pts/{record.number} belongs to somebody else: the program gets /dev/pts/{number}")
    pair = Pair(record, master, -1)
    terminal.set_word(master, abi.TIOCSPTLCK, 0)
    pair.slave = terminal.open_peer(master, os.O_RDWR)
    if record.mode >= 0:
        os.fchown(pair.slave, record.uid, record.gid)
        os.fchmod(pair.slave, record.mode)
    terminal.set_size(master, record.size)
    restore_queues(record.queues, master, pair.slave, record.settings)
    terminal.set_settings(master, record.settings)
    if record.locked:
        os.close(pair.slave)
        pair.slave = -1
        terminal.set_word(master, abi.TIOCSPTLCK, 1)
    return pair


def _open_as_controlling(slave: int, flags: int) -> int:
    """Opens *slave* by the name /dev/tty, which only a process can do whose controlling terminal it is.

    A child of ours is that for a moment. It gives the terminal up before it ends: the end of a session's leader would
    hang it up for everybody.
    """
    answer, told = os.pipe2(os.O_CLOEXEC)
    gate, opener = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(opener)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what the foreground gets when the terminal is given up
            os.setsid()
            fcntl.ioctl(slave, abi.TIOCSCTTY, 0)
            fd = os.open("/dev/tty", flags | os.O_CLOEXEC)
            os.write(told, fd.to_bytes(4, "little"))
            os.read(gate, 1)
            fcntl.ioctl(fd, abi.TIOCNOTTY)
        finally:
            os._exit(0)
    os.close(told)
    os.close(gate)
    try:
        number = os.read(answer, 4)
        if not number:
            raise EnvironmentDiffers("/dev/tty cannot be opened", "put it back: mknod /dev/tty c 5 0")
        pidfd = pidfd_open(pid)
        try:
            return pidfd_getfd(pidfd, int.from_bytes(number, "little"))
        finally:
            os.close(pidfd)
    finally:
        os.close(answer)
        os.close(opener)
        os.waitpid(pid, 0)


def open_hung_up(record: HungUpRecord) -> int:
    """A slave that is hung up."""
    master = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        terminal.set_word(master, abi.TIOCSPTLCK, 0)
        return terminal.open_peer(master, record.flags)
    finally:
        os.close(master)
