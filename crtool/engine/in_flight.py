"""Open files in flight within unix sockets, while a tree is frozen.

They become open file descriptions like the others, also those that nobody has a descriptor for any more; and they may
be sockets that hold more of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection

from crtool.errors import Obstacle, ObstacleError
from crtool.kernel.process import Identities
from crtool.procfs import fdinfo as fdinfo_file
from crtool.procfs.read import read
from crtool.record import replace
from crtool.resources.files import kinds, owners
from crtool.resources.files.epoll_targets import EpollTargets
from crtool.resources.files.kinds import DescriptionRecord
from crtool.resources.files.openfile import OpenFile
from crtool.resources.files.sockets.unix import UnixRecord
from crtool.resources.files.sockets.unix_collect import UnixSockets

__all__ = ["settle_sockets"]


def settle_sockets(
    sockets: UnixSockets,
    descriptions: list[DescriptionRecord],
    identities: Identities,
    describe: Callable[[OpenFile], DescriptionRecord],
    watched: EpollTargets,
    tree: Collection[int],
    lost: Callable[[OpenFile, str], None],
) -> None:
    """Makes the records of *sockets* among *descriptions* whole, and adds what is found in flight in them.

    *identities*: of the open file descriptions; *describe* gives the record of a new one; *lost* is told what does not
    come back: whom a file tells by signals is set by a descriptor, which nobody has. Raises ObstacleError.
    """

    def index_of(local: int, place: tuple[int, int]) -> int:
        link = os.fsencode(os.readlink(f"/proc/self/fd/{local}"))
        info = fdinfo_file.parse(read(os.getpid(), f"fdinfo/{local}"))
        index, new = identities.find(os.getpid(), local, (link, info.flags & ~os.O_CLOEXEC, info.pos))
        if new:
            pid, fd = place
            file = OpenFile(pid, fd, local, link, info, os.fstat(local))
            if (cause := kinds.only_in_tables(file)) is not None:
                raise ObstacleError([Obstacle(pid, f"fd {fd}", cause, "let the program fetch it from the socket")])
            if owners.dump(file) is not None:
                lost(file, "whom a file in flight tells by signals (F_SETOWN)")
            descriptions.append(describe(file))
            watched.add(replace(file, fd=local), os.getpid(), index)
        return index

    number = 0
    while number < len(descriptions):  # it grows
        record = descriptions[number]
        if isinstance(record, UnixRecord):
            descriptions[number] = sockets.settle(record, index_of)
        number += 1
    for number, record in enumerate(descriptions):
        if isinstance(record, UnixRecord):
            descriptions[number] = sockets.conclude(record, tree)
