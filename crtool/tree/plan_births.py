"""Who bears whom, and in what order: the first act of a plan.

Everybody is born in the session that he ends up in (a session's leader: in any), and at a place from which he can
get to his parent, by the first of these ways that there is:

1. his parent bears him, before or after its own setsid(2);
2. the leader of his session, a child of the same parent, bears him as a *sibling* (CLONE_PARENT);
3. he is born below the leader of his session, dead or alive, as the child of a *ghost* or a *placeholder*. When that
   one dies, his parent, who is somewhere above, is the only subreaper and adopts him.

An adoption sets the exit signal to SIGCHLD (reparent_leader() in kernel/exit.c) and CLONE_PARENT hands the
creator's on (copy_process() in kernel/fork.c); so that signal decides between 2 and 3.
"""

from __future__ import annotations

from collections.abc import Callable

from crtool.record import dataclass
from crtool.tree.forest import OUTSIDE, Table
from crtool.tree.model import CLONE_FILES, CLONE_FS, CLONE_NEWPID, CLONE_PARENT, CLONE_VM, SIGCHLD, Unplannable
from crtool.tree.plan_groups import Groups
from crtool.tree.plan_sessions import Sessions
from crtool.tree.plan_steps import Kind, NewSession

__all__ = ["Birth", "Births", "plan_births"]

_SHARES = (CLONE_VM, CLONE_FS, CLONE_FILES)


@dataclass
class Birth:
    """A birth in the making: some flags of ghosts and placeholders are known only when their children are."""

    pids: tuple[int, ...]
    creator: int
    parent: int  # at birth
    kind: Kind = Kind.REAL
    zombie: bool = False
    flags: int = 0
    exit_signal: int = 0  # for a ghost or placeholder: nobody is told of its end
    namespace: int = OUTSIDE  # the PID namespace that it lives in, by its first process
    session: int = OUTSIDE  # that it is born in
    heir: int = OUTSIDE  # of a ghost or placeholder: who adopts its children
    has_wards: bool = False  # whether there are any


@dataclass(frozen=True)
class Births:
    """The first act."""

    births: dict[int, Birth]  # in order of birth, so parents before their children
    steps: tuple[Birth | NewSession, ...]


def plan_births(table: Table, sessions: Sessions, groups: Groups, take_number: Callable[[], int]) -> Births:
    """Orders the births; Unplannable if *sessions* do not go together."""
    return _Nursery(table, sessions, take_number).run(groups)


class _Nursery:
    def __init__(self, table: Table, sessions: Sessions, take_number: Callable[[], int]) -> None:
        self._table = table
        self._sessions = sessions
        self._take_number = take_number
        self._ghosts: set[int] = set()
        self._leaders: set[int] = set(table.sid.values()) - {OUTSIDE}
        self._creator: dict[int, int] = {table.root: OUTSIDE}
        self._early: dict[int, list[int]] = {}  # by creator: those born before its setsid
        self._late: dict[int, list[int]] = {}  # … and after
        self._births: dict[int, Birth] = {}
        self._steps: list[Birth | NewSession] = []
        self._placeholders: dict[tuple[int, int, bool], int] = {}
        self._owner = {flag: self._owners(flag) for flag in _SHARES}

    def run(self, groups: Groups) -> Births:
        """All births, from the root on."""
        table = self._table
        for pid in table.walk():
            if pid != table.root:
                creator, early = self._find_creator(pid)
                self._give(pid, creator, early)
        for session in sorted(self._leaders - table.members.keys()):
            self._ghosts.add(session)
            self._give(session, self._sessions.below[session], early=False)
        for ghost in groups.ghosts:
            self._ghosts.add(ghost)
            self._give_to_session(ghost, table.group_session[ghost])
        for holder, group in groups.holders:
            self._give_to_session(holder, table.group_session[group])
        self._bear_all()
        return Births(self._births, tuple(self._steps))

    def _find_creator(self, pid: int) -> tuple[int, bool]:
        """Who makes the clone3, and whether before its setsid."""
        table, sessions = self._table, self._sessions
        if table.leads(pid):
            session = sessions.born.get(pid)
            # Usually the parent; one that must be above the session and is not above its leader's parent is lower.
            place = sessions.below[pid]
        else:
            session = table.sid[pid]
            place = table.parent[pid]
        if session is None or session == table.sid[place]:
            return place, False
        if session == sessions.born.get(place):
            return place, True
        if session != OUTSIDE and table.within(sessions.below[session], place):
            return session, False
        raise Unplannable(pid, f"nobody below its parent was ever in its session {session or 'from outside the tree'}")

    def _give(self, pid: int, creator: int, early: bool) -> None:
        self._creator[pid] = creator
        (self._early if early else self._late).setdefault(creator, []).append(pid)

    def _give_to_session(self, pid: int, session: int) -> None:
        if session == OUTSIDE:
            self._give(pid, self._table.root, early=self._table.leads(self._table.root))
        else:
            self._give(pid, session, early=False)

    def _bear_all(self) -> None:
        expected = len(self._creator)
        stack = [self._table.root]
        while stack:
            pid = stack.pop()
            if pid < 0:
                self._steps.append(NewSession(-pid))
                continue
            birth = self._bear(pid)
            self._births[pid] = birth
            self._steps.append(birth)
            stack.extend(reversed(self._late.get(pid, ())))
            if pid in self._leaders:
                stack.append(-pid)
            stack.extend(reversed(self._early.get(pid, ())))
        if len(self._births) - len(self._placeholders) < expected:
            lost = min(self._creator.keys() - self._births.keys())
            raise Unplannable(lost, "sessions and parents make it its own ancestor")

    def _bear(self, pid: int) -> Birth:
        table = self._table
        creator = self._creator[pid]
        member = table.members.get(pid)
        if member is None:
            return self._extra(pid, Kind.GHOST if pid in self._ghosts else Kind.PLACEHOLDER, creator, creator)
        birth = Birth(member.pids, creator, creator, zombie=member.zombie, exit_signal=member.exit_signal)
        birth.namespace = table.namespace[pid]
        first = birth.namespace == pid
        if first:
            birth.flags |= CLONE_NEWPID
        if pid == table.root:
            return birth
        birth.session = self._session_of(pid, creator)
        self._check_reach(pid, birth.namespace, creator)
        parent = table.parent[pid]
        if creator != parent:
            made = self._births[creator]
            # CLONE_PARENT by an init is EINVAL, clone(2). A leader that must be born lower than its parent has to stay
            # there until those above its session have adopted theirs.
            unfit = first or table.namespace.get(creator) == creator
            unfit = unfit or (table.leads(pid) and self._sessions.below[pid] != parent)
            if made.parent == parent and made.exit_signal == member.exit_signal and not unfit:
                birth.flags |= CLONE_PARENT
                birth.parent = parent
            else:
                birth.creator = birth.parent = self._stand_in(pid, creator, parent)
        birth.flags |= member.shares
        self._share(pid, birth.creator, member.shares)
        return birth

    def _stand_in(self, pid: int, creator: int, heir: int) -> int:
        """A ghost or placeholder in *creator*'s session whose child *heir* will adopt."""
        signal = self._table.members[pid].exit_signal
        if signal != SIGCHLD:
            raise Unplannable(pid, f"it would have to be adopted, and its exit signal is {signal}, not SIGCHLD")
        table = self._table
        if self._births[creator].namespace != table.namespace[heir]:
            raise Unplannable(pid, f"it came to its parent {heir} from another PID namespace")
        number = creator
        if self._births[creator].kind is Kind.REAL or self._births[creator].heir != heir:
            early = pid in self._early.get(creator, ())
            key = (creator, heir, early)
            if key not in self._placeholders:
                self._placeholders[key] = number = self._take_number()
                self._births[number] = self._extra(number, Kind.PLACEHOLDER, creator, heir)
                self._births[number].session = self._session_of(pid, creator)
                self._steps.append(self._births[number])
            number = self._placeholders[key]
        self._births[number].has_wards = True
        return number

    def _extra(self, number: int, kind: Kind, creator: int, heir: int) -> Birth:
        table = self._table
        if kind is Kind.GHOST and number in table.vector:
            pids, namespace = table.vector[number], table.namespace[number]
            self._check_reach(number, namespace, creator)
        elif kind is Kind.GHOST:
            pids, namespace = (number,), OUTSIDE
            self._check_reach(number, namespace, creator)
        else:  # its number is free at every level
            namespace = self._births[creator].namespace
            pids = (number,) * len(table.around[namespace])
        session = self._session_of(number, creator)
        return Birth(pids, creator, creator, kind, namespace=namespace, session=session, heir=heir)

    def _session_of(self, pid: int, creator: int) -> int:
        """The session that *pid* is born in by *creator*."""
        if pid in self._early.get(creator, ()):
            return self._sessions.born.get(creator, OUTSIDE)
        return creator if creator in self._leaders else self._births[creator].session

    def _check_reach(self, pid: int, namespace: int, creator: int) -> None:
        """Whether *creator* can bear *pid* into *namespace*: its own, a new one right in it, or one that it enters."""
        table = self._table
        where = self._births[creator].namespace
        reached = table.around[namespace][-2] == where if namespace == pid else table.encloses(where, namespace)
        if not reached:
            raise Unplannable(pid, f"it would be born by {creator}, which is in another PID namespace")

    def _owners(self, flag: int) -> dict[int, int]:
        """For each member the topmost of those that share with it by *flag*."""
        table = self._table
        owner: dict[int, int] = {}
        for pid in table.walk():
            shared = table.members[pid].shares & flag and pid != table.root
            owner[pid] = owner[table.parent[pid]] if shared else pid
        return owner

    def _share(self, pid: int, creator: int, shares: int) -> None:
        """Sees to it that *creator* has what *pid* shares with its parent."""
        parent = self._table.parent[pid]
        if not shares or creator == parent:
            return
        # Those that do not live on may share anything; what a zombie shared while it lived is not known.
        while self._births[creator].kind is not Kind.REAL or self._births[creator].zombie:
            self._births[creator].flags |= shares
            creator = self._births[creator].creator
        for flag in _SHARES:
            if shares & flag and self._owner[flag][creator] != self._owner[flag][parent]:
                raise Unplannable(pid, f"it shares memory or files with its parent {parent}, which cannot bear it")
