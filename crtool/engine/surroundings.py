"""Looking at the PID namespaces of a tree: what of them stands in the way of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

from crtool.engine.lodging import Base
from crtool.engine.made import MadeNamespaces
from crtool.engine.numbers import no_children, not_in_tree
from crtool.errors import Obstacle, TargetDied
from crtool.procfs import ns as ns_file
from crtool.procfs.tasks import threads

__all__ = ["NamespaceSurvey"]

class NamespaceSurvey:
    """Collects the PID namespaces of a living tree, process after process, and then judges them."""

    def __init__(self, base: Base) -> None:
        self._first: set[int | None] = {base.namespaces.pid}  # those whose first process is in the tree, and the base
        self._made = MadeNamespaces(base)
        self._own: dict[int, int | None] = {}
        self._children: dict[int, set[int | None]] = {}

    def add(self, pid: int, door: int, vector: tuple[int, ...]) -> Iterator[Obstacle]:
        """Looks at a process that lives; *door*: the thread through which to look; *vector*: its NSpid."""
        found = ns_file.of(door)
        self._made.add(pid, door)
        self._own[pid] = found.pid
        self._children[pid] = {found.pid_for_children}
        if vector[-1] == 1:
            self._first.add(found.pid)
        for tid in threads(pid):
            if tid == door:
                continue
            try:
                other = ns_file.of(pid, tid)
            except TargetDied:
                continue
            self._children[pid].add(other.pid_for_children)
            if kinds := [kind for kind in other.differing(found) if kind != "pid_for_children"]:
                yield Obstacle(pid, "", f"has threads in different {kinds[0]} namespaces", "let each have a process")

    def add_zombie(self, pid: int, vector: tuple[int, ...]) -> None:
        """Looks at a process that has ended."""
        self._own[pid] = inode = ns_file.pid_namespace(pid)
        if vector[-1] == 1:
            self._first.add(inode)

    def obstacles(self) -> Iterator[Obstacle]:
        """Everything that cannot be saved, when all have been looked at."""
        yield from self._made.obstacles()
        for pid, inode in self._own.items():
            if inode not in self._first:
                yield not_in_tree(pid)
            elif self._children.get(pid, set()) - self._first - {None}:
                yield no_children(pid)

    def warnings(self) -> Iterator[str]:
        """What of them is lost."""
        return self._made.warnings()
