"""Pages of a task on their way to the disk, past the page cache.

The task puts references to its pages into pipes (vmsplice(2)). Here each is given a second reference for the checksum
(tee(2)), and goes as it is to a file that is open for direct input and output (splice(2)). So nothing is copied but
into the buffer of the checksum, and nobody's files are driven out of memory by an image that nobody may ever read. For
1 GiB that takes a tenth of a second of CPU time; through the page cache it takes 0.35 s where free memory is at hand,
and 1.5 to 3 s where the host has to give it.

The pages stay as they are meanwhile. A twin runs no code but crtool's, which writes elsewhere, and has no area of
restartable sequences left, to which the kernel would write; and whoever shares them since the fork gets a copy when it
writes, as long as there is any reference to them, also when the twin has ended (09854ba94c6a, "mm: do_wp_page()
simplification", in v5.9; wp_can_reuse_anon_folio() since).

Not by a write(2) of the task to such a file: that pins pages, and the kernel copies a shared page before it is pinned
(a7f226604170, "mm/gup: trigger FAULT_FLAG_UNSHARE…", in v5.19): 262,144 faults and 0.75 s for 1 GiB.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from crtool import faults
from crtool.errors import InternalError
from crtool.image.pipeline import BUFFER_SIZE, PATIENCE
from crtool.image.trouble import cannot_write
from crtool.kernel.interruption import start
from crtool.kernel.splice import tee
from crtool.kernel.syscall import syscall
from crtool.record import dataclass

__all__ = ["Load", "Splicer"]

# Two banks, so that one is filled while the other is emptied, of as many pipes as pay for a stop of the task. Each call
# waits for the disk, which is busy all the time only if several threads make them: 512 MiB took 0.8 s by four, 1.0 to
# 1.9 s by one; by one call of 16 MiB after the other, for which no pipe is large enough, 0.8 s.
BANKS, LANES, THREADS = 2, 4, 4
_LOOK = 0.1  # seconds after which it is seen that no bank will come, since something has failed


@dataclass(frozen=True)
class Load:
    """What is in the pipes of a bank."""

    bank: range  # numbers of its pipes
    lengths: tuple[int, ...]  # bytes in the first, the second…

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(self.lengths)


@dataclass
class _Under:
    """A bank that is being emptied."""

    bank: range
    left: int  # pipes


class Splicer:
    """Banks of pipes, and threads that empty them to the disk."""

    def __init__(self, file: int, length: int, name: str, check: Callable[[], None]) -> None:
        """*file*: the image, called *name*, which is going to have *length* bytes. *check* raises what has gone wrong
        with it elsewhere.

        OSError if the file system has no direct output, or the pipes cannot be had as large as they have to be.
        """
        self.is_broken = False  # whether a pipe may hold what nobody knows of
        self._name, self._check, self._plain = name, check, file
        self._fds: list[int] = []
        self._free: SimpleQueue[range] = SimpleQueue()
        self._jobs: SimpleQueue[tuple[int, int, int, _Under] | None] = SimpleQueue()  # pipe, bytes, offset, its bank
        self._lock = Lock()
        self._error: BaseException | None = None
        self._threads: list[Thread] = []
        self._room: memoryview | None = None
        try:
            self._file = os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
            self._fds.append(self._file)
            # Where the file has room already, several may write at once (ext4_dio_write_checks()).
            with suppress(OSError):
                syscall("fallocate", file, 0, 0, length)
            self._second = self._pipe()
            self._pipes = [self._pipe() for _ in range(BANKS * LANES)]
        except BaseException:
            self._close()
            raise
        for bank in range(BANKS):
            self._free.put(range(bank * LANES, (bank + 1) * LANES))

    def _pipe(self) -> tuple[int, int]:
        """Both ends of a pipe for as many bytes as a buffer has, in whole pages."""
        ends = os.pipe()
        self._fds += ends
        if fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, BUFFER_SIZE) != BUFFER_SIZE:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        return ends

    @property
    def ends(self) -> list[int]:
        """The descriptors by which the pipes are filled, in the order of their numbers."""
        return [write for _, write in self._pipes]

    @property
    def capacity(self) -> int:
        """Bytes that an empty pipe takes without waiting."""
        return BUFFER_SIZE

    @property
    def lanes(self) -> int:
        """How many pipes are in a bank."""
        return LANES

    @staticmethod
    def load(bank: range, lengths: Sequence[int]) -> Load:
        """What is in a bank now."""
        return Load(bank, tuple(lengths))

    def bank(self) -> range:
        """The numbers of pipes that are empty; waits for them."""
        while True:
            try:
                bank = self._free.get(timeout=_LOOK)
            except Empty:
                bank = None
            self._check()
            self._require_no_error()
            if bank is not None:
                return bank

    def pass_on(self, load: Load, offset: int) -> Iterator[memoryview]:
        """Sends *load* on its way to *offset* of the file, and shows what is in it, piece by piece."""
        if self._room is None:
            self._room = memoryview(mmap.mmap(-1, BUFFER_SIZE))
            for _ in range(THREADS):
                self._threads.append(Thread(target=self._work, name="crtool-disk", daemon=True))
                start(self._threads[-1])
        under = _Under(load.bank, sum(map(bool, load.lengths)))
        for number, length in zip(load.bank, load.lengths, strict=False):
            if not length:
                break
            self._require_no_error()
            source = self._pipes[number][0]
            if (got := tee(source, self._second[1], length)) != length:
                raise InternalError(f"{self._name}: {got} of {length} bytes of a pipe are seen")
            self._jobs.put((source, length, offset, under))
            offset += length
            while length:
                got = os.readv(self._second[0], [self._room[:length]])
                yield self._room[:got]
                length -= got

    def finish(self) -> None:
        """Everything is written when this returns; raises what went wrong."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._close()
        self._require_no_error()

    def abandon(self) -> bool:
        """Throws away what is under way; False if a thread hangs in a call and may still use its descriptors."""
        self._error = self._error or BrokenPipeError("abandoned")
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                return False
        self._threads.clear()
        self._close()
        return True

    def _close(self) -> None:
        while self._fds:
            os.close(self._fds.pop())

    def _require_no_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        """A thread. After an error it only gives the banks back, so that nobody waits for one in vain."""
        while (job := self._jobs.get()) is not None:
            pipe, length, offset, under = job
            if self._error is None:
                try:
                    self._empty(pipe, length, offset)
                except OSError as error:
                    self._error = cannot_write(self._name, error)
                except BaseException as error:  # noqa: BLE001 - it is raised again in the other threads
                    self._error = error
            with self._lock:
                under.left -= 1
                if not under.left:
                    self._free.put(under.bank)

    def _empty(self, pipe: int, length: int, offset: int) -> None:
        while length:
            if number := faults.fail_transfer():
                raise OSError(number, os.strerror(number))
            try:
                done = os.splice(pipe, self._file, length, offset_dst=offset)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                done = self._copy(pipe, length, offset)  # not of that size, or not at that place
            if not done:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            length, offset = length - done, offset + done

    def _copy(self, pipe: int, length: int, offset: int) -> int:
        """The same through the page cache."""
        view = memoryview(os.read(pipe, length))
        done = 0
        while done < len(view):
            done += os.pwrite(self._plain, view[done:], offset + done)
        return done
