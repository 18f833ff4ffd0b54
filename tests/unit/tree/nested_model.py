"""The kernel's model with PID namespaces in it: numbers at every level, first processes, and who sees whom.

The rules are those of kernel/pid_namespace.c (copy_pid_ns), kernel/fork.c and kernel/exit.c (find_new_reaper).
Processes are known by the number that they have outermost, where crtool is. That real kernels agree is shown by the
forests of tests/live/test_forest.py.
"""

from __future__ import annotations

import errno
from dataclasses import replace

from crtool.tree.model import CLONE_NEWPID, CLONE_PARENT, SIGCHLD, Absent, Forest, Member
from crtool.tree.plan import Born, Dies, JoinGroup, Kind, NewSession, Plan, Reaps, Subreaper

from .kernel_model import INIT, STARTER, Kernel, Process, _refuse, in_order

__all__ = ["GROUND", "Nested", "rebuilt"]

GROUND = 0
"""The outermost PID namespace."""


class Nested(Kernel):
    """*pid_max* is that of the outermost namespace; the others have numbers enough."""

    def __init__(self, pid_max: int = 1 << 22) -> None:
        super().__init__(pid_max)
        self.around: list[tuple[int, ...]] = [(GROUND,)]  # by namespace: all from the outermost one to itself
        self.first: list[int] = [INIT]  # by namespace: its first process, 0 before that is born
        # By number, of processes and of those who are dead and remembered as leaders:
        self.vector: dict[int, tuple[int, ...]] = {number: (number,) for number in (INIT, STARTER)}
        self.space: dict[int, int] = dict.fromkeys((INIT, STARTER), GROUND)
        self.into: dict[int, int] = dict.fromkeys((INIT, STARTER), GROUND)  # where its children are born

    def is_first(self, pid: int) -> bool:
        return self.first[self.space[pid]] == pid

    def seen(self, number: int, namespace: int) -> int:
        """The process or group *number* as it is called in *namespace*, 0 if it has no number there."""
        if namespace not in self.around[self.space[number]]:
            return 0
        return self.vector[number][len(self.around[namespace]) - 1]

    def found(self, number: int, namespace: int) -> int:
        """Whose number that is in *namespace*."""
        return next((one for one in self._borne() if self.seen(one, namespace) == number), 0)

    def _borne(self) -> set[int]:
        return {number for p in self.processes.values() for number in (p.pid, p.pgid, p.sid)}

    def unshare(self, caller: int) -> None:
        self.living(caller)
        if self.into[caller] != self.space[caller]:
            raise _refuse(errno.EINVAL, "children are born elsewhere already")
        self.into[caller] = self._make(self.space[caller])

    def _make(self, parent: int) -> int:
        self.around.append((*self.around[parent], len(self.around)))
        self.first.append(0)
        return len(self.around) - 1

    def setns(self, caller: int, namespace: int) -> None:
        self.living(caller)
        if self.space[caller] not in self.around[namespace]:
            raise _refuse(errno.EINVAL, "an outer namespace cannot be entered")
        self.into[caller] = namespace

    def clone(
        self, caller: int, pid: int = 0, flags: int = 0, exit_signal: int = SIGCHLD, pids: tuple[int, ...] = ()
    ) -> int:
        self.living(caller)
        if flags & CLONE_PARENT and self.is_first(caller):
            raise _refuse(errno.EINVAL, "CLONE_PARENT by the first process of a namespace")
        namespace = self.into[caller]
        if flags & CLONE_NEWPID:
            if namespace != self.space[caller]:
                raise _refuse(errno.EINVAL, "children are born elsewhere already")
            namespace = self._make(namespace)
        first = self.first[namespace]
        if first and (first not in self.processes or self.processes[first].zombie):
            raise _refuse(errno.ENOMEM, "the first process has ended")
        inner = [self._number(at, pids) for at in self.around[namespace][1:]]
        if not first and inner[-1] != 1:
            raise _refuse(errno.EINVAL, "the first process is 1")
        assert not pids or len(pids) == len(self.around[namespace]), "numbers are left to chance"
        born = super().clone(caller, pids[0] if pids else pid, flags, exit_signal)
        self.vector[born] = (born, *inner)
        self.space[born] = self.into[born] = namespace
        self.first[namespace] = first or born
        return born

    def _number(self, namespace: int, pids: tuple[int, ...]) -> int:
        level = len(self.around[namespace]) - 1
        taken = {self.seen(number, namespace) for number in self._borne()}
        if not pids:
            return next(number for number in range(1, len(taken) + 2) if number not in taken)
        if pids[level] in taken:
            raise _refuse(errno.EEXIST, f"{pids} are taken")
        return pids[level]

    def setpgid(self, caller: int, pid: int, pgid: int) -> None:
        self.living(caller)
        where = self.space[caller]
        if not (self.seen(pid, where) and self.seen(pgid, where)):
            raise _refuse(errno.ESRCH, f"{caller} does not see {pid} or {pgid}")
        super().setpgid(caller, pid, pgid)

    def reaper_of(self, process: Process) -> Process:
        namespace = self.space[process.pid]
        level = len(self.around[namespace])
        reaper = self.processes[process.parent]
        while reaper.pid != INIT and len(self.around[self.space[reaper.pid]]) == level:
            if reaper.subreaper:
                return reaper
            reaper = self.processes[reaper.parent]
        return self.processes[self.first[namespace]]

    def exit(self, pid: int) -> None:
        """The first process of a namespace takes all in there along; here it can only end when it is alone."""
        inside = [p for p in self.processes if self.space[pid] in self.around[self.space[p]]]
        if self.is_first(pid) and len(inside) > 1:
            raise _refuse(errno.EBUSY, "others would be killed")
        super().exit(pid)

    def photograph(self, root: int) -> Forest:
        forest = super().photograph(root)
        inside = {member.pid for member in forest.members}
        longest: dict[int, Absent] = {}
        for member in forest.members:
            chain = self.around[self.space[member.pid]]
            for leader in (member.pgid, member.sid):
                # What NSpgid and NSsid of the member have: as many levels as it shares with the leader.
                known = tuple(number for number in (self.seen(leader, at) for at in chain) if number)
                if leader not in inside and len(known) > len(getattr(longest.get(leader), "pids", (0,))):
                    longest[leader] = Absent(known, self._key(chain[len(known) - 1]))
        return replace(forest, absent=tuple(longest.values()))

    def _member(self, process: Process) -> Member:
        member = super()._member(process)
        return replace(member, pids=self.vector[process.pid], namespace=self._key(self.space[process.pid]))

    def _key(self, namespace: int) -> int:
        return 0 if namespace == GROUND else self.first[namespace]


def rebuilt(plan: Plan, root: int) -> Forest:
    """The forest that *plan* leads to; Refused or AssertionError if a step does not succeed."""
    kernel = Nested()
    zombies: list[Born] = []
    extras: set[int] = set()
    for step in plan.steps:
        if isinstance(step, Born):
            _bear(kernel, step)
            zombies += [step] if step.zombie else []
            extras |= {step.pid} if step.kind is not Kind.REAL else set()
        elif isinstance(step, NewSession):
            kernel.setsid(step.pid)
        elif isinstance(step, JoinGroup):
            _join(kernel, step)
        elif isinstance(step, Subreaper):
            kernel.set_subreaper(step.pid, step.on)
        elif isinstance(step, Dies):
            assert step.pid in extras
            kernel.exit(step.pid)
        else:
            assert isinstance(step, Reaps)
            assert (step.seen or step.pid) == kernel.seen(step.pid, kernel.space[step.parent])
            kernel.wait(step.parent, step.pid)
            extras.remove(step.pid)
    assert not extras, "a ghost or placeholder is left"
    assert not kernel.signals, "somebody was told of the end of a ghost or placeholder"
    for zombie in sorted(zombies, key=lambda born: (-len(born.pids), born.pids[-1] == 1)):
        kernel.exit(zombie.pid)
    forest = kernel.photograph(root)
    return Forest(root, in_order(forest.members))


def _bear(kernel: Nested, step: Born) -> None:
    creator = step.creator or STARTER
    if step.enters:
        first = kernel.found(step.enters, kernel.space[creator])
        assert kernel.is_first(first)
        kernel.setns(creator, kernel.space[first])
    kernel.clone(creator, 0, step.flags, step.exit_signal, step.pids)
    kernel.setns(creator, kernel.space[creator])
    born = kernel.processes[step.pid]
    assert (born.parent, born.exit_signal) == (step.parent or STARTER, step.exit_signal)


def _join(kernel: Nested, step: JoinGroup) -> None:
    caller, member, group = step.pid, step.pid, step.pgid or STARTER
    if step.by is None:
        assert kernel.space[caller] == GROUND, "numbers of the ground mean something else where it lives"
    else:
        caller, where = step.by.pid, kernel.space[step.by.pid]
        member = kernel.found(step.by.member, where) if step.by.member else caller
        if step.pid == step.pgid:
            group = member
        else:
            group = kernel.found(step.by.group, where) if step.by.group else STARTER
    assert (step.pid, step.pgid or STARTER) == (member, group), "somebody else is meant"
    kernel.setpgid(caller, member, group)
