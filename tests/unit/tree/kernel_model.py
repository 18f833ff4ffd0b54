"""What the kernel does with parents, sessions and groups, as a model; no process is touched.

The rules are those of kernel/fork.c, kernel/exit.c, kernel/sys.c and kernel/pid.c for processes of one thread
in one PID namespace. ``test_kernel_model.py`` holds them against the running kernel.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from crtool.tree.model import CLONE_FILES, CLONE_FS, CLONE_PARENT, CLONE_VM, SIGCHLD, Forest, Member
from crtool.tree.plan import Born, Dies, JoinGroup, Kind, NewSession, Plan, Reaps, Subreaper

INIT = 1  # adopts and reaps whatever nobody else does
STARTER = 2  # crtool, or the shell that starts the root: leader of its own session and group


class Refused(OSError):
    """The system call failed."""


def _refuse(number: int, what: str) -> Refused:
    return Refused(number, f"{errno.errorcode[number]}: {what}")


@dataclass
class Process:
    pid: int
    parent: int
    pgid: int
    sid: int
    exit_signal: int = SIGCHLD
    zombie: bool = False
    subreaper: bool = False
    # What is shared is told by equal numbers; a new one whenever something is copied.
    owns: dict[int, int] = field(default_factory=dict)


class Kernel:
    """One PID namespace; *pid_max* small makes numbers come back soon."""

    def __init__(self, pid_max: int = 1 << 22) -> None:
        self.processes = {pid: Process(pid, INIT if pid != INIT else 0, pid, pid) for pid in (INIT, STARTER)}
        self.signals: list[tuple[int, int]] = []  # (who, what): told of the end of a child
        self._pid_max = pid_max
        self._cursor = STARTER
        self._owned = 0
        for process in self.processes.values():
            process.owns = {flag: self._copy() for flag in (CLONE_VM, CLONE_FS, CLONE_FILES)}

    def _copy(self) -> int:
        self._owned += 1
        return self._owned

    def taken(self, number: int) -> bool:
        """Whether set_tid would answer EEXIST: struct pid lives as long as anybody bears it in any role."""
        return any(number in (p.pid, p.pgid, p.sid) for p in self.processes.values())

    def living(self, pid: int) -> Process:
        process = self.processes.get(pid)
        if process is None or process.zombie:
            raise _refuse(errno.ESRCH, f"{pid} cannot make a call")
        return process

    def clone(self, caller: int, pid: int = 0, flags: int = 0, exit_signal: int = SIGCHLD) -> int:
        creator = self.living(caller)
        parent = caller
        if flags & CLONE_PARENT:
            if caller == INIT:
                raise _refuse(errno.EINVAL, "CLONE_PARENT by an init")
            parent, exit_signal = creator.parent, creator.exit_signal
        if not pid:
            pid = self._next()
        elif self.taken(pid):
            raise _refuse(errno.EEXIST, f"{pid} is taken")
        owns = {flag: own if flags & flag else self._copy() for flag, own in creator.owns.items()}
        self.processes[pid] = Process(pid, parent, creator.pgid, creator.sid, exit_signal, owns=owns)
        return pid

    def _next(self) -> int:
        for step in range(1, self._pid_max):
            number = (self._cursor + step) % self._pid_max
            if number > STARTER and not self.taken(number):
                self._cursor = number
                return number
        raise _refuse(errno.EAGAIN, "no number left")

    def setsid(self, pid: int) -> None:
        process = self.living(pid)
        if process.sid == pid or any(other.pgid == pid for other in self.processes.values()):
            raise _refuse(errno.EPERM, f"setsid by {pid}")
        process.sid = process.pgid = pid

    def setpgid(self, caller: int, pid: int, pgid: int) -> None:
        own = self.living(caller)
        process = self.processes.get(pid)
        if process is None or (caller not in (pid, process.parent)):
            raise _refuse(errno.ESRCH, f"{pid} is neither {caller} nor its child")
        if process.sid != own.sid or process.sid == pid:
            raise _refuse(errno.EPERM, f"{pid} is in another session, or leads its own")
        if pgid != pid and all((other.pgid, other.sid) != (pgid, own.sid) for other in self.processes.values()):
            raise _refuse(errno.EPERM, f"no group {pgid} in the session {own.sid}")
        process.pgid = pgid

    def set_subreaper(self, pid: int, on: bool) -> None:
        self.living(pid).subreaper = on

    def reaper_of(self, process: Process) -> Process:
        """Who adopts its children: the nearest subreaper above."""
        reaper = self.processes[process.parent]
        while reaper.pid != INIT and not reaper.subreaper:
            reaper = self.processes[reaper.parent]
        return reaper

    def exit(self, pid: int) -> None:
        process = self.living(pid)
        reaper = self.reaper_of(process)
        for child in self.children(pid):
            child.parent = reaper.pid
            child.exit_signal = SIGCHLD
            if child.zombie:
                self._tell(child)
        process.zombie = True
        process.subreaper = False
        self._tell(process)

    def _tell(self, dead: Process) -> None:
        if dead.parent == INIT:
            del self.processes[dead.pid]
        elif dead.exit_signal:
            self.signals.append((dead.parent, dead.exit_signal))

    def wait(self, parent: int, pid: int) -> None:
        """wait4 with __WALL; it would block, or fail, where this is refused."""
        self.living(parent)
        process = self.processes.get(pid)
        if process is None or process.parent != parent or not process.zombie:
            raise _refuse(errno.ECHILD, f"{pid} is no dead child of {parent}")
        del self.processes[pid]

    def children(self, pid: int) -> list[Process]:
        return [process for process in self.processes.values() if process.parent == pid]

    def below(self, root: int) -> list[Process]:
        """The tree of *root*, parents first."""
        found = [self.processes[root]]
        for process in found:
            found += self.children(process.pid)
        return found

    def photograph(self, root: int) -> Forest:
        """What a checkpoint of *root* sees."""
        tree = self.below(root)
        numbers = {number for process in tree for number in (process.pgid, process.sid)}
        inside = {process.pid for process in tree}
        return Forest(root, tuple(map(self._member, tree)), frozenset(numbers & self.processes.keys() - inside))

    def _member(self, process: Process) -> Member:
        parent = self.processes[process.parent]
        return Member(
            (process.pid,),
            process.parent,
            process.pgid,
            process.sid,
            zombie=process.zombie,
            subreaper=process.subreaper,
            shares_memory_with_parent=not process.zombie and process.owns[CLONE_VM] == parent.owns[CLONE_VM],
            shares_fs_with_parent=not process.zombie and process.owns[CLONE_FS] == parent.owns[CLONE_FS],
            shares_files_with_parent=not process.zombie and process.owns[CLONE_FILES] == parent.owns[CLONE_FILES],
            exit_signal=process.exit_signal,
        )


def carry_out(plan: Plan) -> Kernel:
    """Makes a fresh kernel do what *plan* says, and then ends the zombies, as the engine would."""
    kernel = Kernel()
    zombies: list[int] = []
    extras: set[int] = set()
    for step in plan.steps:
        if isinstance(step, Born):
            kernel.clone(step.creator or STARTER, step.pid, step.flags, step.exit_signal)
            born = kernel.processes[step.pid]
            assert (born.parent, born.exit_signal) == (step.parent or STARTER, step.exit_signal)
            if step.zombie:
                zombies.append(step.pid)
            if step.kind is not Kind.REAL:
                extras.add(step.pid)
        elif isinstance(step, NewSession):
            kernel.setsid(step.pid)
        elif isinstance(step, JoinGroup):
            kernel.setpgid(step.pid, step.pid, step.pgid or STARTER)
        elif isinstance(step, Subreaper):
            kernel.set_subreaper(step.pid, step.on)
        elif isinstance(step, Dies):
            assert step.pid in extras
            kernel.exit(step.pid)
        else:
            assert isinstance(step, Reaps)
            kernel.wait(step.parent, step.pid)
            extras.remove(step.pid)
    assert not extras, "a ghost or placeholder is left"
    assert not kernel.signals, "somebody was told of the end of a ghost or placeholder"
    for pid in zombies:
        kernel.exit(pid)
    return kernel


def squashed(forest: Forest) -> Forest:
    """What a restart is to give, with the STARTER's session and group instead of those from outside the tree."""
    inside = {member.pid for member in forest.members}
    root = next(member for member in forest.members if member.pid == forest.root)
    sessions = forest.outside | ({root.sid} - inside)
    # A group is from outside only if its session is.
    groups = forest.outside | ({root.pgid} - inside if root.sid in sessions else set())

    def squash(member: Member) -> Member:
        ppid = STARTER if member.pid == forest.root else member.ppid
        if member.sid not in sessions:
            return replace(member, ppid=ppid)
        return replace(member, ppid=ppid, sid=STARTER, pgid=STARTER if member.pgid in groups else member.pgid)

    return Forest(forest.root, in_order(map(squash, forest.members)))


def rebuilt(plan: Plan, root: int) -> Forest:
    """The forest that *plan* leads to."""
    return Forest(root, in_order(carry_out(plan).photograph(root).members))


def in_order(members: Iterable[Member]) -> tuple[Member, ...]:
    """By PID, for comparisons."""
    return tuple(sorted(members, key=lambda member: member.pids))
