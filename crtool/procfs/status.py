"""/proc/PID/status: who a task is, what it may do, and which signals it blocks.

Spec: proc_pid_status(5); proc_pid_status() in the kernel's fs/proc/array.c.

Lines depend on the kernel's configuration and on what a task still has: a zombie has no Umask and no memory, a
kernel thread has no memory. What can be absent is None here. The numbers of the NS lines begin with the PID
namespace of this /proc and go inwards; a number reads 0 in a namespace that its owner is not in.
"""

from __future__ import annotations

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["Capabilities", "Ids", "Memory", "Status", "parse", "parse_list", "parse_mask"]

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

    @property
    def is_zombie(self) -> bool:
        """Whether it has ended and waits for its parent."""
        return self.state == "Z"


def parse(data: bytes) -> Status:
    """The whole file; ProcfsError with the line that has another form or the key that is missing."""
    lines = {}
    for line in data.split(b"\n"):
        key, _, value = line.partition(b":")
        lines[key.decode("latin-1")] = value.strip(b"\t ")
    return _Lines(lines).status()


class _Lines:
    """The values by key, and how to understand them."""

    def __init__(self, lines: dict[str, bytes]) -> None:
        self.lines = lines

    def raw(self, key: str) -> bytes:
        try:
            return self.lines[key]
        except KeyError:
            raise ProcfsError("status", key.encode("latin-1")) from None

    def bad(self, key: str) -> ProcfsError:
        return ProcfsError("status", key.encode("latin-1") + b":\t" + self.lines[key])

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
        return self.number(key, base) if key in self.lines else None

    def flag_if_any(self, key: str) -> bool | None:
        return bool(self.number(key)) if key in self.lines else None

    def text_if_any(self, key: str) -> str:
        return self.lines.get(key, b"").decode("latin-1")

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
        if "VmSize" not in self.lines:
            return None
        # HugetlbPages is absent on kernels without huge pages.
        return Memory(*(self.size(key) if key in self.lines else 0 for key in _MEMORY_KEYS))

    def capabilities(self) -> Capabilities:
        return Capabilities(*(self.number(f"Cap{which}", 16) for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")))

    def status(self) -> Status:
        state = self.text_if_any("State")[:1]
        queued, slash, limit = self.raw("SigQ").partition(b"/")
        if not state.isalpha():
            raise ProcfsError("status", b"State:\t" + self.raw("State"))
        if not (slash and queued.isdigit() and limit.isdigit()):
            raise self.bad("SigQ")
        return Status(
            name=_unescaped(self.raw("Name")),
            umask=self.number_if_any("Umask", 8),
            state=state,
            tgid=self.number("Tgid"),
            ngid=self.number_if_any("Ngid") or 0,
            pid=self.number("Pid"),
            ppid=self.number("PPid"),
            tracer_pid=self.number("TracerPid"),
            uid=self.ids("Uid"),
            gid=self.ids("Gid"),
            fd_size=self.number("FDSize"),
            groups=self.numbers("Groups"),
            ns_tgid=self.numbers("NStgid"),
            ns_pid=self.numbers("NSpid"),
            ns_pgid=self.numbers("NSpgid"),
            ns_sid=self.numbers("NSsid"),
            kthread=self.flag_if_any("Kthread"),
            memory=self.memory(),
            core_dumping=self.flag_if_any("CoreDumping"),
            thp_enabled=self.flag_if_any("THP_enabled"),
            untag_mask=self.number_if_any("untag_mask", 16),
            x86_thread_features=frozenset(self.text_if_any("x86_Thread_features").split()),
            x86_thread_features_locked=frozenset(self.text_if_any("x86_Thread_features_locked").split()),
            threads=self.number("Threads"),
            signals_queued=int(queued),
            signals_limit=int(limit),
            pending=self.number("SigPnd", 16),
            shared_pending=self.number("ShdPnd", 16),
            blocked=self.number("SigBlk", 16),
            ignored=self.number("SigIgn", 16),
            caught=self.number("SigCgt", 16),
            capabilities=self.capabilities(),
            no_new_privs=bool(self.number("NoNewPrivs")),
            seccomp=self.number_if_any("Seccomp") or 0,
            seccomp_filters=self.number_if_any("Seccomp_filters"),
            speculation_store_bypass=self.text_if_any("Speculation_Store_Bypass"),
            speculation_indirect_branch=self.text_if_any("SpeculationIndirectBranch"),
            cpus_allowed=parse_mask(self.raw("Cpus_allowed")),
            mems_allowed=parse_list(self.raw("Mems_allowed_list")) if "Mems_allowed_list" in self.lines else None,
        )


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
