"""/proc/PID/status: who a task is, what it may do, and which signals it blocks.

Spec: proc_pid_status(5); proc_pid_status() in the kernel's fs/proc/array.c.

Lines depend on the kernel's configuration and on what a task still has: a zombie has no Umask and no memory, a
kernel thread has no memory. What can be absent is None here. The numbers of the NS lines begin with the PID
namespace of this /proc and go inwards; a number reads 0 in a namespace that its owner is not in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["Capabilities", "Ids", "Memory", "Status", "later", "parse", "parse_list", "parse_mask"]

_KIB = 1024


@dataclass(frozen=True)
class Ids:
    """The four user or group ids of a task (credentials(7))."""

    real: int
    effective: int
    saved: int
    filesystem: int


@dataclass(frozen=True)
class Capabilities:
    """The five capability sets of a task (capabilities(7)), as bit masks."""

    inheritable: int
    permitted: int
    effective: int
    bounding: int
    ambient: int


@dataclass(frozen=True)
class Memory:
    """Use of memory in bytes. The resident sizes may be some pages wrong: the kernel counts per CPU."""

    peak: int  # VmPeak
    size: int  # VmSize: address space
    locked: int  # VmLck: mlock
    pinned: int  # VmPin
    peak_resident: int  # VmHWM
    resident: int  # VmRSS
    resident_anonymous: int  # RssAnon
    resident_file: int  # RssFile
    resident_shared: int  # RssShmem
    data: int  # VmData
    stack: int  # VmStk
    text: int  # VmExe
    libraries: int  # VmLib
    page_tables: int  # VmPTE
    swapped: int  # VmSwap
    huge: int  # HugetlbPages


_MEMORY_KEYS = (
    *("VmPeak", "VmSize", "VmLck", "VmPin", "VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem"),
    *("VmData", "VmStk", "VmExe", "VmLib", "VmPTE", "VmSwap", "HugetlbPages"),
)


@dataclass(frozen=True)
class Status:
    """One task."""

    name: bytes  # comm; unlike in /proc/PID/stat the kernel escapes it, which is undone here
    umask: int | None  # None for a zombie
    state: str  # R S D T t Z X I
    tgid: int  # the process
    ngid: int  # NUMA group, 0 for none
    pid: int  # the thread
    ppid: int
    tracer_pid: int  # 0 if nobody traces it
    uid: Ids  # as in the user namespace of the reader
    gid: Ids
    fd_size: int  # slots in the table of descriptors, open or not
    groups: tuple[int, ...]  # supplementary, ascending
    ns_tgid: tuple[int, ...]  # outermost namespace first
    ns_pid: tuple[int, ...]
    ns_pgid: tuple[int, ...]
    ns_sid: tuple[int, ...]
    kthread: bool | None  # a kernel thread; None on kernels that do not say (then see Stat.flags)
    memory: Memory | None  # None for zombies and kernel threads
    core_dumping: bool | None  # a core dump of it is being written
    thp_enabled: bool | None  # PR_SET_THP_DISABLE not set, since 5.0
    untag_mask: int | None  # linear address masking (x86), since 6.4
    x86_thread_features: frozenset[str]  # "shstk", "wrss", since 6.6; empty also where the kernel knows none
    x86_thread_features_locked: frozenset[str]
    threads: int  # in the process
    signals_queued: int  # of the user, in all processes
    signals_limit: int  # RLIMIT_SIGPENDING
    pending: int  # SigPnd: bit n−1 is signal n, as in all five masks
    shared_pending: int  # ShdPnd
    blocked: int  # SigBlk
    ignored: int  # SigIgn
    caught: int  # SigCgt
    capabilities: Capabilities
    no_new_privs: bool
    seccomp: int  # 0 off, 1 strict, 2 filter
    seccomp_filters: int | None  # how many, since 5.9
    speculation_store_bypass: str  # words of PR_GET_SPECULATION_CTRL; empty if the kernel does not say
    speculation_indirect_branch: str
    cpus_allowed: frozenset[int]  # CPU numbers
    mems_allowed: frozenset[int] | None  # NUMA nodes; None on a kernel without cpusets

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """A value that nobody has asked for yet, of what :func:`later` gave."""
            if (lines := self.__dict__.get("_lines")) is None or name not in _VALUES:
                raise AttributeError(name)
            value = self.__dict__[name] = _VALUES[name](lines)
            return value

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended and waits for its parent."""
        return self.state == "Z"

    @property
    def own_memory(self) -> int:
        """Bytes of anonymous memory that it has, in memory or swapped out; 0 for who has none."""
        memory = self.memory
        return 0 if memory is None else memory.resident_anonymous + memory.swapped


def parse(data: bytes) -> Status:
    """The whole file; ProcfsError with the line that has another form or the key that is missing."""
    lines = _Lines(data)
    return Status(**{name: value(lines) for name, value in _VALUES.items()})


def later(data: bytes) -> Status:
    """The same, of which each line is understood when somebody asks for it: most have time until a tree goes on."""
    status = Status.__new__(Status)
    status.__dict__["_lines"] = _Lines(data)
    return status


class _Lines:
    """The values by key, and how to understand them."""

    def __init__(self, data: bytes) -> None:
        self._data = b"\n" + data

    def find(self, key: str) -> bytes | None:
        begin = b"\n%b:" % key.encode("latin-1")
        start = self._data.find(begin)
        if start < 0:
            return None
        return self._data[start + len(begin) : self._data.find(b"\n", start + 1)].strip(b"\t ")

    def raw(self, key: str) -> bytes:
        if (value := self.find(key)) is None:
            raise ProcfsError("status", key.encode("latin-1"))
        return value

    def bad(self, key: str) -> ProcfsError:
        return ProcfsError("status", key.encode("latin-1") + b":\t" + self.raw(key))

    def numbers(self, key: str) -> tuple[int, ...]:
        try:
            return tuple(map(int, self.raw(key).split()))
        except ValueError:
            raise self.bad(key) from None

    def number(self, key: str, base: int = 10) -> int:
        try:
            return int(self.raw(key), base)
        except ValueError:
            raise self.bad(key) from None

    def number_if_any(self, key: str, base: int = 10) -> int | None:
        return None if self.find(key) is None else self.number(key, base)

    def flag_if_any(self, key: str) -> bool | None:
        return None if self.find(key) is None else bool(self.number(key))

    def text_if_any(self, key: str) -> str:
        return (self.find(key) or b"").decode("latin-1")

    def size(self, key: str) -> int:
        number, _, unit = self.raw(key).partition(b" ")
        if unit != b"kB" or not number.isdigit():
            raise self.bad(key)
        return int(number) * _KIB

    def ids(self, key: str) -> Ids:
        numbers = self.numbers(key)
        if len(numbers) != 4:
            raise self.bad(key)
        return Ids(*numbers)

    def memory(self) -> Memory | None:
        if self.find("VmSize") is None:
            return None
        # HugetlbPages is absent on kernels without huge pages.
        return Memory(*(0 if self.find(key) is None else self.size(key) for key in _MEMORY_KEYS))

    def capabilities(self) -> Capabilities:
        return Capabilities(*(self.number(f"Cap{which}", 16) for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")))

    def state(self) -> str:
        state = self.text_if_any("State")[:1]
        if not state.isalpha():
            raise ProcfsError("status", b"State:\t" + self.raw("State"))
        return state

    def queue(self) -> tuple[int, int]:
        queued, slash, limit = self.raw("SigQ").partition(b"/")
        if not (slash and queued.isdigit() and limit.isdigit()):
            raise self.bad("SigQ")
        return int(queued), int(limit)


_VALUES: dict[str, Callable[[_Lines], Any]] = {
    "name": lambda lines: _unescaped(lines.raw("Name")),
    "umask": lambda lines: lines.number_if_any("Umask", 8),
    "state": _Lines.state,
    "tgid": lambda lines: lines.number("Tgid"),
    "ngid": lambda lines: lines.number_if_any("Ngid") or 0,
    "pid": lambda lines: lines.number("Pid"),
    "ppid": lambda lines: lines.number("PPid"),
    "tracer_pid": lambda lines: lines.number("TracerPid"),
    "uid": lambda lines: lines.ids("Uid"),
    "gid": lambda lines: lines.ids("Gid"),
    "fd_size": lambda lines: lines.number("FDSize"),
    "groups": lambda lines: lines.numbers("Groups"),
    "ns_tgid": lambda lines: lines.numbers("NStgid"),
    "ns_pid": lambda lines: lines.numbers("NSpid"),
    "ns_pgid": lambda lines: lines.numbers("NSpgid"),
    "ns_sid": lambda lines: lines.numbers("NSsid"),
    "kthread": lambda lines: lines.flag_if_any("Kthread"),
    "memory": _Lines.memory,
    "core_dumping": lambda lines: lines.flag_if_any("CoreDumping"),
    "thp_enabled": lambda lines: lines.flag_if_any("THP_enabled"),
    "untag_mask": lambda lines: lines.number_if_any("untag_mask", 16),
    "x86_thread_features": lambda lines: frozenset(lines.text_if_any("x86_Thread_features").split()),
    "x86_thread_features_locked": lambda lines: frozenset(lines.text_if_any("x86_Thread_features_locked").split()),
    "threads": lambda lines: lines.number("Threads"),
    "signals_queued": lambda lines: lines.queue()[0],
    "signals_limit": lambda lines: lines.queue()[1],
    "pending": lambda lines: lines.number("SigPnd", 16),
    "shared_pending": lambda lines: lines.number("ShdPnd", 16),
    "blocked": lambda lines: lines.number("SigBlk", 16),
    "ignored": lambda lines: lines.number("SigIgn", 16),
    "caught": lambda lines: lines.number("SigCgt", 16),
    "capabilities": _Lines.capabilities,
    "no_new_privs": lambda lines: bool(lines.number("NoNewPrivs")),
    "seccomp": lambda lines: lines.number_if_any("Seccomp") or 0,
    "seccomp_filters": lambda lines: lines.number_if_any("Seccomp_filters"),
    "speculation_store_bypass": lambda lines: lines.text_if_any("Speculation_Store_Bypass"),
    "speculation_indirect_branch": lambda lines: lines.text_if_any("SpeculationIndirectBranch"),
    "cpus_allowed": lambda lines: parse_mask(lines.raw("Cpus_allowed")),
    "mems_allowed": lambda lines: None if (text := lines.find("Mems_allowed_list")) is None else parse_list(text),
}
"""By field of :class:`Status`."""


def _unescaped(name: bytes) -> bytes:
    """Undoes what proc_task_name() does to newlines and backslashes, and to nothing else."""
    if b"\\" not in name:
        return name
    return b"\\".join(part.replace(b"\\n", b"\n") for part in name.split(b"\\\\"))


def parse_mask(text: bytes) -> frozenset[int]:
    """The numbers of the bits in a cpumask as ``%*pb`` writes it: 32-bit words in hexadecimal, commas between them."""
    try:
        mask = int(text.replace(b",", b""), 16)
    except ValueError:
        raise ProcfsError("status", text) from None
    return frozenset(bit for bit in range(mask.bit_length()) if mask >> bit & 1)


def parse_list(text: bytes) -> frozenset[int]:
    """The numbers in a list as ``%*pbl`` writes it: ``0-3,8``; cpuset(7), "List format"."""
    found: set[int] = set()
    try:
        for part in text.split(b",") if text else ():
            first, _, last = part.partition(b"-")
            found.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise ProcfsError("status", text) from None
    return frozenset(found)
