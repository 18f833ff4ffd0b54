"""The forest, checked for contradictions and indexed for the planner.

What the kernel would never show is an ImageError: a number twice, a parent that is missing, a group in two sessions.
What it could show but crtool cannot build is Unplannable. Sessions and groups from outside the tree are squashed into
number 0, "what crtool has": they can only be inherited, and there is nobody else to inherit them from.
"""

from __future__ import annotations

from collections.abc import Iterable

from crtool.errors import ImageError
from crtool.tree.model import Absent, Forest, Member, Unplannable
from crtool.tree.plan_steps import Squashed

__all__ = ["OUTSIDE", "Table"]

OUTSIDE = 0
"""Number of crtool's own session and group, and PID of the root's parent, in all that the planner computes."""


class Table:
    """The members by PID, with what the planner asks of them again and again."""

    def __init__(self, forest: Forest) -> None:
        self.root = forest.root
        self.members: dict[int, Member] = {member.pid: member for member in forest.members if member.pids}
        self.parent: dict[int, int] = {}  # OUTSIDE for the root
        self.numbers: set[int] = set()  # all that mean something to somebody, at any level
        self._threads: set[int] = set()
        self._check_numbers(forest)

        self._enter: dict[int, int] = {}  # place in a depth-first walk, of the process …
        self._leave: dict[int, int] = {}  # … and of the last one below it
        self._walk(forest.members)

        self.vector: dict[int, tuple[int, ...]] = {}  # by the first of them, the numbers of members and absent leaders
        self.namespace: dict[int, int] = {}  # PID of the first process of its PID namespace; OUTSIDE = crtool's own
        self.around: dict[int, tuple[int, ...]] = {OUTSIDE: (OUTSIDE,)}  # namespaces: all from crtool's own to itself
        self._find_namespaces(forest.absent)

        self.sid: dict[int, int] = {}  # OUTSIDE = crtool's session
        self.pgid: dict[int, int] = {}  # OUTSIDE = crtool's group
        self.group_session: dict[int, int] = {}  # session of every group but OUTSIDE
        self.squashed = self._squash(forest.outside.difference(self.members))
        self._check_sessions()
        self._check_groups()

    def leads(self, pid: int) -> bool:
        """Whether *pid* is the leader of a session that was made in the tree."""
        return self.sid.get(pid) == pid

    def within(self, pid: int, top: int) -> bool:
        """Whether *pid* is *top* or a descendant of it; everybody is within OUTSIDE."""
        return top == OUTSIDE or (pid != OUTSIDE and self._enter[top] <= self._enter[pid] <= self._leave[top])

    @property
    def nested(self) -> bool:
        """Whether there is any PID namespace but crtool's own."""
        return len(self.around) > 1

    def encloses(self, outer: int, inner: int) -> bool:
        """Whether PID namespace *outer* is *inner* or around it."""
        return outer in self.around[inner]

    def seen(self, number: int, namespace: int) -> int:
        """The process or group *number* as it is called in *namespace*; 0 if it has no number there."""
        if number == OUTSIDE or not self.encloses(namespace, self.namespace.get(number, OUTSIDE)):
            return 0
        return self.vector.get(number, (number,))[len(self.around[namespace]) - 1]

    def walk(self) -> Iterable[int]:
        """All members, parents before their children."""
        return self._enter

    def _check_numbers(self, forest: Forest) -> None:
        bearers: dict[int, int] = {}
        for member in forest.members:
            if not member.pids or min(member.pids + member.threads) <= 0 or min(member.pgid, member.sid) < 0:
                raise ImageError(f"the process table has impossible numbers: {str(member.pids)[:60]}")
            if member.zombie and member.threads:
                raise Unplannable(member.pid, "its first thread has ended, others live on")
            for number in (member.pid, *member.threads):
                if number in bearers:
                    raise ImageError(f"the number {number} is in the process table twice")
                bearers[number] = member.pid
            self._threads.update(member.threads)
            self.numbers.update(member.pids, member.threads, (member.pgid, member.sid))
        for absent in forest.absent:
            self.numbers.update(absent.pids)
        self.numbers |= forest.outside

    def _walk(self, members: tuple[Member, ...]) -> None:
        if self.root not in self.members:
            raise ImageError(f"the root {self.root} is not in the process table")
        children: dict[int, list[int]] = {}
        for member in members:
            if member.pid == self.root:
                self.parent[self.root] = OUTSIDE
                continue
            parent = self.members.get(member.ppid)
            if parent is None:
                raise ImageError(f"the parent {member.ppid} of PID {member.pid} is not in the process table")
            if parent.zombie:
                raise ImageError(f"the parent {member.ppid} of PID {member.pid} is a zombie")
            self.parent[member.pid] = parent.pid
            children.setdefault(parent.pid, []).append(member.pid)
        stack = [self.root]
        while stack:
            pid = stack.pop()
            if pid < 0:  # all below it have been seen
                self._leave[-pid] = len(self._enter) - 1
                continue
            self._enter[pid] = len(self._enter)
            stack.append(-pid)
            stack.extend(reversed(children.get(pid, ())))
        if len(self._enter) < len(self.members):
            lost = min(self.members.keys() - self._enter.keys())
            raise ImageError(f"PID {lost} is its own ancestor in the process table")

    def _find_namespaces(self, absent: tuple[Absent, ...]) -> None:
        for pid in self.walk():
            namespace = self.members[pid].namespace
            if namespace == pid:
                self._found_namespace(pid)
            elif namespace != OUTSIDE and getattr(self.members.get(namespace), "namespace", None) != namespace:
                raise ImageError(f"the first process of the PID namespace of PID {pid} is not in the process table")
            self.namespace[pid] = namespace
        taken: set[tuple[int, int]] = set()
        for pid in self.walk():
            self._enter_number(pid, self.members[pid].pids, self.namespace[pid], taken)
            parent = self.parent[pid]
            if parent != OUTSIDE and not self.encloses(self.namespace[parent], self.namespace[pid]):
                raise ImageError(f"PID {pid} lives in an outer PID namespace of its parent {parent}")
        for leader in absent:
            if leader.pids[0] not in self.members:
                if leader.namespace not in self.around:
                    raise ImageError(f"the PID namespace of the leader {leader.pids[0]} is not in the process table")
                self._enter_number(leader.pids[0], leader.pids, leader.namespace, taken)
                self.namespace[leader.pids[0]] = leader.namespace

    def _found_namespace(self, first: int) -> None:
        """Enters the namespace whose first process is *first*; that of its parent is around it."""
        parent = self.parent[first]
        around = self.around.get(self.members[parent].namespace if parent else OUTSIDE)
        if around is None or len(self.members[first].pids) != len(around) + 1:
            raise Unplannable(first, "it is the first of a PID namespace that is not right inside that of its parent")
        if self.members[first].pids[-1] != 1:
            raise ImageError(f"PID {first} is the first of a PID namespace and has not the number 1 there")
        self.around[first] = (*around, first)

    def _enter_number(self, pid: int, pids: tuple[int, ...], namespace: int, taken: set[tuple[int, int]]) -> None:
        levels = self.around[namespace]
        if len(pids) != len(levels):
            raise ImageError(f"PID {pid} has {len(pids)} numbers in {len(levels)} PID namespaces")
        for place in zip(levels, pids, strict=True):
            if place in taken:
                raise ImageError(f"two processes of one PID namespace have the number {place[1]} there")
            taken.add(place)
        self.vector[pid] = pids

    def _squash(self, outside: frozenset[int]) -> tuple[Squashed, ...]:
        root = self.members[self.root]
        foreign = outside | {0} | ({root.sid} - self.members.keys())
        sessions: dict[int, list[int]] = {}
        groups: dict[int, list[int]] = {}
        for pid, member in self.members.items():
            self.sid[pid] = member.sid
            if member.sid in foreign:
                self.sid[pid] = OUTSIDE
                sessions.setdefault(member.sid, []).append(pid)
        if self.sid[self.root] == OUTSIDE:
            # The root's group was there before the root, or its leader has left the tree: as good as outside.
            outside |= {root.pgid} - self.members.keys()
        for pid, member in self.members.items():
            self.pgid[pid] = member.pgid
            # A group of a session that is made in the tree cannot be inherited from crtool, wherever its leader is now.
            if member.pgid == 0 or (member.pgid in outside and self.sid[pid] == OUTSIDE):
                self.pgid[pid] = OUTSIDE
                groups.setdefault(member.pgid, []).append(pid)
        return tuple(
            Squashed(what, number, tuple(pids))
            for what, table in (("session", sessions), ("group", groups))
            for number, pids in table.items()
        )

    def _check_sessions(self) -> None:
        for pid, session in self.sid.items():
            if session in self._threads:
                raise ImageError(f"the session {session} of PID {pid} bears the number of a thread")
            if session in self.members and not self.leads(session):
                raise ImageError(f"PID {session} does not lead the session {session} of PID {pid}")
            if self.leads(pid) and self.pgid[pid] != pid:
                raise ImageError(f"PID {pid} leads a session and is in the group {self.pgid[pid]}")
        if self.sid[self.root] not in (OUTSIDE, self.root):
            raise ImageError(f"the root {self.root} is in the session {self.sid[self.root]} of its descendant")

    def _check_groups(self) -> None:
        for pid, group in self.pgid.items():
            session = self.sid[pid]
            if group == OUTSIDE:
                if session != OUTSIDE:
                    raise ImageError(f"PID {pid} is in a group from outside and in the session {session}")
                continue
            if group in self._threads:
                raise ImageError(f"the group {group} of PID {pid} bears the number of a thread")
            if self.group_session.setdefault(group, session) != session:
                raise ImageError(f"the group {group} is in two sessions, {session} and {self.group_session[group]}")
        sessions = set(self.sid.values())
        for group, session in self.group_session.items():
            if self.sid.get(group, session) != session or (group in sessions and session != group):
                raise ImageError(f"the group {group} is not in the session of the process that made it")
