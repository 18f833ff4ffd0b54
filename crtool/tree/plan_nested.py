"""What nested PID namespaces add to a plan: an order of births across them, and groups that cannot be seen.

A process can only be born into a namespace whose first process is there. And setpgid(2) takes numbers as the caller
sees them: who lives in a nested namespace cannot join a group whose leader lives further out. It has inherited it: some
ancestor was put into the group, by itself or by its parent, who see it, and bore its children then. So such groups are
made, and joined by those ancestors, in the first act, between the births. Everybody else starts, as ever, in the
group of the session, or is brought back to it in the second act.

None of this hurts a setsid(2) that comes later: the groups concerned are not those of sessions.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import TypeAlias

from crtool.record import dataclass
from crtool.tree.forest import OUTSIDE, Table
from crtool.tree.model import Unplannable
from crtool.tree.plan_births import Birth, Births
from crtool.tree.plan_groups import Groups
from crtool.tree.plan_steps import Born, Caller, JoinGroup, Kind, NewSession, Step

__all__ = ["arrange"]

_Node: TypeAlias = "Birth | NewSession | JoinGroup"


def arrange(table: Table, births: Births, groups: Groups) -> tuple[dict[int, Birth], tuple[Step, ...]]:
    """The births in their final order, and the steps of the first and the second act."""
    if not table.nested:
        steps = [_finished(table, births.births, step) for step in births.steps]
        return births.births, (*steps, *groups.joins)
    return _Arrangement(table, births, groups).result()


def _finished(table: Table, births: dict[int, Birth], step: _Node) -> Step:
    if not isinstance(step, Birth):
        return step
    enters = 0
    if step.creator != OUTSIDE:
        where = births[step.creator].namespace
        if step.namespace not in (where, step.pids[0]):
            enters = table.seen(step.namespace, where)
    return Born(step.pids, step.creator, step.parent, step.kind, step.zombie, step.flags, step.exit_signal, enters)


@dataclass
class _Entry:
    """A step and what has to come before it."""

    step: _Node
    before: set[int]  # places of other steps in the list


class _Arrangement:
    def __init__(self, table: Table, births: Births, groups: Groups) -> None:
        self._table = table
        self._births = births.births
        self._groups = groups
        self._entries = [_Entry(step, set()) for step in births.steps]
        self._born: dict[int, int] = {}  # number → place of its birth
        self._session: dict[int, int] = {}  # number → place of its setsid
        for place, step in enumerate(births.steps):
            if isinstance(step, Birth):
                self._born[step.pids[0]] = place
            else:
                self._session[step.pid] = place
        self._group: dict[int, int] = {}  # everybody's group while the steps are played
        self._sid: dict[int, int] = {}  # likewise the session
        self._inherits: dict[int, int] = {}  # who has to be in a certain group before its children are born, and which
        self._both: set[int] = set()  # of these, who have to be in the group of their session first
        self._moves: dict[int, int] = {}  # number → place of the step that brings it there
        self._made: dict[int, int] = {}  # group → place of the step that makes it early

    def result(self) -> tuple[dict[int, Birth], tuple[Step, ...]]:
        """Everything."""
        self._keep_order()
        self._find_heritage()
        self._move_early()
        first = list(self._first_act(self._sorted()))
        second = list(self._second_act())
        births = {step.pids[0]: step for step in first if isinstance(step, Birth)}
        return births, (*(_finished(self._table, births, step) for step in first), *second)

    # -- the first act --------------------------------------------------------------------------------

    def _keep_order(self) -> None:
        """What is so without any groups: creators and namespaces first, and each birth on its side of setsid."""
        for place, entry in enumerate(self._entries):
            step = entry.step
            if isinstance(step, NewSession):
                entry.before.add(self._born[step.pid])
                continue
            if not isinstance(step, Birth) or step.creator == OUTSIDE:
                continue
            entry.before.add(self._born[step.creator])
            if step.namespace not in (OUTSIDE, step.pids[0]):
                entry.before.add(self._born[step.namespace])
            if (session := self._session.get(step.creator)) is not None:
                self._then(*((place, session) if place < session else (session, place)))

    def _then(self, first: int, second: int) -> None:
        self._entries[second].before.add(first)

    def _sees(self, namespace: int, group: int) -> bool:
        """Whether somebody in *namespace* can name *group*."""
        return namespace == OUTSIDE or self._table.seen(group, namespace) != 0

    def _find_heritage(self) -> None:
        """Finds out, children before parents, who has to have which group when it bears its children."""
        needs: dict[int, set[int]] = {}
        for number, birth in reversed(self._births.items()):
            mine = needs.get(number, set())
            if birth.kind is Kind.REAL and not self._sees(birth.namespace, group := self._table.pgid[number]):
                mine.add(group)
            if not mine:
                continue
            special = mine - {birth.session}
            if len(special) > 1:
                raise Unplannable(number, "its descendants in nested PID namespaces are in several groups of others")
            self._inherits[number] = group = special.pop() if special else birth.session
            if birth.creator != OUTSIDE and not self._sees(self._births[birth.creator].namespace, group):
                needs.setdefault(birth.creator, set()).add(group)
            if len(mine) > 1:  # both
                self._both.add(number)
                if birth.creator != OUTSIDE and not self._sees(self._births[birth.creator].namespace, birth.session):
                    needs.setdefault(birth.creator, set()).add(birth.session)

    def _move_early(self) -> None:
        """Adds the steps by which those who have to inherit a group come to it, creators first."""
        for number, group in sorted(self._inherits.items(), key=lambda item: self._born[item[0]]):
            birth, place = self._births[number], self._born[number]
            creator = birth.creator
            if creator == OUTSIDE:
                if group != OUTSIDE:
                    raise Unplannable(number, f"its group {group} is not in its PID namespace")
            elif group == birth.session:
                if creator in self._moves and self._inherits[creator] != group:
                    self._then(place, self._moves[creator])
                elif self._inherits.get(creator, group) != group:
                    self._move(number, birth, group)
            elif self._inherits.get(creator) == group and number not in self._both:
                if creator in self._moves:
                    self._then(self._moves[creator], place)
            else:
                self._move(number, birth, group)
        for number, group in self._inherits.items():
            creator = self._births[number].creator
            if creator in self._made and group == self._births[number].session:
                self._then(self._born[number], self._made[creator])

    def _move(self, number: int, birth: Birth, group: int) -> None:
        """Lets the parent of a newborn put it into *group* at once."""
        parent = birth.parent
        if parent == OUTSIDE or not self._sees(self._births[parent].namespace, group):
            raise Unplannable(number, f"nobody who sees its group {group} can put it there")
        before = [self._born[number]]
        if group in self._session:
            before.append(self._session[group])
        elif group != OUTSIDE:
            if group not in self._made:
                self._made[group] = self._add(self._join(group, group, group), self._born[group])
            before.append(self._made[group])
        self._moves[number] = move = self._add(self._join(number, group, parent), *before)
        for leader in (parent, number):
            if (session := self._session.get(leader)) is not None and self._born[number] < session:
                self._then(move, session)
        for child, place in self._born.items():
            if self._births[child].creator != number or child not in self._inherits:
                continue
            if self._inherits[child] == group:
                self._then(move, place)
            elif number in self._both and self._inherits[child] == birth.session:
                self._then(place, move)

    def _add(self, step: JoinGroup, *before: int) -> int:
        self._entries.append(_Entry(step, set(before)))
        return len(self._entries) - 1

    def _join(self, member: int, group: int, caller: int) -> JoinGroup:
        table, where = self._table, self._births[caller].namespace
        if caller == member and where == OUTSIDE:
            return JoinGroup(member, group)
        who = 0 if caller == member else self._births[member].pids[len(table.around[where]) - 1]
        return JoinGroup(member, group, Caller(caller, who, table.seen(group, where)))

    def _sorted(self) -> list[_Node]:
        """The steps in an order that keeps all that is asked for, otherwise as they came."""
        after: dict[int, list[int]] = {}
        missing = {}
        for place, entry in enumerate(self._entries):
            missing[place] = len(entry.before)
            for other in entry.before:
                after.setdefault(other, []).append(place)
        # Joins come as soon as they can.
        rank = [-1 if isinstance(entry.step, JoinGroup) else place for place, entry in enumerate(self._entries)]
        ready = [(rank[place], place) for place, count in missing.items() if not count]
        heapq.heapify(ready)
        found: list[_Node] = []
        while ready:
            _, place = heapq.heappop(ready)
            found.append(self._entries[place].step)
            for other in after.get(place, ()):
                missing[other] -= 1
                if not missing[other]:
                    heapq.heappush(ready, (rank[other], other))
        if len(found) < len(self._entries):
            left = min(number for number, place in self._born.items() if missing[place] > 0)
            raise Unplannable(left, "it would have to be born before somebody without whom it cannot be born")
        return found

    def _first_act(self, steps: Iterable[_Node]) -> Iterable[_Node]:
        """Plays the steps; who is born in another group than in that which it has to inherit is put there at once."""
        current = self._group
        for step in steps:
            yield step
            if isinstance(step, NewSession):
                current[step.pid] = self._sid[step.pid] = step.pid
            elif isinstance(step, JoinGroup):
                current[step.pid] = step.pgid
            else:
                number = step.pids[0]
                current[number] = current.get(step.creator, OUTSIDE)
                self._sid[number] = step.session
                if number in self._both:
                    yield from self._joined(number, step.session)
                elif number in self._inherits and number not in self._moves:
                    yield from self._joined(number, self._inherits[number])

    # -- the second act ---------------------------------------------------------------------------------

    def _second_act(self) -> Iterable[JoinGroup]:
        joining = {join.pid for join in self._groups.joins}
        for join in self._groups.joins:
            yield from self._joined(join.pid, join.pgid)
        for pid in self._births:
            if pid not in joining and pid in self._table.members:
                yield from self._joined(pid, self._table.pgid[pid])

    def _joined(self, pid: int, group: int) -> Iterable[JoinGroup]:
        if self._group[pid] == group:
            return
        birth = self._births[pid]
        caller = pid
        if pid != group and not self._sees(birth.namespace, group):
            caller = birth.parent
            visible = caller != OUTSIDE and self._sees(self._births[caller].namespace, group)
            if not visible or self._sid[pid] != self._sid[caller]:
                raise Unplannable(pid, f"nobody who sees its group {group} can put it there")
        self._group[pid] = group
        yield self._join(pid, group, caller)

