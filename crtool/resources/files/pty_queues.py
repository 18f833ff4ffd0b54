"""What is under way in a pseudoterminal: typed and not yet read by the slave, written and not yet read by the master.

The kernel keeps a queue of up to 4095 bytes at each side, and before it a buffer from which a worker of the kernel
fills it. In line mode the queue at the slave is cut into lines, some ended by the end-of-file character, and the last
may be unfinished: nobody can see that but by leaving line mode, which forgets the cuts.

There is no way to look at either queue without taking the bytes out. So a process of the tree that has the master does
it, in one batch: it takes everything out and puts it back by writing at the other side, with settings under which
nothing is echoed, interpreted or changed. The batch goes on to its end even if crtool dies in the middle of it.

We rebuild the queues in the same way, empty ones, from crtool.

Lost: where typed lines held a quoted line feed or NUL, they are cut there. In two cases crtool itself puts back what
the batch could not, and a crash in that moment loses it: end-of-file characters that are typed and not read, and
more than the 4095 bytes where the buffers do not take it back in the pieces in which they gave it.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import select
import struct
import time
from collections.abc import Sequence
from contextlib import suppress

from crtool.abi import termios as abi
from crtool.errors import EnvironmentDiffers, Obstacle, ObstacleError, RemoteCallError
from crtool.kernel import terminal
from crtool.puppet.batch import Batch, Buffer, Call
from crtool.puppet.puppet import Puppet
from crtool.record import dataclass

__all__ = ["NOTHING", "QueuesRecord", "dump_queues", "restore_queues"]

_QUEUE = 4095  # N_TTY_BUF_SIZE − 1, bytes
# In front of the queue the kernel allocates buffers, each as large as a write wants, until they are more than 8 KiB
# (and hold twice as much). The most goes in by pieces of 256 up to just below the limit, and then a large one.
_FIRST_PIECES = 16
_PIECES = (*(256,) * 15, 255, *(256,) * 61, 3584, 4096)
_FEW_PIECES = (_QUEUE, 256)
_LINE_PIECES = (_QUEUE, *(4096,) * 4)
_ECHO = 0x0008
_PATIENCE = 2.0  # seconds
# struct timespec: seconds, nanoseconds
_PAUSE = struct.pack("<qq", 0, 500_000)
_LONGEST_WAIT = struct.pack("<qq", 0, 200_000_000)


@dataclass(frozen=True)
class QueuesRecord:
    """The bytes under way."""

    lines: tuple[bytes, ...]  # typed, in line mode: as read(2) gives them; without a line feed: ended by end of file
    typed: bytes  # typed: the unfinished line in line mode, else all
    output: bytes  # written by the slave, as the master will read it


NOTHING = QueuesRecord((), b"", b"")


def _is_canonical(settings: bytes) -> bool:
    return bool(abi.TERMIOS2.unpack(settings)[3] & abi.ICANON)


def _is_line_mode(settings: bytes) -> bool:
    """Whether the kernel cuts into lines; with EXTPROC somebody else does."""
    return _is_canonical(settings) and not abi.TERMIOS2.unpack(settings)[3] & abi.EXTPROC


def _passive(settings: bytes, *, lines: bool, eof: int = 0, echo: bool = False) -> bytes:
    """Settings under which bytes pass as they are.

    IXON stays as it is, without its characters: who takes it away starts output that is stopped.
    """
    inputs, outputs, control, local, line, _, fast_in, fast_out = abi.TERMIOS2.unpack(settings)
    characters = bytearray(19)
    characters[abi.VMIN] = 1
    characters[abi.VEOF] = eof
    local = (local & abi.EXTPROC) | (abi.ICANON if lines else 0) | (_ECHO if echo else 0)
    inputs &= abi.IXON | abi.IUTF8
    return abi.TERMIOS2.pack(
        inputs, outputs & ~abi.OPOST, control, local, line, bytes(characters), fast_in, fast_out
    )


# -- taking out and putting back, in the target ---------------------------------------------------


def _sleep(batch: Batch) -> None:
    batch.call("nanosleep", _PAUSE, 0, must=False, label="arrival")


def _await_arrival(batch: Batch, peer: int) -> None:
    """Waits until what was written at the master can be read by the slave *peer*.

    The kernel's worker goes through all that one write has put into a buffer without a pause, and wakes who polls at
    the first line of it: the short sleep is for the rest.
    """
    batch.call("ppoll", struct.pack("<ihh", peer, select.POLLIN, 0), 1, _LONGEST_WAIT, 0, 0, must=False)
    _sleep(batch)


class _Moves:
    """Reads of one side and the writes of the same at the other, as calls of a batch."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.pairs: list[tuple[Buffer, Call]] = []
        self.writes: list[Call] = []

    def read(self, fd: int | Call, sizes: Sequence[int]) -> None:
        for size in sizes:
            buffer = self.batch.buffer(size)
            self.pairs.append((buffer, self.batch.call("read", fd, buffer, size, must=False, label="take out")))

    def write(self, fd: int | Call) -> None:
        for number, (buffer, read) in enumerate(self.pairs):
            if number == _FIRST_PIECES and buffer.size < _QUEUE:
                _sleep(self.batch)  # the queue is to be full before the buffers are
            # A read that got nothing makes this a write of a negative number of bytes, which fails.
            self.writes.append(self.batch.call("write", fd, buffer, read, must=False, label="put back"))

    def pieces(self) -> list[bytes]:
        """What the reads got; an empty piece is an end of file."""
        return [buffer.read()[: call.raw] for buffer, call in self.pairs if call.ok]

    def is_whole(self) -> bool:
        """Whether everything could be put back."""
        both = zip(self.pairs, self.writes, strict=True)
        return all(write.raw == read.raw for (_, read), write in both if read.ok)


def dump_queues(
    puppet: Puppet, fd: int, flags: int, settings: bytes, *, packet: bool, master: int, slave: int
) -> QueuesRecord:
    """What is under way in the pair of master *fd* of *puppet*, which has O_* *flags*.

    *master* and *slave* are descriptors of our own, for looking only. Raises ObstacleError.
    """
    lines_mode = _is_line_mode(settings)
    outgoing, incoming = terminal.drain_arrivals(master), terminal.drain_arrivals(slave)
    readable = terminal.readable(slave)
    if packet and terminal.has_status(master):
        cause = "a terminal in packet mode with a status that was not read"
        raise ObstacleError([Obstacle(puppet.pid, f"fd {fd}", cause, "try again")])
    if outgoing < _QUEUE and not terminal.writable(slave):
        cause = "a terminal whose output is stopped (^S)"
        raise ObstacleError([Obstacle(puppet.pid, f"fd {fd}", cause, "start it again (^Q)")])
    if not (outgoing or incoming or lines_mode):
        return NOTHING
    batch = Batch()
    peer_flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    peer = batch.call("ioctl", fd, abi.TIOCGPTPEER, peer_flags, label="slave")
    batch.call("fcntl", fd, fcntl.F_SETFL, flags | os.O_NONBLOCK, must=False)
    if packet:
        batch.call("ioctl", fd, abi.TIOCPKT, (0).to_bytes(4, "little"), must=False)
    typed, output = _Moves(batch), _Moves(batch)

    def settle(value: bytes) -> None:
        batch.call("ioctl", peer, abi.TCSETS2, value, must=False, label="settings")

    # Leaving line mode forgets where lines end; line feeds still say it, and an end of file has become a NUL.
    settle(_passive(settings, lines=_is_canonical(settings) and not lines_mode))
    if lines_mode:
        typed.read(peer, _LINE_PIECES)
    elif incoming:
        typed.read(peer, _PIECES if incoming >= _QUEUE else _FEW_PIECES)
    if outgoing:
        output.read(fd, _PIECES if outgoing >= _QUEUE else _FEW_PIECES)
    if lines_mode:
        settle(_passive(settings, lines=True))
    typed.write(fd)
    output.write(peer)
    if incoming or readable:
        _await_arrival(batch, _lowest_free(puppet.pid))
    elif lines_mode:
        # No line is complete, so this finds nothing; but before it says so it waits for the kernel's worker.
        batch.call("read", peer, batch.buffer(1), 1, must=False)
    settle(settings)
    if packet:
        batch.call("ioctl", fd, abi.TIOCPKT, (1).to_bytes(4, "little"), must=False)
    batch.call("fcntl", fd, fcntl.F_SETFL, flags, must=False)
    batch.call("close", peer, must=False)
    try:
        puppet.run(batch)
    except RemoteCallError as error:
        cause = f"its slave cannot be opened by the program itself ({os.strerror(error.errno)})"
        raise ObstacleError([Obstacle(puppet.pid, f"fd {fd}", cause, "raise its limit of open files")]) from None
    record = _recorded(b"".join(typed.pieces()), b"".join(output.pieces()), lines_mode=lines_mode)
    if not (typed.is_whole() and output.is_whole()) or any(not line.endswith(b"\n") for line in record.lines):
        _mend(record, master, slave, settings, packet=packet)
    return record


def _lowest_free(pid: int) -> int:
    """The number that the next descriptor of a frozen process gets; none that it can have, if nobody can say."""
    try:
        taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    except OSError:  # its main thread has ended
        return 0x7FFF_FFFF
    return next(number for number in itertools.count() if number not in taken)


def _recorded(typed: bytes, output: bytes, *, lines_mode: bool) -> QueuesRecord:
    if not lines_mode:
        return QueuesRecord((), typed, output)
    *lines, rest = re.split(rb"(?<=\n)|\0", typed)
    return QueuesRecord(tuple(lines), rest, output)


def _mend(record: QueuesRecord, master: int, slave: int, settings: bytes, *, packet: bool) -> None:
    """Fills the queues again that a batch could not fill as they were."""
    flags = fcntl.fcntl(master, fcntl.F_GETFL)
    fcntl.fcntl(master, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        if packet:
            terminal.set_word(master, abi.TIOCPKT, 0)
        terminal.set_settings(slave, _passive(settings, lines=_is_canonical(settings) and not _is_line_mode(settings)))
        for fd in (master, slave):
            with suppress(BlockingIOError):
                while os.read(fd, 4096):
                    pass
        if _is_line_mode(settings):
            terminal.set_settings(slave, _passive(settings, lines=True))
        restore_queues(record, master, slave, settings)
    finally:
        terminal.set_settings(slave, settings)
        if packet:
            terminal.set_word(master, abi.TIOCPKT, 1)
        fcntl.fcntl(master, fcntl.F_SETFL, flags)


# -- filling empty queues -------------------------------------------------------------------------


def restore_queues(record: QueuesRecord, master: int, slave: int, settings: bytes) -> None:
    """Fills the empty queues of a pair that nobody else uses; its settings are to be set to *settings* afterwards."""
    if record == NOTHING:
        return
    flags = {fd: fcntl.fcntl(fd, fcntl.F_GETFL) for fd in (master, slave)}
    for fd, value in flags.items():
        fcntl.fcntl(fd, fcntl.F_SETFL, value | os.O_NONBLOCK)
    try:
        if _is_line_mode(settings):
            _type_lines(record, master, slave, settings)
        else:
            terminal.set_settings(slave, _passive(settings, lines=_is_canonical(settings)))
            _pour(master, slave, record.typed)
        terminal.set_settings(slave, _passive(settings, lines=_is_canonical(settings)))
        _pour(slave, master, record.output)
    finally:
        for fd, value in flags.items():
            fcntl.fcntl(fd, fcntl.F_SETFL, value)


def _type_lines(record: QueuesRecord, master: int, slave: int, settings: bytes) -> None:
    """Types what was typed. The echo, which is thrown away, tells what has arrived."""
    everything = b"".join(record.lines) + record.typed
    eof = next(byte for byte in range(1, 256) if byte not in everything and byte != ord("\n")) if everything else 4
    terminal.set_settings(slave, _passive(settings, lines=True, eof=eof, echo=True))
    typing = b"".join(line if line.endswith(b"\n") else line + bytes([eof]) for line in record.lines) + record.typed
    until = time.monotonic() + _PATIENCE
    echoed = 0
    while typing or echoed < len(everything):
        with suppress(BlockingIOError):
            typing = typing[os.write(master, typing[:256]) :]
        with suppress(BlockingIOError):
            echoed += len(os.read(master, 4096))
        if time.monotonic() > until:
            raise EnvironmentDiffers("a terminal does not take what had been typed into it", "try again")


def _pour(source: int, sink: int, data: bytes) -> None:
    """Writes at one side until all of *data* is at the other."""
    left = memoryview(data)
    until = time.monotonic() + _PATIENCE
    sizes = iter(_PIECES)
    size = next(sizes)
    while left:
        try:
            left = left[os.write(source, left[:size]) :]
            size = next(sizes, 4096)
        except BlockingIOError:
            time.sleep(0.0005)
        if time.monotonic() > until:
            raise EnvironmentDiffers("a terminal does not take back what it held", "try again")
        if len(data) - len(left) == _QUEUE or not left:
            while terminal.drain_arrivals(sink) < min(len(data) - len(left), _QUEUE) and time.monotonic() < until:
                time.sleep(0.0005)
