"""What a thread has forbidden itself for good: seccomp(2), and new privileges by execve(2) (PR_SET_NO_NEW_PRIVS).

The kernel keeps for each thread a mode (off, strict, filter) and a chain of filters, each a classic BPF program with
flags, which new threads share; the newest is asked first. Nothing of it can be taken back.

We read mode and no_new_privs in /proc/PID/task/TID/status, and the filters by PTRACE_SECCOMP_GET_FILTER, which needs
CAP_SYS_ADMIN in the first user namespace and a crtool that is itself under no filter. Where it is (in most
containers), only a thread that is under as many filters as crtool can be saved: they are taken to be those of the
container.

We rebuild by prctl(2) and seccomp(2), made by the thread itself, oldest filter first. Order needed:
PTRACE_O_SUSPEND_SECCOMP is set before, on each thread that gets filters or strict mode, or any later call of that
thread, and the batch runner itself, would be judged by them. Before credentials: without no_new_privs, only
CAP_SYS_ADMIN may install a filter. The control of speculation (PR_SET_SPECULATION_CTRL) may come before or after;
filters are installed so that they do not touch it.

Refused are filters that ask a supervisor (SECCOMP_RET_USER_NOTIF): the descriptor at the other end cannot be told
apart from others. Lost is whether two threads shared one filter or had equal ones; no call can tell.
"""

from __future__ import annotations

from crtool.abi import capability as cap
from crtool.abi import prctl as pr
from crtool.abi import seccomp as abi
from crtool.errors import EnvironmentDiffers, Obstacle, TargetError
from crtool.kernel import ptrace
from crtool.procfs.status import Status
from crtool.puppet.batch import Batch
from crtool.puppet.suspension import confined_like_crtool
from crtool.record import dataclass

__all__ = ["FilterRecord", "SeccompRecord", "dump", "missing", "needs_suspension", "obstacle", "restore", "surplus"]


@dataclass(frozen=True)
class FilterRecord:
    """One filter."""

    program: bytes  # struct sock_filter[], 8 bytes per instruction
    log: bool  # SECCOMP_FILTER_FLAG_LOG


@dataclass(frozen=True)
class SeccompRecord:
    """One thread."""

    no_new_privs: bool
    strict: bool  # SECCOMP_MODE_STRICT; there are no filters then
    filters: tuple[FilterRecord, ...]  # oldest first, without those that are counted next
    container: int  # number of filters that crtool was under, too, which lie below *filters* and could not be read


def dump(tid: int, status: Status) -> SeccompRecord:
    """Asks about thread *tid*, which crtool holds stopped; *status* is its own.

    TargetError if it is under filters that crtool may not read.
    """
    strict = status.seccomp == abi.SECCOMP_MODE_STRICT
    if status.seccomp != abi.SECCOMP_MODE_FILTER:
        return SeccompRecord(status.no_new_privs, strict, (), 0)
    filters: list[FilterRecord] = []
    try:
        # Number 0 is the oldest, whatever ptrace(2) says: see get_nth_filter() in kernel/seccomp.c.
        while (program := ptrace.seccomp_filter(tid, len(filters))) is not None:
            flags = ptrace.seccomp_flags(tid, len(filters))
            filters.append(FilterRecord(program, bool(flags & abi.SECCOMP_FILTER_FLAG_LOG)))
    except OSError:
        if not confined_like_crtool(status.seccomp_filters or 0):
            raise TargetError(
                f"TID {tid} is under seccomp filters that crtool may not read",
                "run crtool with CAP_SYS_ADMIN and under no seccomp filter itself",
            ) from None
        return SeccompRecord(status.no_new_privs, strict, (), status.seccomp_filters or 0)
    return SeccompRecord(status.no_new_privs, strict, tuple(filters), 0)


def obstacle(pid: int, tid: int, record: SeccompRecord) -> Obstacle | None:
    """Why a thread with *record* cannot be saved, if so."""
    for number, one in enumerate(record.filters):
        for code, _, _, constant in abi.SOCK_FILTER.iter_unpack(one.program):
            if code == abi.BPF_RET_K and constant & abi.SECCOMP_RET_ACTION_FULL == abi.SECCOMP_RET_USER_NOTIF:
                return Obstacle(
                    pid,
                    f"thread {tid}",
                    f"seccomp filter {number} leaves calls to the judgement of a supervisor (SECCOMP_RET_USER_NOTIF)",
                    "run the program without that supervisor",
                )
    return None


def needs_suspension(record: SeccompRecord) -> bool:
    """Whether PTRACE_O_SUSPEND_SECCOMP has to be set on the thread before :func:`restore`."""
    return record.strict or bool(record.filters)


def missing(record: SeccompRecord, born: SeccompRecord, capabilities: int) -> list[str]:
    """What keeps a thread with *born* and the effective *capabilities* from *record*: phrases, [] for nothing.

    That the born one is more restricted is no lack: see :func:`surplus`.
    """
    found = []
    if record.container > born.container:
        found.append(f"{record.container} seccomp filters of the container that the image was made in")
    if needs_suspension(record) and born.container:
        found.append("a place without seccomp filters, since what is under one itself cannot suspend others")
    privileged = capabilities & cap.bit(cap.CAP_SYS_ADMIN)
    if record.filters and not (privileged or record.no_new_privs or born.no_new_privs):
        found.append("CAP_SYS_ADMIN, to install seccomp filters without no_new_privs")
    return found


def surplus(record: SeccompRecord, born: SeccompRecord) -> tuple[str, ...]:
    """Warnings about restrictions that a thread born with *born* has, and *record* has not."""
    found = []
    if born.no_new_privs and not record.no_new_privs:
        found.append("the restored program cannot gain privileges by execve (no_new_privs), because crtool cannot")
    if born.container > record.container:
        found.append("the restored program is under the seccomp filters that crtool is under")
    return tuple(found)


def restore(batch: Batch, record: SeccompRecord, born: SeccompRecord, capabilities: int) -> None:
    """Adds the calls that a thread with *born* lacks; the arguments as in :func:`missing`.

    EnvironmentDiffers, and nothing added, if something is missing.
    """
    if lacking := missing(record, born, capabilities):
        raise EnvironmentDiffers(
            "the image's seccomp state cannot be taken up here: " + "; ".join(lacking),
            "run crtool as root, outside of a container with seccomp filters",
        )
    if record.no_new_privs and not born.no_new_privs:
        batch.call("prctl", pr.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, label="no_new_privs")
    if record.strict and not born.strict:
        batch.call("seccomp", abi.SECCOMP_SET_MODE_STRICT, 0, 0, label="strict mode")
    for number, one in enumerate(record.filters):
        program = batch.data(one.program)
        header = abi.SOCK_FPROG.pack(len(one.program) // abi.SOCK_FILTER.size, 0)
        fprog = batch.data(header, {abi.SOCK_FPROG_POINTER: program})
        flags = abi.SECCOMP_FILTER_FLAG_SPEC_ALLOW | (abi.SECCOMP_FILTER_FLAG_LOG if one.log else 0)
        batch.call("seccomp", abi.SECCOMP_SET_MODE_FILTER, flags, fprog, label=f"seccomp filter {number}")
