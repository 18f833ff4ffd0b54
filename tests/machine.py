"""What a kernel, a CPU or a container may lack, and no package supplies: asked before tests are collected.

A test says what it needs by the marker ``machine``, a specimen by its first line (``needs: …``). What is missing takes
its tests out of the collection, and the summary names them: a skip is left for what somebody could have installed. So
does a long form that nobody has asked for.

The kernel is asked by other means than crtool's wherever that is possible: a fault of crtool's must not hide its tests.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from crtool.abi.clone import CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from crtool.kernel import nftables
from crtool.kernel.syscall import syscall
from crtool.procfs import cgroup as cgroup_file

__all__ = ["NEEDS", "freezer_root", "missing", "own_group"]

NAMESPACES = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP
PROC_PID_INIT_INO = 0xEFFFFFFC  # include/linux/proc_ns.h: the outermost PID namespace
PR_SET_VMA = 0x53564D41
PR_SET_THP_DISABLE, PR_SET_MDWE, PR_GET_MEMORY_MERGE = 41, 65, 68
MADV_GUARD_INSTALL = 102
EPIOCGPARAMS = 0x80088A02
BTF = "/sys/kernel/btf/vmlinux"


@cache
def missing(need: str) -> str | None:
    """The words for what this machine lacks of *need*, None if it has it. KeyError: nobody has said how to find out."""
    try:
        return None if NEEDS[need]() is not False else need
    except OSError as error:
        return f"{need} ({error.strerror or error})"


def own_group(name: str) -> Path:
    """A new control group below that of this process, in whatever hierarchy lets one be made; else OSError."""
    reason = OSError("no hierarchy has a place for one")
    for membership in cgroup_file.parse(Path("/proc/self/cgroup").read_bytes()):
        for root in ("unified", "", membership.controllers[0] if membership.controllers else ""):
            made = Path("/sys/fs/cgroup", root, os.fsdecode(membership.path).lstrip("/"), name)
            try:
                made.mkdir()
            except OSError as error:
                reason = error
                continue
            if (made / "cgroup.procs").exists():
                return made
            made.rmdir()
    raise reason


def freezer_root() -> Path:
    """Where groups are made that freeze their members."""
    old = Path("/sys/fs/cgroup/freezer")
    return old if old.is_dir() else old.parent


def _capability(number: int) -> bool:
    (effective,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff:")]
    return bool(int(effective.split()[1], 16) >> number & 1)


def _flag(name: str) -> bool:
    """Of /proc/cpuinfo."""
    return any(name in line.split() for line in Path("/proc/cpuinfo").read_text().splitlines() if line[:5] == "flags")


def _in_child(change: Callable[[], object]) -> None:
    """What *change* would do to this process is done to a child of it; OSError if it fails there."""
    pid = os.fork()
    if pid == 0:
        number = 255
        try:
            change()
            number = 0
        except OSError as error:
            number = error.errno or 255
        finally:
            os._exit(number)
    number = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if number:
        raise OSError(number, os.strerror(number))


def _works(*command: str) -> bool:
    return not subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode


def _closed(fd: int) -> None:
    os.close(fd)


def _buffer(content: bytes, size: int) -> int:
    """The address of a copy that stays."""
    _kept.append(ctypes.create_string_buffer(content, size))
    return ctypes.addressof(_kept[-1])


_kept: list[object] = []


def _advised(advice: int) -> None:
    with mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as area:
        area.madvise(advice)


def _protection_keys() -> None:
    syscall("pkey_free", syscall("pkey_alloc", 0, 0))


def _huge_pages() -> bool:
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("HugePages_Total:")]
    return int(line.split()[1]) >= 16  # as many as tests/run sees to


def _scheduled(policy: int, priority: int = 0, runtime: int = 0, deadline: int = 0) -> Callable[[], None]:
    """Whether a thread may have such a schedule, and keeps what it asks for: struct sched_attr."""
    form = struct.Struct("<IIQiIQQQ")

    def change() -> None:
        wanted = form.pack(form.size, policy, 0, 0, priority, runtime, deadline, deadline)
        syscall("sched_setattr", 0, _buffer(wanted, form.size), 0)
        found = ctypes.create_string_buffer(form.size)
        syscall("sched_getattr", 0, ctypes.addressof(found), form.size, 0)
        if form.unpack(found.raw)[5] != runtime:
            raise OSError("the kernel does not keep it")

    return lambda: _in_child(change)


def _new_namespaces() -> None:
    _in_child(lambda: syscall("unshare", NAMESPACES))


def _io_uring() -> None:
    _closed(syscall("io_uring_setup", 1, _buffer(b"", 120)))


def _io_uring_in_btf() -> bool:
    """The newest members of struct io_ring_ctx that crtool asks for."""
    _io_uring()
    return _are_in_btf("zcrx_ctxs", "param_region", "nr_req_allocated")


def _bpf() -> bool:
    _closed(syscall("bpf", 0, _buffer(struct.pack("<IIII", 2, 4, 4, 1), 128), 128))  # BPF_MAP_CREATE, an array
    return os.path.exists(BTF)


def _packet_rings() -> bool:
    syscall("membarrier", 1, 0, 0)  # MEMBARRIER_CMD_GLOBAL
    return _bpf() and _are_in_btf("packet_sock")


def _are_in_btf(*names: str) -> bool:
    return os.path.exists(BTF) and all(b"\0%s\0" % name.encode() in Path(BTF).read_bytes() for name in names)


def _ping() -> bool:
    first, last = map(int, Path("/proc/sys/net/ipv4/ping_group_range").read_text().split())
    return first <= os.getegid() <= last or os.geteuid() == 0  # root makes a network of his own: tests/live/test_ping


def _tun() -> bool:
    _closed(os.open("/dev/net/tun", os.O_RDWR))
    return _capability(12)  # CAP_NET_ADMIN


def _console() -> bool:
    fd = os.open("/dev/console", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.isatty(fd)
    finally:
        os.close(fd)


def _restartable_sequences() -> bool:
    try:
        return ctypes.c_uint.in_dll(ctypes.CDLL(None), "__rseq_size").value > 0
    except ValueError:
        return False


def _epoll_parameters() -> None:
    with select.epoll() as epoll:
        fcntl.ioctl(epoll, EPIOCGPARAMS, bytes(8))


def _urgent_bytes() -> None:
    one, other = socket.socketpair()
    with one, other:
        one.send(b"!", socket.MSG_OOB)


def _socket(family: int, kind: int) -> Callable[[], None]:
    return lambda: socket.socket(family, kind).close()


def _nftables() -> None:
    if (reason := nftables.why_not()) is not None:
        raise OSError(reason)


def _group() -> None:
    own_group(f"crtool-probe-{os.getpid()}").rmdir()


def _freezer() -> None:
    group = freezer_root() / f"crtool-probe-{os.getpid()}"
    group.mkdir()
    group.rmdir()


def _pid_max_of_each() -> bool:
    """Writes one less into a new namespace, where that may be the machine's own; then it is put back."""
    place = Path("/proc/sys/kernel/pid_max")
    before = place.read_text()
    if not _works("unshare", "--pid", "--fork", "--", "sh", "-c", f"echo {int(before) - 1} >{place}"):
        return False
    if place.read_text() == before:
        return True
    place.write_text(before)
    return False


def _resting_alarm() -> None:
    """Whether a periodic timer, whose signal was ignored when it expired, has no time left."""

    def change() -> None:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.003)
        signal.sigtimedwait([signal.SIGUSR1], 0.02)
        if signal.getitimer(signal.ITIMER_REAL)[0]:
            raise OSError("it goes on")

    _in_child(change)


def _switch(option: int, *values: int) -> Callable[[], None]:
    """A switch of prctl(2)."""
    return lambda: _in_child(lambda: syscall("prctl", option, *values))


def _btrfs() -> bool:
    with suppress(FileNotFoundError):
        if "\tbtrfs\n" not in Path("/proc/filesystems").read_text() and not _works("modprobe", "-q", "btrfs"):
            return False
    return os.path.exists("/dev/loop-control") and _capability(21)  # CAP_SYS_ADMIN


NEEDS: dict[str, Callable[[], object]] = {
    "AVX": lambda: _flag("avx"),
    "AVX-512": lambda: _flag("avx512f"),
    "CAP_SYS_RESOURCE for PR_SET_MM": lambda: _capability(24),
    "CAP_SYS_TIME": lambda: _capability(25),
    "CONFIG_ANON_VMA_NAME": lambda: syscall("prctl", PR_SET_VMA, 0, 0, 0, 0),
    "CONFIG_PROC_CHILDREN": lambda: os.path.exists("/proc/thread-self/children"),
    "KSM": lambda: _advised(mmap.MADV_MERGEABLE),
    "MFD_NOEXEC_SEAL": lambda: _closed(os.memfd_create("probe", 8)),
    "NUMA policies (CONFIG_NUMA)": lambda: syscall("get_mempolicy", 0, 0, 0, 0, 0),
    "PR_MDWE_NO_INHERIT (Linux 6.6)": _switch(PR_SET_MDWE, 3),
    "PR_SET_MDWE (Linux 6.3)": _switch(PR_SET_MDWE, 1),
    "PR_SET_MEMORY_MERGE (Linux 6.4)": lambda: syscall("prctl", PR_GET_MEMORY_MERGE, 0, 0, 0, 0),
    "PR_THP_DISABLE_EXCEPT_ADVISED (Linux 6.18)": _switch(PR_SET_THP_DISABLE, 1, 2),
    "XDP sockets": _socket(44, socket.SOCK_RAW),
    "a control group": _group,
    "a file system with O_TMPFILE": lambda: _closed(os.open(tempfile.gettempdir(), os.O_TMPFILE | os.O_RDWR)),
    "a freezer": _freezer,
    "a kernel thread in sight": lambda: Path("/proc/2/comm").read_text() == "kthreadd\n",
    "all levels of PID namespaces in sight": lambda: os.stat("/proc/self/ns/pid").st_ino == PROC_PID_INIT_INO,
    "bpf": _bpf,
    "btrfs": _btrfs,
    "console": _console,
    "deadline scheduling": _scheduled(6, runtime=1_000_000, deadline=100_000_000),
    "epoll parameters": _epoll_parameters,
    "free huge pages (vm.nr_hugepages)": _huge_pages,
    "guard regions (Linux 6.13)": lambda: _advised(MADV_GUARD_INSTALL),
    "interval timers that rest when ignored": _resting_alarm,
    "io_uring": _io_uring,
    "io_uring with its structures in BTF": _io_uring_in_btf,
    "mseal (Linux 6.10)": lambda: syscall("mseal", 0, 0, 0),
    "new mounts": lambda: _works("unshare", "--mount", "--", "mount", "-t", "tmpfs", "none", tempfile.gettempdir()),
    "new namespaces": _new_namespaces,
    "nf_tables": _nftables,
    "pid_max of each PID namespace (Linux 6.14)": _pid_max_of_each,
    "pidfds of threads": lambda: _closed(syscall("pidfd_open", os.getpid(), os.O_EXCL)),
    "ping": _ping,
    "posix timers in /proc": lambda: os.path.exists("/proc/self/timers"),
    "protection keys of the CPU": _protection_keys,
    "real-time scheduling": _scheduled(1, priority=1),
    "rings of packet sockets in BTF": _packet_rings,
    "rseq of glibc 2.35": _restartable_sequences,
    "time namespaces": lambda: os.path.exists("/proc/self/ns/time"),
    "time slices on demand (Linux 6.12)": _scheduled(0, runtime=700_000),
    "transparent huge pages": lambda: os.path.exists("/sys/kernel/mm/transparent_hugepage"),
    "the long form (CRTOOL_LONG=1)": lambda: bool(os.environ.get("CRTOOL_LONG")),
    "tun": _tun,
    "two CPUs": lambda: len(os.sched_getaffinity(0)) >= 2,
    "urgent bytes": _urgent_bytes,
    "userfaultfd": lambda: _closed(syscall("userfaultfd", os.O_CLOEXEC)),
    "virtual machine sockets": _socket(40, socket.SOCK_STREAM),
    "x86-64": lambda: os.uname().machine == "x86_64",
}
"""For each need: what raises OSError, or returns False, where it is missing."""
