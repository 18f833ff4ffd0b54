"""What this kernel, this CPU and the caller's rights give: probed, never derived from a version.

Each probe makes a call that can do no harm and looks at how the kernel answers.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crtool.abi import clone as clone_abi
from crtool.abi import mman
from crtool.abi import ptrace as ptrace_abi
from crtool.kernel import aio, nftables, pagemap, process, ptrace
from crtool.kernel.clone import why_no_set_tid
from crtool.kernel.ended import gated_child
from crtool.kernel.syscall import memory_address, syscall
from crtool.kernel.wait import wait_for_stop
from crtool.record import dataclass

__all__ = ["Probe", "probe_all"]


@dataclass(frozen=True)
class Probe:
    """The outcome of one probe."""

    name: str
    available: bool
    detail: str  # what it is for, or why it is missing
    needed: bool  # nothing works without it


def probe_all() -> Iterator[Probe]:
    """Probes everything, one after the other."""
    for name, needed, purpose, probe in _PROBES:
        try:
            problem = probe()
        except OSError as error:
            problem = error.strerror or str(error)
        yield Probe(name, problem is None, purpose if problem is None else f"{purpose}: {problem}", needed)


@contextmanager
def _stopped_child() -> Iterator[int]:
    """A child of ours, seized and stopped, that dies with us."""
    with gated_child() as pid:
        try:
            ptrace.seize(pid, ptrace_abi.O_EXITKILL)
            ptrace.interrupt(pid)
            wait_for_stop(pid)
            yield pid
        finally:
            os.kill(pid, 9)


def _ptrace() -> str | None:
    with _stopped_child() as pid:
        ptrace.registers(pid)
        ptrace.signal_mask(pid)
    return None


def _peek_signals() -> str | None:
    with _stopped_child() as pid:
        ptrace.queued_signals(pid, shared=True)
    return None


def _rseq() -> str | None:
    with _stopped_child() as pid:
        return None if ptrace.rseq(pid)[0] else "PTRACE_GET_RSEQ_CONFIGURATION is missing, or no C library uses rseq"


def _suspend_seccomp() -> str | None:
    with _stopped_child() as pid:
        ptrace.set_options(pid, ptrace_abi.O_EXITKILL | ptrace_abi.O_SUSPEND_SECCOMP)
    return None


def _choose_pids() -> str | None:
    problem = why_no_set_tid() or _refused_here()
    if problem is None or (against := _own_namespace()) is None:
        return None  # in a PID namespace of its own a tree gets its PIDs in any case
    return f"{problem}, and a PID namespace of its own is not possible either ({against})"


def _own_namespace() -> str | None:
    """Whether this user may have a PID namespace, in a user namespace."""
    pid = os.fork()
    if pid == 0:
        try:
            syscall("unshare", clone_abi.CLONE_NEWUSER | clone_abi.CLONE_NEWPID | clone_abi.CLONE_NEWNS)
            os._exit(0)
        except OSError as error:
            os._exit(min(error.errno or 255, 255))
        finally:
            os._exit(255)
    _, status = os.waitpid(pid, 0)
    number = os.waitstatus_to_exitcode(status)
    return os.strerror(number) if number else None


def _refused_here() -> str | None:
    """Why crtool may not choose the PID of a child of its own."""
    from crtool.kernel.clone import clone3  # noqa: PLC0415

    number = os.getpid()  # taken for certain: with the right to choose, EEXIST
    try:
        if clone3(0, 17, (number,)) == 0:
            os._exit(0)
    except FileExistsError:
        return None
    except PermissionError:
        return "CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN is missing"
    return "a taken PID was given twice"


def _pidfd_getfd() -> str | None:
    pidfd = process.pidfd_open(os.getpid())
    try:
        os.close(process.pidfd_getfd(pidfd, pidfd))
    finally:
        os.close(pidfd)
    return None


def _kcmp() -> str | None:
    return None if process.kcmp(os.getpid(), os.getpid(), process.KCMP_VM) == 0 else "a process differs from itself"


def _read_memory() -> str | None:
    word = bytearray(b"crtool!!")
    read = process.read_memory(os.getpid(), memory_address(memoryview(word)), len(word))
    return None if read == word else "other bytes were read"


def _pagemap_scan() -> str | None:
    arg = bytearray(96)
    struct.pack_into("<Q", arg, 0, 96)
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, mman.PAGEMAP_SCAN, arg, True)
    except OSError as error:
        return "before 6.7 /proc/PID/pagemap is read instead" if error.errno == errno.ENOTTY else error.strerror
    finally:
        os.close(fd)
    return None


def _map_files() -> str | None:
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        line = next(line for line in maps if "/" in line)
    start, end = line.split()[0].split("-")
    os.close(os.open(f"/proc/self/map_files/{int(start, 16):x}-{int(end, 16):x}", os.O_RDONLY | os.O_CLOEXEC))
    return None


def _set_bounds() -> str | None:
    size = ctypes.c_uint()
    syscall("prctl", 35, 15, ctypes.addressof(size), 0, 0)  # PR_SET_MM_MAP_SIZE
    return None if size.value == 104 else f"struct prctl_mm_map has {size.value} bytes"


def _guards() -> str | None:
    size = mmap.PAGESIZE
    anonymous = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS
    start = syscall("mmap", 0, size, mman.PROT_READ | mman.PROT_WRITE, anonymous, -1, 0)
    fd = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscall("madvise", start, size, mman.MADV_GUARD_INSTALL)
        found = pagemap.scan(fd, start, start + size)
    finally:
        os.close(fd)
        syscall("munmap", start, size)
    return None if any(kind & mman.PAGE_IS_GUARD for _, _, kind in found) else "the page map does not show guards"


def _timer_ids() -> str | None:
    try:
        syscall("prctl", 77, 2, 0, 0, 0)  # PR_TIMER_CREATE_RESTORE_IDS, …_GET
    except OSError:
        return "before 6.15 timers are made and deleted until the ID comes"
    return None


def _repair() -> str | None:
    with socket.socket() as tcp:
        tcp.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR, linux/tcp.h
    return None


def _track_writes() -> str | None:
    # struct uffdio_api: api, wanted features, ioctls (linux/userfaultfd.h)
    fd = syscall("userfaultfd", os.O_CLOEXEC | 1)  # UFFD_USER_MODE_ONLY
    try:
        fcntl.ioctl(fd, 0xC018AA3F, struct.pack("<QQQ", 0xAA, 1 << 15, 0))  # UFFDIO_API, UFFD_FEATURE_WP_ASYNC
    except OSError:
        return "before 6.7 the kernel cannot do that by itself"
    finally:
        os.close(fd)
    return None


def _time_namespaces() -> str | None:
    return None if os.path.exists("/proc/self/ns/time") else "this kernel has none"


def _seal() -> str | None:
    try:
        syscall("mseal", 0, 0, 0)
    except OSError as error:
        return "before 6.10 no mapping can be sealed" if error.errno == errno.ENOSYS else None
    return None


_PROBES: tuple[tuple[str, bool, str, Callable[[], str | None]], ...] = (
    ("ptrace", True, "stop a process and read its registers and mask", _ptrace),
    ("peeksiginfo", True, "read queued signals", _peek_signals),
    ("set_tid", True, "give a process the PID it had (clone3)", _choose_pids),
    ("pidfd_getfd", True, "borrow descriptors", _pidfd_getfd),
    ("kcmp", True, "find out what is shared", _kcmp),
    ("process_vm_readv", True, "copy memory", _read_memory),
    ("map_files", False, "reach mapped files that have no name", _map_files),
    ("user namespaces", False, "restart without root", _own_namespace),
    ("PR_SET_MM_MAP", True, "give a process its executable and command line", _set_bounds),
    ("PAGEMAP_SCAN", False, "find pages fast", _pagemap_scan),
    ("rseq", False, "read where rseq is registered", _rseq),
    ("suspend_seccomp", False, "save programs under seccomp", _suspend_seccomp),
    ("guard regions", False, "save guard pages (MADV_GUARD_INSTALL)", _guards),
    ("AIO contexts", False, "see requests in flight (io_submit), by BPF", aio.why_not),
    ("timer IDs", False, "give POSIX timers their IDs at once", _timer_ids),
    ("mseal", False, "seal mappings", _seal),
    ("nf_tables", False, "hold TCP connections with others still between a kill and the restart", nftables.why_not),
    ("TCP_REPAIR", False, "save TCP connections", _repair),
    ("userfaultfd", False, "see which pages change between checkpoints (run --incremental)", _track_writes),
    ("time namespaces", False, "let clocks go on where they were", _time_namespaces),
)
