"""Births that keep what processes have in common.

Pages that a fork has left to two processes are in memory once. To be so again after a restart, one of them has to be
born of the other when that one's memory is there. So who bears somebody with whom it has pages in common gets its
memory before that birth, and nobody else: all others are born blank, which costs nothing. The order of births stays
that of the plan (:mod:`crtool.tree.plan`). Who is born of a process that has its memory, and has nothing in common
with it, drops it all.

A stream has the memory of one process after the other, so in a restart from a pipe only the first one in it, which is
the root of the tree, can have its memory early.
"""

from __future__ import annotations

from collections.abc import Mapping

from crtool.abi import clone as clone_abi
from crtool.engine.contents import Run
from crtool.engine.forebear import forebear
from crtool.engine.inherit import Content, common
from crtool.engine.lay import lay
from crtool.engine.prepare import Prepared
from crtool.puppet.birth import Newborn
from crtool.tree.plan_steps import Born, Kind, Plan

__all__ = ["Heritage"]


class Heritage:
    """What is in the address spaces of newborns."""

    def __init__(self, prepared: Prepared, plan: Plan) -> None:
        snapshot = prepared.snapshot
        self._prepared = prepared
        self._memories = [Content(memory) for memory in snapshot.memories]
        self._records = {record.pids[0]: record for record in snapshot.processes if record.memory >= 0}
        self._content: dict[int, list[Content | None]] = {}  # by PID; who shares a space has the same list
        self._wanted = any(memory.shared for memory in snapshot.memories)
        self._heirs: dict[int, list[Content]] = {}  # by PID of who bears them
        self._forebears: dict[int, Content] = {}  # by PID
        if self._wanted:
            self._look(plan)
        self._first = min((memory.data for memory in snapshot.memories), default=0)

    def _look(self, plan: Plan) -> None:
        """Finds who bears whom; what is born by a ghost or placeholder counts as born by who bears that."""
        creators: dict[int, int] = {}
        for step in plan.steps:
            if not isinstance(step, Born) or step.creator == 0:
                continue
            creators[step.pid] = creators.get(step.creator, step.creator)
            if step.kind is Kind.REAL:
                if (born := self._records.get(step.pid)) is not None:
                    self._heirs.setdefault(creators[step.pid], []).append(self._memories[born.memory])
                del creators[step.pid]

    def before(self, step: Born, puppets: Mapping[int, Newborn]) -> None:
        """Gives the creator of *step* its memory, if that is to be handed on."""
        if not self._wanted:
            return
        if step.creator == 0:
            self._content[step.pid] = [None]
            return
        content = self._content[step.creator]
        creator = self._records.get(step.creator)
        if creator is not None:
            memory = self._forebear(creator.pids[0], self._memories[creator.memory])
            if self._is_worth_it(step, memory, content[0]):
                self._lay(creator.pids[0], puppets[step.creator], memory)
        self._content[step.pid] = content if step.flags & clone_abi.CLONE_VM else [*content]

    def _forebear(self, pid: int, memory: Content) -> Content:
        """What the memory of process *pid* is to be like for the births. A stream cannot give what comes later."""
        if pid not in self._forebears:
            heirs = () if self._prepared.image.is_stream else self._heirs.get(pid, ())
            self._forebears[pid] = forebear(memory, heirs)
        return self._forebears[pid]

    def lay(self, pid: int, puppet: Newborn, *, lazily: bool) -> tuple[Content, list[Run]]:
        """Lays out the memory of process *pid* in *puppet*, if that has not been done; all births are over.

        Returns it, and what of it is still to come, if that is to be so (*lazily*).
        """
        memory = self._memories[self._records[pid].memory]
        return memory, self._lay(pid, puppet, memory, lazily=lazily)

    def _lay(self, pid: int, puppet: Newborn, memory: Content, *, lazily: bool = False) -> list[Run]:
        state, content = self._records[pid].state, self._content.setdefault(pid, [None])
        if content[0] is memory:
            return []
        huge_pages = state is not None and not state.settings.flags.thp_disable
        later = lay(puppet, self._prepared, memory, content[0], huge_pages=huge_pages, lazily=lazily)
        content[0] = memory
        return later

    def _is_worth_it(self, step: Born, memory: Content, before: Content | None) -> bool:
        """Whether who is born by *step* takes over more of *memory* than of what the creator has now."""
        if before is memory or (self._prepared.image.is_stream and memory.memory.data != self._first):
            return False
        if step.kind is not Kind.REAL:  # a link in the chain to somebody who may
            return True
        born = self._records.get(step.pid)
        if born is None or self._memories[born.memory] is memory:
            return False
        wanted = self._memories[born.memory]
        return _common(wanted, memory) > (0 if before is None else _common(wanted, before))


def _common(first: Content, second: Content) -> int:
    """Bytes that two memories have in common."""
    return sum(end - start for start, end in common(first, second))
