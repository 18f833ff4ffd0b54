"""What is done for a checkpoint before anybody stands still, so that it need not be done then.

A first time takes longer than all others: constructors are compiled, the machine is asked what does not change, code is
searched for gadgets. For a tiny process that would be most of the time for which it stands still.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from crtool.engine.snapshot import Snapshot
from crtool.errors import TargetDied, TargetError
from crtool.image import codec
from crtool.kernel import file_census
from crtool.kernel.file_census import FileCensus
from crtool.kernel.process import raise_file_limit
from crtool.kernel.wait import WaitStatus
from crtool.procfs import maps as maps_file
from crtool.procfs import stat as stat_file
from crtool.procfs.descriptors import Descriptors
from crtool.procfs.error import NoSuchFile
from crtool.procfs.read import open_file, read
from crtool.puppet.code import gadgets_of
from crtool.record import compile_init
from crtool.resources import cgroups, limits, scheduling
from crtool.resources.memory.pages import ExtentRecord, Stretch

__all__ = ["be_ready", "census_for"]

_MANY = 500
"""Descriptors that are asked about one by one: that takes 25 ms, for which the tree stands still. To learn from the
kernel's type information how to ask for all at once takes 50 to 100 ms beforehand.
"""

_MADE_WHILE_FROZEN = (WaitStatus, Stretch, ExtentRecord)


def be_ready(pids: Sequence[int]) -> None:
    """Does for the living tree of *pids* what can be done already; the first of them is asked what it will be asked."""
    codec.prepare(Snapshot)
    for kind in _MADE_WHILE_FROZEN:
        compile_init(kind)
    raise_file_limit()  # a descriptor for each file whose content is saved, and for each one in flight
    root = pids[0]
    with suppress(TargetDied, TargetError, OSError):  # the frozen tree will be asked, and told of what is wrong
        stat_file.parse(read(root, "stat"))
        limits.dump(root)
        cgroups.dump(root)
        scheduling.dump(root)
        memory = open_file(root, "mem", os.O_RDONLY)
        try:
            gadgets_of(root, memory, maps_file.parse(read(root, "maps")))
        finally:
            os.close(memory)


def census_for(files: int) -> FileCensus | None:
    """A way to ask for all descriptors of a thread at once, if the tree has so many *files* and crtool may."""
    return file_census.prepare(_is_true) if files >= _MANY else None


def _is_true(census: FileCensus) -> bool:
    """Whether it says of this process what /proc says."""
    with Descriptors(os.getpid()) as folder:
        said = {standing.fd: standing for standing in census.look(os.getpid())}
        infos = {}
        for fd in folder.numbers():
            with suppress(NoSuchFile):  # by which they were listed
                infos[fd] = folder.info(fd)
        return all(
            (one := said.get(fd)) is not None
            and (one.flags, one.position, one.mount, one.inode) == (info.flags, info.pos, info.mnt_id, info.ino)
            and (one.tells or one.locked or not info.extra)
            for fd, info in infos.items()
        )
