"""Terminals that are devices: serial lines, virtual consoles, ``/dev/console``.

The kernel keeps a device's settings, whether it was opened exclusively, and what has arrived and was not read.

We record path and number of the device, and ask the settings of a borrowed descriptor. We rebuild by opening the device
anew and putting back settings that differ.

Lost: what has arrived and was not read, with a warning; lines of a modem fall while nobody has the device open.
Refused: line disciplines other than the usual. The terminal that a program of the tree is controlled by is not ours: in
its place comes the caller's (:mod:`.terminals`).
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable

from crtool.abi import termios as abi
from crtool.errors import EnvironmentDiffers, Obstacle, TargetDied
from crtool.kernel import terminal
from crtool.procfs import stat as stat_file
from crtool.procfs.read import read
from crtool.record import dataclass
from crtool.resources.files.openfile import OpenFile

__all__ = ["TtyDeviceRecord", "dump", "judge", "obstacle", "recognise", "restore"]

_MINORS_OF_PTMX_AND_TTY = (abi.MINOR_PTMX, abi.MINOR_TTY)


@dataclass(frozen=True)
class TtyDeviceRecord:
    """An open device."""

    path: bytes
    device: int  # st_rdev
    flags: int  # O_* as fcntl(F_GETFL) gives them
    settings: bytes  # struct termios2
    exclusive: bool  # TIOCEXCL


def recognise(file: OpenFile) -> bool:
    """Whether *file* is a terminal that is a device, and that does not control its process."""
    if not stat.S_ISCHR(file.stat.st_mode) or file.flags & os.O_PATH:
        return False
    major, minor = os.major(file.stat.st_rdev), os.minor(file.stat.st_rdev)
    if major in abi.MAJORS_PTS or (major == abi.MAJOR_ALTERNATE and minor in _MINORS_OF_PTMX_AND_TTY):
        return False
    if not os.isatty(file.local):
        return False
    try:
        controlling = stat_file.parse(read(file.pid, "stat")).tty
        return controlling is None or os.makedev(*controlling) != terminal.device(file.local)
    except (TargetDied, OSError):  # gone, or hung up
        return False


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why *file* cannot be saved, if so."""
    if terminal.word(file.local, abi.TIOCGETD) != abi.N_TTY:
        return Obstacle(file.pid, where, "a terminal with a line discipline of its own (PPP, SLIP…)", "close it first")
    if not _is_there(file.link, file.stat.st_rdev):
        return Obstacle(file.pid, where, f"{file.shown}, a terminal that has another name now,", "close it first")
    return None


def _is_there(path: bytes, device: int) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == device


def dump(file: OpenFile, lost: Callable[[OpenFile, str], None]) -> TtyDeviceRecord:
    """The record of *file*."""
    unread = terminal.word(file.local, abi.FIONREAD)
    if unread:
        lost(file, f"what has arrived at {file.shown} and nobody has read ({unread} bytes)")
    exclusive = bool(terminal.word(file.local, abi.TIOCGEXCL))
    return TtyDeviceRecord(file.link, file.stat.st_rdev, file.flags, terminal.settings(file.local), exclusive)


def judge(record: TtyDeviceRecord) -> None:
    """EnvironmentDiffers if the device is not there. It is only looked at."""
    if not _is_there(record.path, record.device):
        shown = record.path.decode(errors="replace")
        numbers = f"{os.major(record.device)}:{os.minor(record.device)}"
        raise EnvironmentDiffers(f"{shown} is not the terminal {numbers} here", "connect it, or give it back its name")


def restore(record: TtyDeviceRecord) -> int:
    """A new descriptor of the same device."""
    judge(record)
    shown = record.path.decode(errors="replace")
    try:
        # An open that waits for a carrier would wait for ever.
        fd = os.open(record.path, record.flags | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise EnvironmentDiffers(f"{shown} cannot be opened: {error.strerror}", "end whoever has it") from None
    fcntl.fcntl(fd, fcntl.F_SETFL, record.flags)
    if terminal.settings(fd) != record.settings:
        terminal.set_settings(fd, record.settings)
    if record.exclusive:
        fcntl.ioctl(fd, abi.TIOCEXCL)
    return fd
