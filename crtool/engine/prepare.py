"""Preparing a restart in crtool itself: descriptors for everything that the puppets will need, at numbers above the
image's.

Open file descriptions are made here, once each; every process inherits them at birth under the same number, and what
was shared is shared again because the description is the same.
"""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator

from crtool.arch import cpu
from crtool.engine.snapshot import Snapshot
from crtool.errors import EnvironmentDiffers
from crtool.image.layout import Segment
from crtool.image.reader import ImageReader
from crtool.resources.files import inodes, kinds, pipes, regular
from crtool.resources.files.inodes import ContentRecord, PathRecord
from crtool.resources.files.terminals import Remade

__all__ = ["Prepared"]

_LOWEST_BASE = 64


class Prepared:
    """The descriptors of a restart under way. As a context manager it closes them."""

    def __init__(self, snapshot: Snapshot, image: ImageReader) -> None:
        self.snapshot = snapshot
        self.image = image
        self.warnings: list[str] = []
        highest = max((d.fd for table in snapshot.files.tables for d in table.descriptors), default=0)
        self.base = max(highest + 1, _LOWEST_BASE)
        self.image_fd = -1
        self.controlling: dict[int, int] = {}  # session → descriptor of its controlling terminal
        self.foregrounds: dict[int, int] = {}  # session → group in the foreground of that terminal
        self.relay_master = -1  # of the terminal that stands for one outside the tree; for whoever takes it
        self._descriptions: list[int] = []
        self._nameless: dict[int, int] = {}  # inode index → descriptor of what had no name
        self._opened: dict[tuple[int, int], int] = {}  # (inode index, flags) → descriptor
        self._buffer: memoryview | None = None
        self._all: list[int] = []
        self._completed: set[int] = set()

    def __enter__(self) -> Prepared:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all of them here; the puppets have their own."""
        for fd in [*self._all, *self._nameless.values()]:
            os.close(fd)
        if self.relay_master >= 0:
            os.close(self.relay_master)
            self.relay_master = -1
        self._all.clear()
        self._nameless.clear()

    # -- making ---------------------------------------------------------------------------------------

    def make(self) -> None:
        """Compares the files of the image with those that are here, and makes everything."""
        self._raise_limit()
        files = self.snapshot.files
        writers = self._used_for_reading()
        for index, record in enumerate(files.inodes):
            if isinstance(record, PathRecord):
                self._judge(record, reading=index in writers)
            else:
                # Kept as a path only: a file that somebody has open for writing cannot be executed.
                made = inodes.make(record, self._fill)
                self._nameless[index] = inodes.reopen(made, os.O_PATH)
                os.close(made)
        if not self.image.is_stream:
            self.image_fd = self._keep(os.dup(self.image.fileno()))
        rings = [pipes.make(ring, self._path(ring.inode) if ring.inode >= 0 else b"") for ring in files.pipes]
        terminals = Remade(files.ptys, files.terminal, self.warnings)
        shared = kinds.Made(self._path, self._shown, lambda index: rings[index], terminals.open_end)
        try:
            for description in files.descriptions:
                self._descriptions.append(self._keep(kinds.restore(description, shared)))
            for pair in terminals.finish():
                self.controlling[pair.record.session] = self._keep(os.dup(pair.slave))
                self.foregrounds[pair.record.session] = pair.record.foreground
            self.relay_master = terminals.relay_master()
        finally:
            terminals.close()
            for ring in rings:
                for fd in ring:
                    os.close(fd)

    def _raise_limit(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        need = self.base + len(self.snapshot.files.descriptions) + 2 * len(self.snapshot.files.inodes) + 16
        if hard != resource.RLIM_INFINITY and need > hard:
            raise EnvironmentDiffers(
                f"the image needs {need} open files at once and the hard limit here is {hard}", f"ulimit -Hn {need}"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def _keep(self, fd: int) -> int:
        """Moves *fd* above the base, where births inherit it."""
        kept = fcntl.fcntl(fd, fcntl.F_DUPFD, self.base)
        os.close(fd)
        self._all.append(kept)
        return kept

    def _used_for_reading(self) -> set[int]:
        """Indices of files that the program can read: those must not have changed behind its back."""
        found = set()
        for description in self.snapshot.files.descriptions:
            if not isinstance(description, regular.RegularRecord) or description.flags & os.O_PATH:
                continue
            if description.flags & os.O_ACCMODE != os.O_WRONLY:
                found.add(description.inode)
        for memory in self.snapshot.memories:
            found.update(mapping.inode for mapping in memory.mappings)
        return found

    def _judge(self, record: PathRecord, *, reading: bool) -> None:
        fatal, differs = inodes.changes(record)
        if fatal:
            raise EnvironmentDiffers(fatal, "put the file back as it was when the image was made")
        if differs and reading:
            raise EnvironmentDiffers(differs, "put the file back as it was when the image was made")
        if differs:
            self.warnings.append(differs)

    def _fill(self, fd: int, content: ContentRecord) -> None:
        """Copies content from the image to *fd*."""
        position = content.data
        for offset, length in content.extents:
            padded = -(-length // cpu.PAGE_SIZE) * cpu.PAGE_SIZE
            for start, view in self.pieces(position, padded):
                done, part = 0, view[: max(0, min(len(view), length - start))]
                while done < len(part):
                    done += os.pwrite(fd, part[done:], offset + start + done)
            position += padded

    def _room(self) -> memoryview:
        if self._buffer is None:
            import mmap  # noqa: PLC0415

            self._buffer = memoryview(mmap.mmap(-1, 1 << 20))
        return self._buffer

    def read(self, offset: int, view: memoryview) -> None:
        """Fills *view* from byte *offset* of the data area; a stream must be read in order."""
        if self.image.is_stream:
            self.image.skip_to(offset)
            self.image.read_data(view)
            return
        done = 0
        at = self.image.file_offset(Segment(offset, len(view)))
        while done < len(view):
            done += os.preadv(self.image.fileno(), [view[done:]], at + done)

    # -- what the puppets ask for -------------------------------------------------------------------------

    def description(self, index: int) -> int:
        """The descriptor, here and in every puppet, of open file description *index*."""
        return self._descriptions[index]

    def first_time(self, index: int) -> bool:
        """Whether nobody has asked this about open file description *index* before: what is done to it, is done
        once.
        """
        new = index not in self._completed
        self._completed.add(index)
        return new

    def opened(self, inode: int, flags: int) -> int:
        """The descriptor, here and in every puppet, of inode *inode* opened with *flags*. To be asked before the
        births.
        """
        key = (inode, flags)
        if key not in self._opened:
            try:
                fd = os.open(self._path(inode), flags | os.O_CLOEXEC)
            except OSError as error:
                raise EnvironmentDiffers(
                    f"{self._shown(inode)} cannot be opened: {error.strerror}", "put the file back, with its rights"
                ) from None
            self._opened[key] = self._keep(fd)
        return self._opened[key]

    def is_own_root(self, inode: int) -> bool:
        """Whether an inode is the root folder of crtool itself."""
        record = self.snapshot.files.inodes[inode]
        return isinstance(record, PathRecord) and record.path == b"/"

    def pieces(self, offset: int, length: int) -> Iterator[tuple[int, memoryview]]:
        """Bytes *offset*… of the data area in pieces: how far each is from the beginning, and a view of it."""
        done = 0
        while done < length:
            view = self._room()[: length - done]
            self.read(offset + done, view)
            yield done, view
            done += len(view)

    def _path(self, inode: int) -> bytes:
        record = self.snapshot.files.inodes[inode]
        if isinstance(record, PathRecord):
            return record.path
        return b"/proc/self/fd/%d" % self._nameless[inode]

    def _shown(self, inode: int) -> str:
        record = self.snapshot.files.inodes[inode]
        path: bytes = getattr(record, "path", getattr(record, "name", b"shared memory"))
        return path.decode(errors="replace")
