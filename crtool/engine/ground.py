"""The ground of a restored tree: crtool itself, or a stem in namespaces of the tree's own."""

from __future__ import annotations

from crtool.engine.snapshot import Snapshot
from crtool.engine.where import Place
from crtool.puppet.birth import Newborn, Space, bear_root
from crtool.puppet.space import largest_hole
from crtool.puppet.stem import Stem
from crtool.tree.plan import Born

__all__ = ["Ground"]


class Ground:
    """What the tree grows from: crtool itself, or a stem in namespaces of the tree's own. As a context manager it ends
    the stem, and if the block fails what else it has made.
    """

    def __init__(self, snapshot: Snapshot, place: Place) -> None:
        self._root = next(record for record in snapshot.processes if record.pids[0] == snapshot.root)
        self._space = _free_space(snapshot)
        self._stem: Stem | None = None
        if place.surroundings.any:
            self._stem = Stem(self._space, place.surroundings, self._root.exit_signal)

    def __enter__(self) -> Ground:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        if self._stem is not None:
            self._stem.leave(failed=kind is not None)

    def bear_root(self, step: Born) -> Newborn:
        """The birth of the root."""
        if self._stem is not None:
            return self._stem.bear(step.pids, step.flags)
        return bear_root(self._space, step.pids, step.flags, step.exit_signal)

    def settle(self) -> None:
        """Prepares whoever stays beside the tree, when nobody is born any more."""
        if self._stem is not None:
            self._stem.settle(self._root.pids[0])

    def outlive(self) -> None:
        """From here on that one goes on even if crtool dies."""
        if self._stem is not None:
            self._stem.outlive()

    def release(self) -> None:
        """Lets it go."""
        if self._stem is not None:
            self._stem.release()

    def end(self) -> None:
        """Ends it, when everybody in the tree has been ended."""
        if self._stem is not None:
            self._stem.end()
            self._stem.bid_farewell()

    def bid_farewell(self) -> None:
        """Waits a moment for it, when the root has ended."""
        if self._stem is not None:
            self._stem.bid_farewell()


def _free_space(snapshot: Snapshot) -> Space:
    """Addresses that are free in every address space of the image, for the newborns to live in."""
    extents = [mapping for memory in snapshot.memories for mapping in memory.mappings]
    special = [mapping for memory in snapshot.memories for mapping in memory.vdso.mappings]
    rings = [ring for memory in snapshot.memories for ring in memory.rings]
    return Space(largest_hole([*extents, *special, *rings], Space.SIZE))
