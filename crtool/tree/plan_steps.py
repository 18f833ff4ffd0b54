"""What a plan consists of: steps, as data, that are carried out strictly one after the other.

Each step says which process makes the call; that process is held as a puppet, or is crtool itself (number 0).
"""

from __future__ import annotations

import enum
from typing import TypeAlias

from crtool.record import dataclass
from crtool.tree.model import CLONE_NEWPID, CLONE_PARENT

__all__ = [
    "Born",
    "Caller",
    "Dies",
    "JoinGroup",
    "Kind",
    "NewSession",
    "Plan",
    "Reaps",
    "Squashed",
    "Step",
    "Subreaper",
]


class Kind(enum.Enum):
    """Why a process is born."""

    REAL = "real"
    """It is in the image."""

    GHOST = "ghost"
    """A dead leader of a session or group that still has members: it bears the number until all have joined."""

    PLACEHOLDER = "placeholder"
    """It dies so that its child is adopted by the right ancestor, or keeps a group in being; its number means
    nothing.
    """


@dataclass(frozen=True)
class Born:
    """*creator* makes a clone3 with ``set_tid``; the child must not run on its own until the plan is done.

    After *sibling* births (CLONE_PARENT) the child belongs to the creator's parent; then clone3 demands an exit
    signal of 0 as its argument and takes the creator's, which is what *exit_signal* says here.
    """

    pids: tuple[int, ...]  # outermost namespace first; the last is 1 where *flags* has CLONE_NEWPID
    creator: int  # 0 = crtool itself, for the root
    parent: int  # whose child it is at birth: the creator, or with CLONE_PARENT the creator's parent
    kind: Kind
    zombie: bool  # a real one that is to end, with its recorded status, when the plan is done: the engine's business
    flags: int  # CLONE_PARENT, CLONE_NEWPID, CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND
    exit_signal: int  # what the parent gets at its end
    enters: int = 0  # first process, as *creator* sees it, of a PID namespace that it enters for this birth; 0 if none

    @property
    def pid(self) -> int:
        """The number that crtool knows it by."""
        return self.pids[0]

    @property
    def sibling(self) -> bool:
        """Whether it is born with CLONE_PARENT."""
        return bool(self.flags & CLONE_PARENT)

    @property
    def new_pid_namespace(self) -> bool:
        """Whether it is the first of a PID namespace of its own."""
        return bool(self.flags & CLONE_NEWPID)


@dataclass(frozen=True)
class NewSession:
    """*pid* calls setsid(2)."""

    pid: int


@dataclass(frozen=True)
class Caller:
    """Who makes a setpgid(2) for somebody of a nested PID namespace, and with which numbers, which are those that it
    sees.
    """

    pid: int
    member: int  # 0: the caller itself
    group: int  # 0: the group that crtool itself is in


@dataclass(frozen=True)
class JoinGroup:
    """*pid* calls setpgid(0, *pgid*): it makes a group if both are the same, joins one otherwise.

    *pgid* 0 is the group that crtool itself is in (not the 0 of the system call). In a nested PID namespace *by* says
    how: there numbers are others, and who cannot see the group has to be put into it by its parent.
    """

    pid: int
    pgid: int
    by: Caller | None = None


@dataclass(frozen=True)
class Subreaper:
    """*pid* calls prctl(PR_SET_CHILD_SUBREAPER, *on*). No other process is ever made one during the plan."""

    pid: int
    on: bool


@dataclass(frozen=True)
class Dies:
    """The ghost or placeholder *pid* ends, by SIGKILL or _exit; its children go to the nearest subreaper above.

    It stays a zombie until the Reaps step that follows at once.
    """

    pid: int


@dataclass(frozen=True)
class Reaps:
    """*parent* calls wait4(*pid*, __WALL): the exit signal is 0, so no SIGCHLD was sent and a plain wait would not see
    it.

    A tracer has to wait for the death itself before the parent can.
    """

    parent: int
    pid: int
    seen: int = 0  # *pid* as *parent* sees it, in a nested PID namespace


Step: TypeAlias = Born | NewSession | JoinGroup | Subreaper | Dies | Reaps


@dataclass(frozen=True)
class Squashed:
    """A session or group that lives outside the tree: its members get crtool's own instead."""

    what: str  # "session" or "group"
    number: int  # as the image has it; 0 = of an outer namespace
    pids: tuple[int, ...]  # the members concerned

    def __str__(self) -> str:
        who = ", ".join(map(str, self.pids[:5])) + (", …" if len(self.pids) > 5 else "")
        number = self.number or "of an outer namespace"
        return f"{self.what} {number} is not in the image: PID {who} gets that of crtool"


@dataclass(frozen=True)
class Plan:
    """The way to the forest.

    Three acts: births and sessions; then groups; then the deaths of ghosts and placeholders, and the recorded
    subreaper flags. Whatever else depends on who is whose parent or in which group comes later: the parent-death
    signal (an adoption would send it), terminals (a dying session leader hangs up), group stops (a group that is
    orphaned by a death gets SIGHUP and SIGCONT), and the ends of real zombies.
    """

    steps: tuple[Step, ...]
    warnings: tuple[Squashed, ...] = ()
