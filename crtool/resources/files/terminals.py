"""Terminals: the pairs that are in the tree (:mod:`.pty`), and the one that is outside.

A shell job has the terminal of whoever started it as its standard input, output and error; the master is held by a
terminal emulator, sshd, or is no pseudoterminal at all. Of such a terminal the kernel keeps the same things as of the
others, but it is not ours.

We record which descriptors lead to it, its settings, and which group of the tree was in its foreground. We ask a
borrowed descriptor and field tpgid of /proc/PID/stat.

We rebuild nothing: the caller's terminal takes its place, crtool's own controlling terminal or else what its standard
descriptors lead to. Each end is opened anew with its own flags.

Refused: two different terminals outside the tree. Not kept: the window size, which is the caller's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from crtool.abi.termios import MAJORS_PTS
from crtool.errors import EnvironmentDiffers, Obstacle, ObstacleError
from crtool.kernel import terminal
from crtool.procfs.stat import Stat
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass, replace
from crtool.resources.files import pty
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.pty import HungUpRecord, Pair, PtyRecord, TerminalEndRecord
from crtool.resources.files.pty_queues import NOTHING, dump_queues

__all__ = ["CallersRecord", "Ends", "Remade", "Terminals", "find_callers", "obstacle", "recognise"]


@dataclass(frozen=True)
class CallersRecord:
    """The terminal outside the tree."""

    device: int  # st_rdev
    name: bytes  # /dev/pts/3
    settings: bytes  # struct termios2, as they were
    size: tuple[int, int, int, int]  # rows, columns, pixels across, pixels down
    session: int  # in the tree, whose controlling terminal it was; 0 if that is outside as well
    foreground: int  # process group of the tree that was in the foreground, 0 if none was


def recognise(file: OpenFile) -> bool:
    """Whether *file* is an end of a terminal."""
    return pty.role(file) is not None


def obstacle(file: OpenFile, where: str) -> Obstacle | None:
    """Why *file*, which this module recognises, cannot be saved all the same."""
    return pty.obstacle(file, where) if pty.role(file) == "master" else None


class Ends:
    """Ends of terminals that a tree has open. As a context manager it closes what it keeps."""

    def __init__(self) -> None:
        self._pairs: set[int] = set()  # devices of the slaves whose master is in the tree
        self._seen: dict[int, OpenFile] = {}  # device → an end that is not a master, with a descriptor of our own

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the descriptors that were kept."""
        for file in self._seen.values():
            os.close(file.local)
        self._seen.clear()

    def add(self, file: OpenFile) -> None:
        """Takes note of *file* if it is an end of a terminal that is not hung up."""
        role = pty.role(file)
        if role is None or pty.is_hung_up(file):
            return
        device = terminal.device(file.local)
        if role == "master":
            self._pairs.add(device)
        elif device not in self._seen:
            self._seen[device] = replace(file, local=os.dup(file.local))

    def outside(self) -> dict[int, OpenFile]:
        """By device, one end of each terminal whose master is not in the tree, once all ends have been added."""
        return {device: file for device, file in self._seen.items() if device not in self._pairs}

    def obstacles(self) -> list[Obstacle]:
        """What stands in the way: of the terminals outside the tree only one can be the caller's at a restart."""
        places = self.outside()
        if len(places) < 2:
            return []
        one, *others = [(file, _name(file).decode(errors="replace")) for file in places.values()]
        return [
            Obstacle(
                file.pid,
                f"fd {file.fd}",
                f"{name} is a second terminal outside the tree, besides {one[1]}",
                "redirect one of them, or checkpoint the program that holds its master too",
            )
            for file, name in others
        ]


class Terminals:
    """The terminals of an image under way."""

    def __init__(self, puppet_of: Callable[[int], Puppet]) -> None:
        """*puppet_of*: the process that is being collected, ready to be called."""
        self.pairs: list[PtyRecord] = []
        self.ends = Ends()
        self._puppet_of = puppet_of

    def end(self, file: OpenFile) -> TerminalEndRecord | HungUpRecord:
        """The record of one end; with a master comes its pair."""
        role = pty.role(file)
        if role is None:
            raise ValueError(file.link)
        if pty.is_hung_up(file):
            return HungUpRecord(file.flags)
        self.ends.add(file)
        if role == "master":
            return self._master(file)
        return TerminalEndRecord(terminal.device(file.local), role, file.flags)

    def _master(self, file: OpenFile) -> TerminalEndRecord:
        record, slave = pty.dump(file)
        if slave >= 0:
            try:
                queues = dump_queues(
                    self._puppet_of(file.pid),
                    file.fd,
                    file.flags,
                    record.settings,
                    packet=record.packet,
                    master=file.local,
                    slave=slave,
                )
            finally:
                os.close(slave)
            record = replace(record, queues=queues)
        self.pairs.append(record)
        return TerminalEndRecord(record.device, "master", file.flags)

    def callers(self, stats: Iterable[Stat]) -> CallersRecord | None:
        """The terminal outside the tree; *stats* of all processes. Raises ObstacleError if there are two."""
        if obstacles := self.ends.obstacles():
            raise ObstacleError(obstacles)
        for device, file in self.ends.outside().items():
            here = [stat for stat in stats if stat.tty is not None and os.makedev(*stat.tty) == device]
            return CallersRecord(
                device=device,
                name=_name(file),
                settings=terminal.settings(file.local),
                size=terminal.size(file.local),
                session=next((stat.session for stat in here if stat.session == stat.pid), 0),
                foreground=next((stat.pgrp for stat in here if stat.pgrp == stat.tpgid), 0),
            )
        return None


def _name(file: OpenFile) -> bytes:
    return _path(file.local) if pty.role(file) == "tty" else file.link


def _path(fd: int) -> bytes:
    """The path of a terminal of ours, also where it was opened as /dev/tty."""
    device = terminal.device(fd)
    major, minor = os.major(device), os.minor(device)
    if major in MAJORS_PTS:
        return b"/dev/pts/%d" % (minor + 256 * (major - MAJORS_PTS.start))
    return os.fsencode(os.readlink(f"/proc/self/fd/{fd}"))


def find_callers(wanted: CallersRecord) -> int:
    """A descriptor of the caller's terminal: crtool's controlling one, or else one of its standard descriptors.

    Raises EnvironmentDiffers if there is none.
    """
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        pass
    for fd in (0, 1, 2):
        try:
            return os.open(os.ttyname(fd), os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError:
            continue
    raise EnvironmentDiffers(
        f"the image wants a terminal in the place of {wanted.name.decode(errors='replace')}, and crtool has none",
        "run crtool restart in a terminal, or under script(1)",
    )


def _stand_in(record: CallersRecord, size: tuple[int, int, int, int]) -> PtyRecord:
    """A pair for a session of the tree whose terminal was outside: the caller's belongs to the caller's session."""
    return PtyRecord(
        device=record.device,
        number=-1,
        multiplexer=b"/dev/ptmx",
        settings=record.settings,
        size=size,
        locked=False,
        exclusive=False,
        packet=False,
        mode=-1,
        uid=-1,
        gid=-1,
        session=record.session,
        foreground=record.foreground,
        queues=NOTHING,
    )


class Remade:
    """The terminals of a restart under way."""

    def __init__(self, records: Sequence[PtyRecord], callers: CallersRecord | None, warn: list[str]) -> None:
        self.callers = find_callers(callers) if callers is not None else -1
        self.relayed = -1  # device of a pair that stands for the caller's terminal
        try:
            if callers is not None and callers.session:
                records = [*records, _stand_in(callers, terminal.size(self.callers))]
                self.relayed = callers.device
            self.pairs: list[Pair] = pty.make_all(records, warn)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes what is held here; the ends that were opened stay."""
        for pair in getattr(self, "pairs", ()):
            os.close(pair.master)
            if pair.slave >= 0:
                os.close(pair.slave)
        self.pairs = []
        if self.callers >= 0:
            os.close(self.callers)
            self.callers = -1

    def relay_master(self) -> int:
        """A descriptor of the master of the pair that stands for the caller's terminal, −1 if none has to."""
        return next((os.dup(pair.master) for pair in self.pairs if pair.record.device == self.relayed), -1)

    def finish(self) -> list[Pair]:
        """Takes the last steps when all ends are open; returns the pairs that control a session."""
        for pair in self.pairs:
            pair.finish()
        return [pair for pair in self.pairs if pair.record.session and pair.slave >= 0]

    def open_end(self, record: TerminalEndRecord | HungUpRecord) -> int:
        """A new descriptor for one end."""
        if isinstance(record, HungUpRecord):
            return pty.open_hung_up(record)
        for pair in self.pairs:
            if pair.record.device == record.device:
                return pair.open_end(record)
        # By its own name, if it has one here: a program that opened /dev/tty gets what /dev/tty is.
        names = [_path(self.callers), b"/proc/self/fd/%d" % self.callers, b"/dev/tty"]
        reason = ""
        for name in reversed(names) if record.role == "tty" else names:
            try:
                return os.open(name, record.flags | os.O_NOCTTY | os.O_CLOEXEC)
            except OSError as error:
                reason = os.strerror(error.errno or 0)
        raise EnvironmentDiffers(f"crtool's terminal cannot be opened again: {reason}", "give crtool rights to it")
