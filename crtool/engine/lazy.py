"""A restart whose memory comes later: who brings it, and who watches over that.

When all mappings are there, crtool bears two processes that stay behind it. The *server* has the image open and the
userfaultfds of the tree: it brings what somebody waits for, and, once everybody runs, in between everything else, and
ends: before, it would take the memory and the CPU that the rest of the restart could have. It gives out
nothing whose checksum it has not compared in memory of its own, so the file may be removed, which changes nothing for
who has it open; and if it is cut or overwritten, the tree is ended rather than given other bytes. The *warden* has the
userfaultfds as well, or the kernel would give zeros to all who wait in the moment in which the server is killed; it
ends the tree if that happens. Both say so in a line on standard error.
"""

from __future__ import annotations

import array
import gc
import os
import select
import signal
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from typing import NoReturn

from crtool import faults
from crtool.engine.contents import Run, cut
from crtool.engine.end_lazy import end_all
from crtool.engine.snapshot import MemoryRecord
from crtool.errors import CrtoolError, ImageError
from crtool.image.reader import ImageReader
from crtool.image.verified import VerifiedReader
from crtool.kernel import process as kernel_process
from crtool.kernel.prctl import set_name
from crtool.procfs.read import proc_root
from crtool.puppet.birth import Newborn
from crtool.record import dataclass
from crtool.resources.memory import lazy
from crtool.resources.memory.lazy import LazySpace
from crtool.resources.memory.pages import Piece

__all__ = ["Lazy"]

_STDERR = 2
_PATIENCE = 30.0  # seconds until those that are born get what they do not ask for
_LOOK = 300  # milliseconds after which it is seen that somebody has ended, of which no userfaultfd tells
_BORN, _DONE = b"+", b"-"  # what the server tells the warden: of one more userfaultfd, or of one that is not needed


@dataclass(frozen=True)
class _Door:
    """A userfaultfd, and the process for which it was made."""

    pid: int
    descriptor: int
    pieces: tuple[Piece, ...]


class Lazy:
    """What is still to come when everything else is there."""

    def __init__(self, image: ImageReader) -> None:
        self.is_awaited = False  # whether somebody waits until the image is not needed any more
        self._image = image
        self._doors: list[_Door] = []
        self._pid = 0  # of the warden
        self._closing = -1  # ends when server and warden have closed the open files of the tree
        self._holding = -1  # the server only brings what is asked for until something comes out of the other end

    def watch(self, puppet: Newborn, memory: MemoryRecord, runs: Sequence[Run]) -> None:
        """From here on *runs* of *memory*, in the order of their addresses, come when they are asked for."""
        if not runs:
            return
        mappings = [m for m in memory.mappings if next(cut(runs, m.start, m.end), None)]
        pieces = tuple(Piece(run.start, run.length, run.data) for run in runs if run.data is not None)
        number = lazy.register(puppet, mappings)
        pidfd = kernel_process.open_pidfd(puppet.pid, 0)
        try:
            self._doors.append(_Door(puppet.pid, kernel_process.pidfd_getfd(pidfd, number), pieces))
        finally:
            os.close(pidfd)
            puppet.call("close", number)

    def start(self, pids: Iterable[int]) -> None:
        """Bears server and warden. *pids*: of all processes of the tree, as crtool knows them."""
        if not self._doors:
            return
        with ExitStack() as borrowed:
            pidfds: list[int] = []
            for pid in pids:
                pidfds.append(kernel_process.open_pidfd(pid, 0))
                borrowed.callback(os.close, pidfds[-1])
            self._closing, theirs = os.pipe()
            borrowed.callback(os.close, theirs)
            held, self._holding = os.pipe()
            borrowed.callback(os.close, held)
            self._pid = os.fork()
            if self._pid == 0:
                _stay_behind(self._image, self._doors, pidfds, held, 0 if self.is_awaited else _PATIENCE)
        self._close_doors()

    def _close_doors(self) -> None:
        for door in self._doors:
            os.close(door.descriptor)
        self._doors.clear()

    def await_close(self) -> None:
        """Returns when the tree's open files are not open any more in server and warden."""
        if self._closing >= 0:
            os.read(self._closing, 1)
            os.close(self._closing)
            self._closing = -1

    def go_on(self) -> None:
        """Everybody runs: what nobody asks for is brought as well."""
        if self._holding >= 0:
            with suppress(OSError):  # it has ended already
                os.write(self._holding, b"!")
            os.close(self._holding)
            self._holding = -1

    def reap(self) -> None:
        """Takes note of the warden's end if nothing has to be brought any more, after a failure."""
        self.go_on()
        self._close_doors()  # if server and warden were never born
        if self._pid:
            with suppress(ChildProcessError):
                os.waitpid(self._pid, os.WNOHANG)

    def wait(self) -> None:
        """Returns when everything has come; ImageError if it could not, and the tree has been ended."""
        self.go_on()
        if self._pid:
            _, status = os.waitpid(self._pid, 0)
            self._pid = 0
            if status:
                raise ImageError(f"{self._image.name}: what was restarted from it has been ended")


def _stay_behind(
    image: ImageReader, doors: Sequence[_Door], pidfds: Sequence[int], held: int, patience: float
) -> NoReturn:
    """The life of the warden, and of the server, its child."""
    status = 1
    try:
        gc.disable()  # whatever is collected here may close descriptors, which are others by now
        os.setsid()
        os.chdir("/")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL if number == signal.SIGCHLD else signal.SIG_IGN)
        images = [holder.fileno() for holder in (image, *image.ancestors())]
        kernel_process.raise_file_limit()  # each fork of a program whose memory is still to come takes one
        _close_all_but([_STDERR, held, *images, *pidfds, *(door.descriptor for door in doors)])
        proc_root.cache_clear()  # it was one of them
        with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("-1000")
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        server = os.fork()
        if server == 0:
            here.close()
            set_name(b"crtool-lazy")
            os._exit(_serve(VerifiedReader(image), doors, there, held, patience))
        there.close()
        faults.disarm()
        set_name(b"crtool-warden")
        for fd in (held, *images):
            os.close(fd)
        kept = [door.descriptor for door in doors]
        status = int(_keep(here, kept, server) != 0)  # exit(2) takes 8 bits of it
        if status:
            _say(f"PID {doors[0].pid} and all of its tree are ended: their memory could not be brought any more")
            end_all(pidfds, [door for door in kept if door >= 0])
    finally:
        os._exit(status)


def _close_all_but(kept: Sequence[int]) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    for fd in sorted(int(name) for name in os.listdir("/proc/self/fd")):
        if fd > 1 and fd not in kept:
            with suppress(OSError):
                os.close(fd)


def _serve(
    image: VerifiedReader, doors: Sequence[_Door], line: socket.socket, held: int, patience: float
) -> int:
    """Brings everything; returns an exit status. Only what somebody asks for until *held* can be read from, or has no
    other end any more. To those that are born only what they ask for in the first *patience*
    seconds, and as long as there is something else to bring: nobody else has what they get, and most do not live long.
    """
    spaces = {number: LazySpace(door.descriptor, door.pieces) for number, door in enumerate(doors)}
    born_at: dict[int, float] = {}
    count = len(spaces)
    poll = select.poll()
    for space in spaces.values():
        poll.register(space.door, select.POLLIN)
    poll.register(held, select.POLLIN)
    holds = True
    try:
        while spaces:
            filled = set[int]() if holds else spaces.keys() - born_at.keys() or {
                number for number in spaces if time.monotonic() >= born_at[number] + patience
            }
            waits = not filled and not any(space.is_asked for space in spaces.values())
            ready = {fd for fd, _ in poll.poll(_LOOK if waits else 0)}
            if held in ready:
                poll.unregister(held)
                ready.discard(held)
                holds = False
            for number, space in [*spaces.items()]:
                gone = False
                try:
                    if space.door in ready:
                        for born in space.hear():
                            _tell(line, born.door)
                            spaces[count], born_at[count] = born, time.monotonic()
                            poll.register(born.door, select.POLLIN)
                            count += 1
                    space.answer(image)
                    if number not in filled:
                        gone = lazy.is_gone(space.door)
                    elif not ready:
                        faults.point("bring")
                        space.go_on(image)
                except ProcessLookupError:
                    gone = True
                if gone or space.is_complete:
                    poll.unregister(space.door)
                    os.close(space.door)
                    with suppress(OSError):  # without a warden it goes on
                        line.send(_DONE + number.to_bytes(4, "little"))
                    del spaces[number]
    except CrtoolError as error:
        _say(str(error))
        return 1
    except OSError as error:
        _say(f"memory cannot be brought: {error.strerror}")
        return 1
    return 0


def _tell(line: socket.socket, door: int) -> None:
    rights = array.array("i", [door])
    with suppress(OSError):
        line.sendmsg([_BORN], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def _keep(line: socket.socket, doors: list[int], server: int) -> int:
    """Keeps the userfaultfds for as long as the server needs them; returns its wait status when it has ended.

    *doors* has those that are open then, and −1 in the places of the others: the server tells of them by their places.
    """
    while True:
        data, fds, _, _ = socket.recv_fds(line, 16, 1)
        if not data:
            break
        if data[:1] == _BORN:
            doors += fds or [-1]  # none if there are too many
        elif (door := doors[number := int.from_bytes(data[1:], "little")]) >= 0:
            os.close(door)
            doors[number] = -1
    return os.waitpid(server, 0)[1]


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(_STDERR, f"crtool: {text}\n".encode("utf-8", "replace"))
