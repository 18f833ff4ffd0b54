"""Who was born in which session.

A session is only ever inherited, or made by setsid(2). A process that leads one has been in another before, and its
children from that time are in that other one. So where a child is in a session that its parent is not in, one of two
things has happened:

- *born*: the parent leads a session, and was itself born in the child's;
- *above*: the child's session was made somewhere below the parent, and the child came up to it as an orphan.

The image does not say which. Most demands leave no choice (only leaders can have been born in another session; a
session whose leader still lives has its place); where they do, the leader is dead, and it can be put where we like,
within these rules, each of which says that nobody is his own ancestor:

- those who are *above* one session are ancestors of one another, and nobody above is below one born in it;
- a parent that was *born* in a session passes the demand on to its own parent, up to one who was in it too.

The search below goes through all answers, likeliest first. It is complete for every tree whose subreapers have
stayed subreapers; with stepped-down ones there are trees whose births it does not find.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from crtool.record import dataclass
from crtool.tree.forest import OUTSIDE, Table

__all__ = ["Sessions", "possible_sessions"]

_Way = Literal["here", "above", "born"]
_Demand = tuple[int, int]  # a process, and a session in which it has a child
_Agenda: TypeAlias = "tuple[_Demand, _Agenda] | None"  # linked, so that a choice point can keep it for nothing


@dataclass(frozen=True)
class Sessions:
    """One consistent answer."""

    born: dict[int, int]  # session leader → the session that it was born in, where that matters
    below: dict[int, int]  # session → the lowest of the processes that its leader must be born below


def possible_sessions(table: Table) -> Iterator[Sessions]:
    """All answers that keep the rules for each session by itself, likeliest first; there may be very many.

    The caller finds out whether somebody is his own ancestor across sessions, and then asks for the next.
    """
    return _Search(table).answers()


class _Search:
    """Depth-first search with an explicit stack: there can be more choices than Python allows recursions."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._born: dict[int, int] = {table.root: OUTSIDE} if table.leads(table.root) else {}
        self._below: dict[int, int] = {pid: table.parent[pid] for pid in table.walk() if table.leads(pid)}
        self._trail: list[tuple[dict[int, int], int, int | None]] = []  # what to put back: where, key, old value
        self._contested: set[int] = set()

    def answers(self) -> Iterator[Sessions]:
        choices: list[tuple[_Agenda, int, _Way]] = []
        agenda = self._demands()
        while True:
            while agenda is not None:
                (pid, session), _ = agenda
                ways = self._ways(pid, session)
                if not ways:
                    break
                choices += [(agenda, len(self._trail), way) for way in ways[1:]]
                agenda = self._take(agenda, ways[0])
            else:
                yield Sessions(dict(self._born), dict(self._below))
            if not choices:
                return
            agenda, mark, way = choices.pop()
            while len(self._trail) > mark:
                target, key, old = self._trail.pop()
                if old is None:
                    del target[key]
                else:
                    target[key] = old
            agenda = self._take(agenda, way)

    def _demands(self) -> _Agenda:
        """Every (parent, session of a child that the parent is not in), those without a choice first."""
        table = self._table
        free: dict[_Demand, None] = {}
        forced: dict[_Demand, None] = {}
        for pid in table.walk():
            parent, session = table.parent[pid], table.sid[pid]
            if pid == table.root or session in (pid, table.sid[parent]):
                continue
            open_to_both = table.leads(parent) and parent != table.root and session not in (OUTSIDE, *table.members)
            (free if open_to_both else forced)[parent, session] = None
        lowest: dict[int, int] = {}
        for pid, session in free:
            other = lowest.setdefault(session, pid)
            if table.within(pid, other):
                lowest[session] = pid
            elif not table.within(other, pid):
                self._contested.add(session)
        agenda: _Agenda = None
        for demand in reversed([*forced, *free]):
            agenda = (demand, agenda)
        return agenda

    def _ways(self, pid: int, session: int) -> list[_Way]:
        """How *pid* can have come to a child in *session*, likeliest first."""
        table = self._table
        if session in (table.sid[pid], self._born.get(pid)):
            return ["here"]
        lowest = self._below.get(session)
        if lowest is not None and table.within(lowest, pid):
            # Already above. For OUTSIDE this is never so: nobody in the tree is above it.
            return ["above"]
        ways: list[_Way] = []
        comparable = lowest is None or table.within(pid, lowest)
        if comparable and session != OUTSIDE and not self._someone_above_in(pid, session):
            ways.append("above")
        if table.leads(pid) and pid not in self._born:
            # A session with a living leader rather keeps it where it is now; one that two want has room for one of
            # them.
            first = session in table.members or session in self._contested
            ways.insert(0 if first else len(ways), "born")
        return ways

    def _someone_above_in(self, pid: int, session: int) -> bool:
        """Whether an ancestor of *pid* leads *session* or was born in it, and so comes below its leader."""
        table = self._table
        while (pid := table.parent[pid]) != OUTSIDE:
            if session in (table.sid[pid], self._born.get(pid)):
                return True
        return False

    def _take(self, agenda: _Agenda, way: _Way) -> _Agenda:
        assert agenda is not None
        (pid, session), rest = agenda
        if way == "born":
            self._set(self._born, pid, session)
            return ((self._table.parent[pid], session), rest)
        if way == "above" and not (session in self._below and self._table.within(self._below[session], pid)):
            self._set(self._below, session, pid)
        return rest

    def _set(self, target: dict[int, int], key: int, value: int) -> None:
        self._trail.append((target, key, target.get(key)))
        target[key] = value
