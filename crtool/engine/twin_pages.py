"""How the pages of a twin get into the image: it writes them itself, or they go through crtool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from crtool.engine.room import is_limited
from crtool.errors import RemoteCallError, TargetDied
from crtool.procfs.permission import has_rights_of_caller
from crtool.puppet import postbox
from crtool.puppet.twin import Twin
from crtool.resources.memory import direct, pages
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import ExtentRecord, PageSink

if TYPE_CHECKING:
    from crtool.image.splicer import Load, Splicer

__all__ = ["Sink", "copy_twin"]

_WORTH_IT = 4 << 20  # bytes that pay for sending a descriptor to the twin
_LARGE = 32 << 20  # bytes that go past the page cache, where others have their files


class Sink(PageSink, Protocol):
    """Where bytes go. A twin can write to a file by itself (:mod:`crtool.resources.memory.direct`)."""

    @property
    def direct(self) -> int:
        """The descriptor of the file, −1 if there is none."""

    @property
    def position(self) -> int:
        """Where in the file the next byte belongs."""

    @property
    def length(self) -> int:
        """How long the file will be."""

    def written(self, nbytes: int) -> None:
        """The next *nbytes* are there."""

    def splicer(self) -> Splicer | None:
        """Pipes to the disk (:mod:`crtool.image.splicer`), None if there are none."""

    def take(self, load: Load) -> None:
        """The next bytes are in these pipes."""


def copy_twin(
    twin: Twin, extents: Sequence[ExtentRecord], records: Sequence[MappingRecord], sink: Sink
) -> None:
    """Lets *twin* write what of *extents* it can read itself, and copies the rest. *records*: its mappings."""
    size = pages.total(extents)
    trusted = size >= _WORTH_IT and _is_trusted(twin)
    # Pages are given to the disk after their checksums were made: they must not change in between.
    splicer, ends = _pipes_to(twin, sink) if size >= _LARGE and trusted and twin.is_still else (None, ())
    number = _door_to(twin, sink) if trusted and splicer is None else -1
    for readable, some in pages.readable(extents, records):
        done = 0
        if splicer is not None and not splicer.is_broken and readable:
            done = direct.splice(twin.puppet, splicer, ends, some, sink.take)
        elif number >= 0 and readable:
            done = direct.write(twin.puppet, number, sink.position, some, sink.written)
        pages.copy(twin.tid, twin.memory, pages.after(some, done), sink)


def _is_trusted(twin: Twin) -> bool:
    """Whether *twin* may have anything open by which an image is written.

    Whoever may trace it, as each process of the same user may, can take that from it (pidfd_getfd(2)), and write what
    he likes to the image of a caller who has more rights.
    """
    try:
        return has_rights_of_caller(twin.tid)
    except TargetDied:
        return False


def _pipes_to(twin: Twin, sink: Sink) -> tuple[Splicer | None, tuple[int, ...]]:
    """The way past the page cache, and the numbers of its pipes in the twin; None if there is none."""
    if (splicer := sink.splicer()) is None or splicer.is_broken:
        return None, ()
    try:
        return splicer, postbox.send(twin.puppet, *splicer.ends)
    except (OSError, RemoteCallError):
        return None, ()


def _door_to(twin: Twin, sink: Sink) -> int:
    """The number of the image's descriptor in the twin, −1 if that cannot, or must not, write to it.

    A control group with a limit on its memory would have to pay for the page cache. Its owner may have ended.
    """
    if sink.direct < 0 or is_limited(twin.tid):
        return -1
    try:
        return postbox.send(twin.puppet, sink.direct)[0] if direct.may_write(twin.puppet, sink.length) else -1
    except (OSError, RemoteCallError):
        return -1
