"""What a tree has to do with System V IPC (sysvipc(7)).

The kernel keeps the objects in an IPC namespace, apart from all processes: they stay when a process ends. With a
process it keeps which segments it has attached, and what is to be undone to semaphores when it ends.

We look at its mappings, at its list of adjustments, and in /proc/sysvipc at who made an object or used it last.

Objects of a namespace that the tree has for itself come along, all of them; of crtool's own namespace only if that was
asked for: those that processes of the tree made, used last, or have attached; and, to be made anew only where they are
gone, those of a user of the tree that nobody else who lives has to do with. Others stay where they are, and are found
again by their ids as long as the machine runs.

Refused, unless it was asked for: attached segments, and adjustments of a process with one thread. Of one with several
threads, which has a list of adjustments even if it is empty, there is a warning, if there are semaphores at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from typing import Literal

from crtool.errors import Obstacle, TargetDied, TargetError
from crtool.kernel import sysvipc
from crtool.procfs import maps as maps_file
from crtool.procfs import sysvipc as sysvipc_file
from crtool.procfs.maps import Mapping
from crtool.procfs.read import alive, read
from crtool.procfs.sysvipc import Listed
from crtool.resources.ipc import posix
from crtool.resources.ipc.undo import has_list

__all__ = [
    "SEGMENT",
    "adjusted",
    "attached",
    "belonging",
    "closed",
    "is_segment",
    "listed",
    "obstacles",
    "out_of_reach",
    "segments_of",
    "unreadable",
]

SEGMENT = b"/SYSV"  # what /proc calls a segment, with its key behind
_KINDS = {"shm": "shared memory", "sem": "semaphores", "msg": "messages"}
_REMEDY = "save it with --sysvipc"


def is_segment(mapping: Mapping) -> bool:
    """Whether *mapping* is of attached shared memory."""
    return mapping.deleted and mapping.name.startswith(SEGMENT) and mapping.shared


def segments_of(maps: Iterable[Mapping]) -> dict[int, Mapping]:
    """The first mapping of each segment, by its id."""
    found: dict[int, Mapping] = {}
    for mapping in maps:
        if is_segment(mapping):
            found.setdefault(mapping.inode, mapping)
    return found


def listed(kind: Literal["shm", "sem", "msg"]) -> tuple[Listed, ...]:
    """All objects of a kind in the namespace that crtool is in."""
    with open(f"/proc/sysvipc/{kind}", "rb") as file:
        return sysvipc_file.parse(file.read())


def belonging(
    kind: Literal["shm", "sem", "msg"], pids: Collection[int], users: Collection[int]
) -> Iterator[tuple[int, bool]]:
    """The ids of what a tree has to do with: processes *pids* of *users*. And whether one of them made it or used it
    last; otherwise nobody else does who lives.
    """
    for each in listed(kind):
        try:
            known = sysvipc.last_users(each.id) if kind == "sem" else set(each.pids)
            creator = sysvipc.stat(kind, each.id)[0].cuid
        except OSError:
            continue  # removed meanwhile
        if not known.isdisjoint(pids):
            yield each.id, True
        elif creator in users and not any(alive(pid) for pid in known - {0}):
            yield each.id, False


def obstacles(pid: int, door: int, *, threads: int) -> Iterator[Obstacle]:
    """What of process *pid* cannot be saved without being asked for; *door*: a living thread of it."""
    text = read(door, "maps")
    if SEGMENT in text:
        yield from attached(pid, maps_file.parse(text))
    # Who has once had threads has an empty list. Whether there is something in it, the process itself is asked later.
    if threads == 1 and has_list(door) and _was_last_to_change(pid):
        yield adjusted(pid)


def adjusted(pid: int) -> Obstacle:
    """An obstacle for somebody who will have something undone."""
    why = "has adjustments of System V semaphores to be undone at its end (SEM_UNDO)"
    return Obstacle(pid, "", why, _REMEDY)


def _was_last_to_change(pid: int) -> bool:
    """Whether process *pid* was the last to change some semaphore that crtool may look at."""
    for each in listed("sem"):
        with suppress(OSError):  # removed meanwhile, or of somebody else
            if pid in sysvipc.last_users(each.id):
                return True
    return False


def attached(pid: int, maps: Iterable[Mapping]) -> Iterator[Obstacle]:
    """An obstacle for each attached segment."""
    for number, mapping in segments_of(maps).items():
        key = mapping.name.removeprefix(SEGMENT)[:8].decode("ascii", "replace")
        why = f"has System V shared memory attached (id {number}, key 0x{key})"
        yield Obstacle(pid, f"mapping {mapping.start:x}", why, _REMEDY)


def closed(pid: int, door: int) -> Iterator[Obstacle]:
    """Whether crtool may enter the IPC namespace of process *pid*, tried, and what there cannot be saved; *door*: a
    living thread of it.
    """
    try:
        for why in posix.hindrances_of(door):
            yield Obstacle(pid, "", why, posix.REMEDY)
    except PermissionError:
        yield Obstacle(pid, "", "lives in another ipc namespace, which crtool may not enter", "run crtool as root")
    except FileNotFoundError:
        raise TargetDied(pid) from None


def out_of_reach(root: int, pids: Collection[int], users: Collection[int]) -> Iterator[Obstacle]:
    """The segments that a tree uses and that nobody of it has attached, for a crtool that may not open them."""
    reached = {number for pid in pids for number in _segments_seen(pid)}
    for number, used in belonging("shm", pids, users):
        if used and number not in reached:
            yield unreadable(root, "shm", number)


def _segments_seen(pid: int) -> Collection[int]:
    try:
        return segments_of(maps_file.parse(read(pid, "maps"))).keys()
    except (OSError, TargetError):
        return ()


def unreadable(root: int, kind: Literal["shm", "sem", "msg"], number: int) -> Obstacle:
    """What the tree of process *root* uses and crtool may not read."""
    why = f"its tree uses System V {_KINDS[kind]} with id {number}, which crtool may not read"
    return Obstacle(root, "", why, "run crtool as root, or with CAP_CHECKPOINT_RESTORE")
