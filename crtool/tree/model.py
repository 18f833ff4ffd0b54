"""The tree of processes of an image, as data: what the planner is told.

Numbers are those that crtool's own PID namespace sees, unless a whole vector is given; a vector stands outermost
namespace first, as in NSpid of ``/proc/PID/status`` (proc(5)). 0 means what it means to the kernel: somebody who
lives outside and has no number here.

Everything in this package whose name begins with ``plan`` or ``model`` is pure: no system call, no file, no clock.
"""

from __future__ import annotations

from crtool.errors import EnvironmentDiffers
from crtool.record import dataclass

__all__ = [
    "CLONE_FILES",
    "CLONE_FS",
    "CLONE_NEWPID",
    "CLONE_PARENT",
    "CLONE_VM",
    "SIGCHLD",
    "Absent",
    "Forest",
    "Member",
    "Unplannable",
]

# include/uapi/linux/sched.h
CLONE_VM = 0x00000100
CLONE_FS = 0x00000200
CLONE_FILES = 0x00000400
CLONE_SIGHAND = 0x00000800
CLONE_PARENT = 0x00008000
CLONE_NEWPID = 0x20000000

SIGCHLD = 17  # include/uapi/asm-generic/signal.h; the same number on every CPU that crtool speaks


class Unplannable(EnvironmentDiffers):
    """this environment differs: no order of births leads to the tree of the image

    The tree is legal, but crtool knows no way to it. *pid* is the process that cannot be placed.
    """

    def __init__(self, pid: int, reason: str) -> None:
        super().__init__(f"PID {pid} cannot be born again: {reason}")
        self.pid = pid
        self.reason = f"cannot be born again: {reason}"


@dataclass(frozen=True)
class Member:
    """One process of the tree, threads included."""

    pids: tuple[int, ...]  # its numbers, outermost namespace first, the last is in its own namespace (NSpid)
    ppid: int  # field 4 of /proc/PID/stat
    pgid: int  # field 5 of /proc/PID/stat; 0 = its group's number belongs to an outer namespace
    sid: int  # field 6 of /proc/PID/stat; 0 likewise
    threads: tuple[int, ...] = ()  # TIDs of the threads beside the leader
    zombie: bool = False  # ended, not yet waited for
    subreaper: bool = False  # PR_GET_CHILD_SUBREAPER, asked of the process itself
    shares_files_with_parent: bool = False  # one file table (kcmp KCMP_FILES): CLONE_FILES at birth
    shares_fs_with_parent: bool = False  # one cwd, root and umask (KCMP_FS): CLONE_FS at birth
    shares_memory_with_parent: bool = False  # one address space (KCMP_VM): CLONE_VM at birth
    shares_handlers_with_parent: bool = False  # one table of signal handlers (KCMP_SIGHAND): CLONE_SIGHAND at birth
    exit_signal: int = SIGCHLD  # what its parent gets at its end; field 38 of /proc/PID/stat
    namespace: int = 0  # pid of the first process of its PID namespace; 0 = that in which crtool is

    @property
    def pid(self) -> int:
        """The number that crtool knows it by."""
        return self.pids[0]

    @property
    def shares(self) -> int:
        """The CLONE_VM, CLONE_FS, CLONE_FILES and CLONE_SIGHAND flags by which it shares with its parent."""
        return (
            (CLONE_VM if self.shares_memory_with_parent else 0)
            | (CLONE_FS if self.shares_fs_with_parent else 0)
            | (CLONE_FILES if self.shares_files_with_parent else 0)
            | (CLONE_SIGHAND if self.shares_handlers_with_parent else 0)
        )


@dataclass(frozen=True)
class Absent:
    """A leader of a session or group who is not there any more, as far as its members know it."""

    pids: tuple[int, ...]  # its numbers, as NSsid or NSpgid of a member has them, without the zeros at the end
    namespace: int  # as of Member


@dataclass(frozen=True)
class Forest:
    """All processes of an image.

    *outside* holds the numbers, among the sids and pgids of the members, of those that are known to belong to
    processes which were alive outside the tree at the checkpoint: the shell that started a daemon, say. They
    are not born again.
    """

    root: int  # pid of the member whose parent is no member
    members: tuple[Member, ...]  # in the order in which siblings are to be born
    outside: frozenset[int] = frozenset()
    absent: tuple[Absent, ...] = ()  # of whose numbers more than the first is known; others lived where crtool is
