"""Names of unix sockets at a restart.

The kernel keeps the name of a socket as it was given to bind(2), and the inode that was made; who connects to a path
finds the socket by that inode, wherever it has been renamed to.

So a path is bound inside a folder that crtool makes, as root folder of a stand-in (or as its current one, for a
relative path): the socket gets its old name, and its file is nowhere in the way. The folder is made beside the place
where the file belongs, and when everything else is done the file is renamed to it, over a socket file that nobody
listens at any more.

Refused: a name that a living socket has, and a path that is something else now. If crtool is killed, a
:class:`~crtool.kernel.sweeper.Sweeper` takes the folders away.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress

from crtool.errors import EnvironmentDiffers
from crtool.kernel import sockets
from crtool.kernel.resolve import Diverted, resolve
from crtool.kernel.standin import stand_in
from crtool.kernel.sweeper import Sweeper
from crtool.kernel.unix_diag import ESTABLISHED, UnixSocket
from crtool.record import dataclass
from crtool.resources.files.outside import Outside
from crtool.resources.files.sockets.unix import BoundFileRecord, shown_name
from crtool.tree.walk import name_of

__all__ = ["Names", "address"]

_AF_UNIX = b"\x01\0"
_LIVES = 0o666


def address(name: bytes) -> bytes:
    """A name as struct sockaddr_un: a path ends with a NUL where there is room for it."""
    return _AF_UNIX + (name if name.startswith(b"\0") or len(name) >= 108 else name + b"\0")


@dataclass(frozen=True)
class _Bound:
    """A path to be bound, or bound."""

    fd: int  # of the socket
    name: bytes
    record: BoundFileRecord | None  # None: its file is of no use
    root: bytes  # folder that stands for the root folder
    inside: bytes  # current folder within that

    @property
    def place(self) -> bytes:
        """Where its file is now."""
        if self.name.startswith(b"/"):
            return self.root + os.path.normpath(self.name)
        return os.path.normpath(os.path.join(self.inside, self.name))


class Names:
    """Names that are given to sockets of ours."""

    def __init__(self, known: Mapping[int, UnixSocket], sweeper: Sweeper) -> None:
        """*known*: all sockets that there are."""
        self._sweeper = sweeper
        self._known = known
        self._bound: list[_Bound] = []
        self._by_fd: dict[int, bytes] = {}  # socket → address to connect to
        self._opened: list[int] = []
        self._folders: list[bytes] = []
        self._made: list[bytes] = []  # files that were put where there was none

    def close(self) -> None:
        """Takes away what is still in crtool's own folders."""
        for fd in self._opened:
            os.close(fd)
        self._opened.clear()
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        self._folders.clear()

    def abandon(self) -> None:
        """Takes away files that were put in their place, since there will be nobody behind them."""
        for path in self._made:
            with suppress(OSError):
                os.unlink(path)
        self._made.clear()

    def judge(self, record: BoundFileRecord) -> None:
        """Whether the file can be put where it was: EnvironmentDiffers if not."""
        shown = record.path.decode(errors="replace")
        try:
            os.close(resolve(os.path.dirname(record.path)))
            status = os.lstat(record.path)
        except FileNotFoundError:
            return
        except Diverted as diverted:
            link = diverted.link.decode(errors="replace")
            raise EnvironmentDiffers(
                f"{shown} is reached through {link} now, a symbolic link of user {diverted.owner}", "remove the link"
            ) from None
        except OSError as error:
            raise EnvironmentDiffers(f"{shown}: {error.strerror}", "make its folder as it was") from None
        if not stat.S_ISSOCK(status.st_mode):
            raise EnvironmentDiffers(f"{shown} was a unix socket and is another file now", "move that away")
        here = (status.st_dev, status.st_ino)
        for info in self._known.values():
            if info.bound == here and not (info.state == ESTABLISHED and info.kind != 2):
                raise EnvironmentDiffers(f"unix socket {shown} is taken: {_who(info.inode)}", "end it, and try again")

    def bind(self, wanted: Sequence[tuple[int, bytes, BoundFileRecord | None]]) -> None:
        """Gives each socket of ours its name; of a path also the file, if there is a record of it."""
        paths = []
        for fd, name, record in wanted:
            if name.startswith(b"\0"):
                self._bind_abstract(fd, name)
            else:
                paths.append(self._room(fd, name, record))
        if not paths:
            return
        stand_in(lambda: _bind_all(paths))
        for bound in paths:
            handle = os.open(bound.place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._opened.append(handle)
            self._by_fd[bound.fd] = address(b"/proc/self/fd/%d" % handle)
        self._bound += paths

    def address_of(self, fd: int) -> bytes | None:
        """Where to send what is meant for a socket of ours; None if it has no name."""
        return self._by_fd.get(fd)

    def settle(self) -> None:
        """Puts the files where they belong. To be done last: from now on others find them."""
        for bound in self._bound:
            record = bound.record
            if record is None or record.deleted:
                continue
            with suppress(PermissionError):
                os.chown(bound.place, record.uid, record.gid)
            os.chmod(bound.place, record.mode)
            self.judge(record)
            if not os.path.lexists(record.path):
                self._made.append(record.path)
            try:
                os.rename(bound.place, record.path)
            except OSError as error:
                shown = record.path.decode(errors="replace")
                raise EnvironmentDiffers(f"{shown}: {error.strerror}", "make its folder writable") from None
        self._bound.clear()

    def _bind_abstract(self, fd: int, name: bytes) -> None:
        try:
            sockets.bind(fd, address(name))
        except OSError as error:
            taken = next((info.inode for info in self._known.values() if info.name == name), 0)
            raise EnvironmentDiffers(
                f"{shown_name(name)} is taken: {_who(taken)}" if taken else f"{shown_name(name)}: {error.strerror}",
                "end it, and try again",
            ) from None
        self._by_fd[fd] = address(name)

    def _room(self, fd: int, name: bytes, record: BoundFileRecord | None) -> _Bound:
        parent = os.path.dirname(record.path) if record is not None and not record.deleted else b""
        beside = parent or os.fsencode(tempfile.gettempdir())
        root = os.path.join(beside, b".crtool-%s" % secrets.token_hex(8).encode())
        self._sweeper.announce("folder", os.path.abspath(root))
        try:
            os.mkdir(root, 0o700)
        except OSError as error:
            shown = os.path.dirname(root).decode(errors="replace")
            raise EnvironmentDiffers(f"{shown}: {error.strerror}", "make the folder, and writable") from None
        self._folders.append(root)
        # Deep enough for a relative name that begins with "..".
        inside = root + b"/d" * (name.split(b"/").count(b"..") + 1)
        bound = _Bound(fd, name, record, root, inside)
        os.makedirs(inside, exist_ok=True)
        os.makedirs(os.path.dirname(bound.place), exist_ok=True)
        if not name.startswith(b"/"):  # "a/../b" needs an "a"
            folder = inside
            for part in name.split(b"/")[:-1]:
                folder = os.path.join(folder, part)
                os.makedirs(folder, exist_ok=True)
        return bound


def _bind_all(paths: Sequence[_Bound]) -> Sequence[int]:
    """In a stand-in, whose root folder is its own."""
    home = os.open("/", os.O_PATH | os.O_CLOEXEC)
    try:
        for bound in paths:
            os.fchdir(home)
            os.chroot(".")
            if bound.name.startswith(b"/"):
                os.chroot(bound.root)
                os.chdir("/")
            else:
                os.chdir(bound.inside)
            sockets.bind(bound.fd, address(bound.name))
            os.fchdir(home)
            os.chroot(".")
            os.chmod(bound.place, _LIVES)
    finally:
        os.close(home)
    return ()


def _who(inode: int) -> str:
    found = Outside(()).holders([inode])
    if inode not in found:
        return "by somebody whom crtool may not see"
    return f"PID {found[inode]} ({name_of(found[inode])}) has it"
