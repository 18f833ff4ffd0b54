"""Preparing a restart in crtool itself: descriptors for everything that the puppets will need, at numbers above the
image's.

Open file descriptions are made here, once each; every process inherits them at birth under the same number, and what
was shared is shared again because the description is the same.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from crtool.arch import cpu
from crtool.engine.changed import ChangedFiles, FileJudge
from crtool.engine.descriptor_limit import require_descriptors
from crtool.engine.ipc import IpcSpaces
from crtool.engine.lazy import Lazy
from crtool.engine.made import members_of_mounts
from crtool.engine.snapshot import MemoryRecord, Snapshot
from crtool.errors import EnvironmentDiffers
from crtool.image.reader import ImageReader
from crtool.image.verified import VerifiedReader
from crtool.kernel import memfd
from crtool.kernel.sweeper import Sweeper
from crtool.puppet.puppet import Puppet
from crtool.resources.files import anonymous, inodes, kinds, pipes
from crtool.resources.files.fifos import Fifos
from crtool.resources.files.inodes import ContentRecord, MountedRecord, PathRecord, RingMemoryRecord
from crtool.resources.files.kinds import DescriptionRecord
from crtool.resources.files.openfile import remedy_for
from crtool.resources.files.regular import RegularRecord
from crtool.resources.files.sockets import tcp_remade
from crtool.resources.files.sockets.unix import UnixRecord
from crtool.resources.files.sockets.unix_remake import RemadeSockets
from crtool.resources.files.terminals import Remade
from crtool.resources.memory.mappings import MappingRecord
from crtool.tree.walk import port_user

if TYPE_CHECKING:
    from crtool.puppet.postbox import Postbox

__all__ = ["Prepared"]

_LOWEST_BASE = 64


class Prepared:
    """The descriptors of a restart under way. As a context manager it closes them."""

    def __init__(
        self,
        snapshot: Snapshot,
        image: ImageReader,
        *,
        apart: bool = False,
        changed: ChangedFiles = "refuse",
        lazily: bool = False,
    ) -> None:
        """*apart*: the processes will live in a mount namespace and a PID namespace of their own.

        *changed*: what becomes of files that have changed. *lazily*: memory may come when everything runs already, so
        what is read before is verified as it is read.
        """
        self.lazy = Lazy(image) if lazily else None
        self._verified = VerifiedReader(image) if lazily else None
        self.snapshot = snapshot
        self.apart = apart
        self.image = image
        self.warnings: list[str] = []
        self.sweeper = Sweeper()
        self.ipc = IpcSpaces(snapshot, self.warnings.append, self.sweeper)
        self.files = FileJudge(snapshot, changed, self.warnings.append, self.sweeper, apart=apart)
        highest = max((d.fd for table in snapshot.files.tables for d in table.descriptors), default=0)
        self.base = max(highest + 1, _LOWEST_BASE)
        self.other_mounts = members_of_mounts(snapshot)  # PIDs of those who live in other mount namespaces
        self._image_fds: dict[int, int] = {}  # descriptors here → in every puppet
        self.controlling: dict[int, int] = {}  # session → descriptor of its controlling terminal
        self.foregrounds: dict[int, int] = {}  # session → group in the foreground of that terminal
        self.relay_master = -1  # of the terminal that stands for one outside the tree; for whoever takes it
        self.late: list[int] = []  # descriptions that can only be made when all are born
        self._postbox: tuple[Postbox, int] | None = None  # and the number of its end in the puppets
        self._descriptions: list[int] = []
        self._nameless: dict[int, int] = {}  # inode index → descriptor of what had no name
        self._opened: dict[tuple[int, int], int] = {}  # (inode index, flags) → descriptor
        self._all: list[int] = []
        self._fifos: Fifos | None = None
        self._sockets: RemadeSockets | None = None
        self.filled: list[tuple[MemoryRecord, int]] = []  # with a descriptor of the memory that has it
        self._made: kinds.Made | None = None  # for descriptions that are made late
        self.rooms: dict[int, int] = {}  # first member of a mount namespace → its PID as crtool sees it, once it lives

    def __enter__(self) -> Prepared:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives back everything that is still here."""
        self.files.abandon()
        if self.lazy is not None:
            self.lazy.reap()
        self.close_files()
        for fd in self._nameless.values():
            os.close(fd)
        if self.relay_master >= 0:
            os.close(self.relay_master)
            self.relay_master = -1
        if self._sockets is not None:
            self._sockets.leave()
        self._nameless.clear()
        self.sweeper.close()

    def close_files(self) -> None:
        """Closes the open files here, so that they are the tree's alone, and the end of the last writer is one."""
        if self.lazy is not None:
            self.lazy.await_close()
        if self._postbox is not None:
            self._postbox[0].close()
            self._postbox = None
        if self._fifos is not None:
            self._fifos.close()
        while self._all:
            os.close(self._all.pop())

    # -- making ---------------------------------------------------------------------------------------

    def make(self) -> None:
        """Compares the files of the image with those that are here, and makes everything."""
        files = self.snapshot.files
        require_descriptors(files, self.base)
        for index, record in enumerate(files.inodes):
            if isinstance(record, MountedRecord | RingMemoryRecord):
                continue  # opened when its mount namespace is there, or made with the ring
            if isinstance(record, PathRecord):
                made = self.files.judge(index, record, self._fill, self._has)
            else:
                made = inodes.make(record, self._fill)
            if made >= 0:
                # Kept as a path only: a file that somebody has open for writing cannot be executed.
                self._nameless[index] = inodes.reopen(made, os.O_PATH)
                os.close(made)
        for image in (self.image, *self.image.ancestors()):
            if image.is_plain:
                self._image_fds[image.fileno()] = self._keep(os.dup(image.fileno()))
        rings = [
            pipes.make(ring, self.path(ring.inode), self._shown(ring.inode)) if ring.inode >= 0
            else pipes.make(ring, b"", "")
            for ring in files.pipes
        ]  # fmt: skip
        self._connections = tcp_remade.Remade(files.descriptions, files.tcp_table, self.warnings.append, port_user)
        self._sockets = RemadeSockets(
            (record for record in files.descriptions if isinstance(record, UnixRecord)),
            self.warnings.append,
            self.sweeper,
            apart=self.apart,
        )
        self._fifos = Fifos(files.pipes, rings)
        terminals = Remade(files.ptys, files.terminal, self.warnings)
        self._made = shared = kinds.Made(
            self.path,
            self._shown,
            lambda index: rings[index],
            terminals.open_end,
            self._connections.take,
            self._sockets.open_end,
            self.warnings.append,
        )
        try:
            self._connections.make()
            self._sockets.make()
            self._prepare_late()
            self._descriptions = [-1] * len(files.descriptions)
            for index in kinds.in_order(files.descriptions):
                description = files.descriptions[index]
                if index not in self.late:
                    self._descriptions[index] = made = self._keep(kinds.restore(description, shared))
                    self._require_same(description, made)
                    self._opened.update(kinds.opened(description, made))
                else:
                    assert self._postbox is not None
                    self._descriptions[index] = self._postbox[1]
            self._sockets.fill(self.description)
            for pair in terminals.finish():
                self.controlling[pair.record.session] = self._keep(os.dup(pair.slave))
                self.foregrounds[pair.record.session] = pair.record.foreground
            self.relay_master = terminals.relay_master()
        finally:
            terminals.close()
            self._connections.close()
            self._sockets.close()
            for ring in rings:
                for fd in ring:
                    os.close(fd)

    def would_put_back(self, inode: int, record: PathRecord) -> bool:
        """Whether a restart would put a file back from the image, which is not done here."""
        return self.files.would_put_back(inode, record, self._has)

    def appear(self) -> None:
        """When all else has succeeded, what others see of it, and what cannot be undone, comes last: segments that were
        there, FIFOs, unix sockets under their paths, files.
        """
        self.ipc.overwrite(self._nameless)
        if self._sockets is not None:
            self._sockets.settle()
        if self._fifos is not None:
            self._fifos.fill(zip(self.snapshot.files.descriptions, self._descriptions, strict=True))
        self.files.settle()

    def vanish(self) -> None:
        """After a failure: they can no longer."""
        if self._sockets is not None:
            self._sockets.abandon()

    def revive(self) -> None:
        """One of the last steps: the other ends of connections hear of them again."""
        made = zip(self.snapshot.files.descriptions, self._descriptions, strict=True)
        numbers = {id(record): fd for record, fd in made}
        self._connections.revive(lambda record: numbers[id(record)])

    def _prepare_late(self) -> None:
        """Finds what can only be made later. Its place in the file tables is taken until then by the postbox."""
        descriptions = self.snapshot.files.descriptions
        self.late = [
            index
            for index, description in enumerate(descriptions)
            if anonymous.is_late(description) or self.is_mounted(description)
        ]
        if self.late:
            from crtool.puppet.postbox import Postbox  # noqa: PLC0415

            postbox = Postbox()
            self._postbox = (postbox, self._keep(postbox.theirs))

    def _keep(self, fd: int) -> int:
        """Moves *fd* above the base, where births inherit it."""
        kept = fcntl.fcntl(fd, fcntl.F_DUPFD, self.base)
        os.close(fd)
        self._all.append(kept)
        return kept

    def _fill(self, fd: int, content: ContentRecord) -> None:
        """Copies content from the image to *fd*."""
        for offset, part in self._parts(content):
            done = 0
            while done < len(part):
                done += memfd.put(fd, part[done:], offset + done)

    def _has(self, fd: int, content: ContentRecord) -> bool:
        """Whether *fd* has just that content."""
        if self.image.is_stream or tuple(inodes.data_extents(fd, content.size)) != content.extents:
            return False  # what has been read from a stream to compare it could not be read once more
        import mmap  # noqa: PLC0415

        with mmap.mmap(-1, 1 << 20) as room, memoryview(room) as here:
            return all(
                os.preadv(fd, [here[: len(part)]], offset) == len(part) and here[: len(part)] == part
                for offset, part in self._parts(content)
            )

    def _parts(self, content: ContentRecord) -> Iterator[tuple[int, memoryview]]:
        """The content of a file in pieces: where each is in the file, and a view of it."""
        position = content.data
        for offset, length in content.extents:
            padded = -(-length // cpu.PAGE_SIZE) * cpu.PAGE_SIZE
            for start, view in self.pieces(position, padded):
                yield offset + start, view[: max(0, min(len(view), length - start))]
            position += padded

    @cached_property
    def room(self) -> memoryview:
        """Memory for pieces on their way."""
        import mmap  # noqa: PLC0415

        return memoryview(mmap.mmap(-1, 1 << 20))

    def read(self, offset: int, view: memoryview) -> None:
        """Fills *view* from byte *offset* of the data area; a stream must be read in order."""
        if self.image.is_stream:
            self.image.skip_to(offset)
            self.image.read_data(view)
            return
        if self._verified is None:
            self.image.read_at(offset, view)
            return
        while view:
            part = self._verified.read(offset, len(view))
            view[: len(part)] = part
            view, offset = view[len(part) :], offset + len(part)

    # -- what the puppets ask for -------------------------------------------------------------------------

    def description(self, index: int) -> int:
        """The descriptor, here and in every puppet, of open file description *index*."""
        return self._descriptions[index]

    def is_mounted(self, description: DescriptionRecord) -> bool:
        """Whether it is of a file in a mount namespace of the tree, and so can only be opened there."""
        return isinstance(description, RegularRecord) and isinstance(
            self.snapshot.files.inodes[description.inode], MountedRecord
        )

    def open_mounted(self, index: int) -> int:
        """Opens such an open file *index*; to be called when the mount namespaces are there."""
        description = self.snapshot.files.descriptions[index]
        assert self._made is not None
        assert isinstance(description, RegularRecord)
        record = self.snapshot.files.inodes[description.inode]
        assert isinstance(record, MountedRecord)
        self.files.judge_mounted(description.inode, record, self.rooms[record.member])
        fd = kinds.restore(description, self._made)
        self._require_same(description, fd)
        return fd

    def keep_late(self, fd: int) -> int:
        """Takes charge of a descriptor that was made after the births."""
        self._all.append(fd)
        return fd

    def hand_over(self, puppet: Puppet, fds: Sequence[int]) -> list[int]:
        """Gives *puppet*, born already, descriptors for *fds*; returns their numbers there."""
        assert self._postbox is not None
        postbox, inherited = self._postbox
        return postbox.hand_over(puppet, inherited, fds)

    def fill_segments(self) -> None:
        """Gives System V objects their content, as one of the last steps."""
        self.ipc.settle(self._nameless)

    def opened(self, inode: int, flags: int) -> int:
        """The descriptor, here and in every puppet, of inode *inode* opened with *flags*. To be asked before the
        births.
        """
        key = (inode, flags)
        if key not in self._opened:
            try:
                fd = os.open(self.path(inode), flags | os.O_CLOEXEC)
            except OSError as error:
                cause = f"{self._shown(inode)} cannot be opened: {error.strerror}"
                raise EnvironmentDiffers(cause, remedy_for(error)) from None
            self._opened[key] = self._keep(fd)
        return self._opened[key]

    def image_fd(self, image: ImageReader) -> int:
        """The descriptor, here and in every puppet, of an image that is plain."""
        return self._image_fds[image.fileno()]

    def mapped(self, mapping: MappingRecord) -> int:
        """The same of what *mapping* maps."""
        return self.opened(mapping.inode, os.O_RDWR if mapping.may_write else os.O_RDONLY)

    def folder(self, inode: int, *, apart: bool = False) -> int | bytes:
        """A folder that a puppet is to enter: its descriptor (:meth:`opened`), or its path if it or all are *apart*."""
        record = self.snapshot.files.inodes[inode]
        if isinstance(record, MountedRecord) and record.member in self.rooms:
            self.files.judge_mounted(inode, record, self.rooms[record.member])
        if isinstance(record, MountedRecord) or ((self.apart or apart) and isinstance(record, PathRecord)):
            return record.path
        return self.opened(inode, os.O_PATH)

    def is_own_root(self, inode: int) -> bool:
        """Whether an inode is the root folder of crtool itself."""
        record = self.snapshot.files.inodes[inode]
        return isinstance(record, PathRecord) and record.path == b"/"

    def pieces(self, offset: int, length: int) -> Iterator[tuple[int, memoryview]]:
        """Bytes *offset*… of the data area in pieces: how far each is from the beginning, and a view of it."""
        done = 0
        while done < length:
            view = self.room[: length - done]
            self.read(offset + done, view)
            yield done, view
            done += len(view)

    def path(self, inode: int, flags: int = 0) -> bytes:
        """A path by which inode *inode* can be opened with *flags*."""
        record = self.snapshot.files.inodes[inode]
        if isinstance(record, MountedRecord):
            return self.files.path_of_mounted(inode, record, self.rooms[record.member], flags)
        if isinstance(record, PathRecord) and inode not in self._nameless:
            return self.files.path(inode, record, flags)
        return b"/proc/self/fd/%d" % self._nameless[inode]

    def _require_same(self, description: DescriptionRecord, fd: int) -> None:
        """EnvironmentDiffers if something that has been opened by its name (O_PATH) is not what was judged."""
        inode = description.inode if isinstance(description, RegularRecord) and description.flags & os.O_PATH else -1
        if inode >= 0 and inode not in self._nameless:
            self.files.require_same(inode, self.snapshot.files.inodes[inode], fd)

    def _shown(self, inode: int) -> str:
        record = self.snapshot.files.inodes[inode]
        path: bytes = getattr(record, "path", getattr(record, "name", b"shared memory"))
        return path.decode(errors="replace")
