"""Other processes: pidfd(2), kcmp(2), process_vm_readv(2), prlimit(2), robust lists, scheduling."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Iterable
from contextlib import suppress

from crtool.errors import TargetDied
from crtool.kernel.syscall import memory_address, syscall

__all__ = [
    "KCMP_FILE",
    "KCMP_FILES",
    "KCMP_FS",
    "KCMP_IO",
    "KCMP_SIGHAND",
    "KCMP_VM",
    "Identities",
    "get_robust_list",
    "ioprio_get",
    "is_epoll_target",
    "kcmp",
    "open_pidfd",
    "pidfd_getfd",
    "pidfd_open",
    "raise_file_limit",
    "read_memory",
    "read_memory_into",
    "sched_getattr",
    "tgkill",
    "write_memory",
]

KCMP_FILE, KCMP_VM, KCMP_FILES, KCMP_FS, KCMP_SIGHAND, KCMP_IO, KCMP_SYSVSEM = range(7)

_KCMP_EPOLL_TFD = 7

IOV_MAX = 1024


_PIDFD_THREAD = os.O_EXCL


def raise_file_limit() -> int:
    """Lets this process have as many descriptors as it may (RLIMIT_NOFILE); returns how many these are.

    With CAP_SYS_RESOURCE that is what the kernel gives to anybody (/proc/sys/fs/nr_open).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
        most = int(file.read())
    for limit in (max(hard, most), hard):
        with suppress(ValueError, PermissionError):  # ValueError is Python's for EPERM here
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            return limit
    return hard


def pidfd_open(tid: int) -> int:
    """A descriptor that refers to task *tid* (pidfd_open(2), since 5.3), close-on-exec.

    It may be any thread where the kernel can do that (PIDFD_THREAD, since 6.9), else the main thread only.
    """
    try:
        try:
            return syscall("pidfd_open", tid, _PIDFD_THREAD)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return syscall("pidfd_open", tid, 0)
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise TargetDied(tid) from None
        raise


def open_pidfd(pid: int, flags: int) -> int:
    """pidfd_open(2) as it is; raises OSError."""
    return syscall("pidfd_open", pid, flags)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """A descriptor here for the open file description behind *fd* of another process, close-on-exec."""
    return syscall("pidfd_getfd", pidfd, fd, 0)


def kcmp(pid1: int, pid2: int, kind: int, index1: int = 0, index2: int = 0) -> int:
    """kcmp(2): 0 if both have the same kernel object; 1 or 2 give an order; 3 for unequal without order."""
    return syscall("kcmp", pid1, pid2, kind, index1, index2)


def is_epoll_target(pid: int, fd: int, epoll_pid: int, epoll_fd: int, number: int, nth: int) -> bool:
    """Whether *fd* of *pid* is the file that epoll instance *epoll_fd* of *epoll_pid* watches: the *nth* of those that
    were added by *number* (KCMP_EPOLL_TFD, since 4.13).
    """
    slot = bytearray(struct.pack("<III", epoll_fd, number, nth))  # struct kcmp_epoll_slot
    return syscall("kcmp", pid, epoll_pid, _KCMP_EPOLL_TFD, fd, memory_address(memoryview(slot))) == 0


class Identities:
    """Kernel objects of one kind that tasks refer to, each found once, by kcmp(2).

    kcmp gives an order, so the known ones are kept sorted by it, and a new one is found by bisection. Two
    are compared only where their *place*, whatever cheap facts tell them apart, is equal.
    """

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._sorted: dict[object, list[tuple[int, int, int]]] = {}  # place → (pid, fd, index)
        self._unsorted: dict[object, list[tuple[int, int, int]]] = {}  # … of those that nobody was compared with yet
        self.count = 0

    def find(self, pid: int, fd: int = 0, place: object = None) -> tuple[int, bool]:
        """The index of the object that *pid* (for KCMP_FILE: its descriptor *fd*) refers to, and whether it is new."""
        index, where = self._look(pid, fd, place)
        if index is not None:
            return index, False
        index = self.count
        self.count += 1
        self._sorted.setdefault(place, []).insert(where, (pid, fd, index))
        return index, True

    def add(self, pid: int, fd: int = 0, place: object = None) -> int:
        """The index of an object that is new, as the caller knows."""
        self._unsorted.setdefault(place, []).append((pid, fd, self.count))
        self.count += 1
        return self.count - 1

    def known(self, pid: int, fd: int = 0, place: object = None) -> int | None:
        """Its index, None if it has not been found before."""
        return self._look(pid, fd, place)[0]

    def _look(self, pid: int, fd: int, place: object) -> tuple[int | None, int]:
        """Its index, and where it stands, or is to stand, among the sorted ones."""
        for new in self._unsorted.pop(place, ()):
            self._sorted.setdefault(place, []).insert(self._search(*new[:2], place)[1], new)
        return self._search(pid, fd, place)

    def _search(self, pid: int, fd: int, place: object) -> tuple[int | None, int]:
        known = self._sorted.get(place, ())
        low, high = 0, len(known)
        while low < high:
            middle = (low + high) // 2
            other, other_fd, index = known[middle]
            order = kcmp(pid, other, self._kind, fd, other_fd)
            if order == 0:
                return index, middle
            if order == 1:  # "v1 is less than v2"
                high = middle
            else:
                low = middle + 1
        return None, low


def read_memory(pid: int, address: int, length: int) -> bytes:
    """Bytes of another process: for small structures, never for pages."""
    buffer = bytearray(length)
    got = read_memory_into(pid, [(address, length)], memoryview(buffer))
    if got != length:
        raise OSError(errno.EFAULT, f"only {got} of {length} bytes at {address:#x} of PID {pid} are readable")
    return bytes(buffer)


def read_memory_into(pid: int, ranges: Iterable[tuple[int, int]], view: memoryview) -> int:
    """process_vm_readv(2): reads *ranges* (address, length) one after the other into *view*; returns the bytes got.

    The bytes go from one process to the other without becoming Python objects.
    """
    parts = list(ranges)
    total = sum(length for _, length in parts)
    if not parts:
        return 0
    remote = ctypes.create_string_buffer(b"".join(struct.pack("<QQ", *part) for part in parts), 16 * len(parts))
    local = (ctypes.c_ulong * 2)(memory_address(view), total)
    done = 0
    for first in range(0, len(parts), IOV_MAX):
        some = parts[first : first + IOV_MAX]
        want = sum(length for _, length in some)
        local[0], local[1] = memory_address(view) + done, want
        try:
            got = syscall(
                "process_vm_readv",
                pid,
                ctypes.addressof(local),
                1,
                ctypes.addressof(remote) + 16 * first,
                len(some),
                0,
            )
        except OSError as error:
            if error.errno == errno.ESRCH:
                raise TargetDied(pid) from None
            if error.errno == errno.EFAULT:
                return done
            raise
        done += got
        if got < want:
            break
    return done


def write_memory(pid: int, address: int, content: bytes) -> None:
    """process_vm_writev(2): writes into writable memory of another process."""
    buffer = ctypes.create_string_buffer(content, len(content))
    local = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), len(content))
    remote = (ctypes.c_ulong * 2)(address, len(content))
    try:
        got = syscall("process_vm_writev", pid, ctypes.addressof(local), 1, ctypes.addressof(remote), 1, 0)
    except OSError as error:
        if error.errno == errno.ESRCH:
            raise TargetDied(pid) from None
        raise
    if got != len(content):
        raise OSError(errno.EFAULT, f"only {got} of {len(content)} bytes could be written at {address:#x}")


def get_robust_list(tid: int) -> tuple[int, int]:
    """get_robust_list(2): address and length of the head of a thread's robust futex list."""
    head, size = ctypes.c_ulong(), ctypes.c_ulong()
    syscall("get_robust_list", tid, ctypes.addressof(head), ctypes.addressof(size))
    return head.value, size.value


def ioprio_get(tid: int) -> int:
    """ioprio_get(2): class and level of one task."""
    return syscall("ioprio_get", 1, tid)  # IOPRIO_WHO_PROCESS


def sched_getattr(tid: int) -> bytes:
    """sched_getattr(2): struct sched_attr, as many bytes as the kernel fills (at most 64)."""
    buffer = ctypes.create_string_buffer(64)
    syscall("sched_getattr", tid, ctypes.addressof(buffer), 64, 0)
    (size,) = struct.unpack_from("<I", buffer.raw)
    return buffer.raw[:size]


def tgkill(tgid: int, tid: int, signal: int) -> None:
    """tgkill(2): sends *signal* to one thread."""
    syscall("tgkill", tgid, tid, signal)
