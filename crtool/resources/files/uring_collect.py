"""What is registered with the rings of a tree: whose descriptors, and whose memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from crtool.errors import Obstacle, ObstacleError
from crtool.kernel import uring as kernel
from crtool.kernel.uring_registered import Registered
from crtool.resources.files import uring, uring_fixed
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.table import TableRecord
from crtool.resources.files.uring import UringRecord

__all__ = ["LivingRings", "RegisteredRings"]


class LivingRings:
    """Those of a tree that goes on: what of them cannot be found."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, int], Registered] = {}  # by device and inode
        self._places: dict[tuple[int, int], list[tuple[int, int]]] = {}  # PIDs and descriptors

    def add(self, file: OpenFile) -> None:
        """Takes note of a ring; anything else is passed over."""
        if not uring.recognise(file):
            return
        key = (file.stat.st_dev, file.stat.st_ino)
        if key not in self._places:
            with suppress(OSError):  # then it is refused anyway
                self._found[key] = uring.registered(file)
        self._places.setdefault(key, []).append((file.pid, file.fd))

    def obstacles(self, tree: Collection[int]) -> Iterator[Obstacle]:
        """What is registered and cannot be registered again; *tree* is looked at only if anything is."""
        if not any(found.anything for found in self._found.values()):
            return
        there = [place for pid in tree for place in kernel.open_files(pid).values()]
        files, contexts = {file for file, _ in there}, {context for _, context in there}
        for key, found in self._found.items():
            pid, fd = self._places[key][0]
            holders = [holder for holder, _ in self._places[key]]
            if (cause := uring_fixed.why_not(found, files, contexts, holders)) is not None:
                yield Obstacle(pid, f"fd {fd}", uring.refusal(cause), uring_fixed.REMEDY)


class RegisteredRings:
    """Those of a tree that stands still, with which something is registered."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[Registered, int, int]] = {}  # by description; a PID and a descriptor of it

    def add(self, file: OpenFile, description: int) -> None:
        """Takes note of a ring; anything else is passed over."""
        if uring.recognise(file) and (found := uring.registered(file)).anything:
            self._found[description] = (found, file.pid, file.fd)

    def complete(
        self, descriptions: list[Any], tables: Sequence[TableRecord], who: Mapping[int, Sequence[tuple[int, int]]]
    ) -> None:
        """Makes their records among *descriptions* whole. *who*: PIDs and TIDs that have each of the *tables*."""
        if not self._found:
            return
        files: dict[int, int] = {}
        contexts: dict[int, int] = {}
        for index, tasks in who.items():
            pid, tid = tasks[0]
            there = kernel.open_files(pid, tid)
            for descriptor in tables[index].descriptors:
                if descriptor.fd in there:
                    file, context = there[descriptor.fd]
                    files[file] = contexts[context] = descriptor.description
        for description, (found, pid, fd) in self._found.items():
            record: UringRecord = descriptions[description]
            having = [
                task
                for index, tasks in who.items()
                if any(descriptor.description == description for descriptor in tables[index].descriptors)
                for task in tasks
                if not record.issuer or task[1] == record.issuer
            ]
            pids = list(dict.fromkeys(pid for pid, _ in having))
            if (cause := uring_fixed.why_not(found, files, contexts, pids)) is not None:
                raise ObstacleError([Obstacle(pid, f"fd {fd}", uring.refusal(cause), uring_fixed.REMEDY)])
            registered = uring_fixed.dump(found, files, contexts, pids)
            descriptions[description] = replace(record, registered=registered)
