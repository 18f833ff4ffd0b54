"""Digests of programs and libraries: by which a file that has taken the place of one is told from it.

They are made before anybody is stopped, beside other work that has to be done then, and only of what is mapped to be
executed. Whether a file has been changed is told by its times and its inode at first: nobody but root changes a file
and leaves ctime what it was. So at a restart a digest is compared only where these differ, as after an update of the
system, or on another machine.

SHA-256: whoever may put a file there must not be able to make two with one digest.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256

from crtool.errors import TargetError
from crtool.kernel.interruption import start
from crtool.procfs.read import read
from crtool.resources.files.inodes import Version, version_of

__all__ = ["Digests", "digest"]

_EXECUTED = re.compile(rb"^[0-9a-f]+-[0-9a-f]+ ..x. [0-9a-f]+ [0-9a-f:]+ \d+ +(/.*)$", re.MULTILINE)
_ROOM = 1 << 20  # bytes read at once
_known: dict[Version, bytes] = {}  # of all checkpoints of this process: crtool run makes many of one tree


class Digests:
    """Makes the digests of what some processes execute, in a thread of its own."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = pids
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="digests", daemon=True)
        start(self._thread)

    def found(self) -> dict[Version, bytes]:
        """Waits for them, and raises what has kept the thread from making them."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return _known

    def _work(self) -> None:
        try:
            self._make()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._error = error

    def _make(self) -> None:
        names: set[bytes] = set()
        for pid in self._pids:
            with suppress(TargetError, OSError):  # it has ended
                names.update(_EXECUTED.findall(read(pid, "maps")))
        for name in sorted(names):
            with suppress(OSError):  # replaced, or not to be read: then by whom it is told are its times and its inode
                _note(name)


def _note(name: bytes) -> None:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        version = version_of(os.fstat(fd))
        if version not in _known:
            made = digest(fd)
            if version_of(os.fstat(fd)) == version:  # nobody has written to it meanwhile
                _known[version] = made
    finally:
        os.close(fd)


def digest(fd: int) -> bytes:
    """The SHA-256 of a file, open for reading."""
    hasher = sha256()
    room = bytearray(_ROOM)
    at = 0
    with memoryview(room) as view:
        while got := os.preadv(fd, [view], at):
            hasher.update(view[:got])
            at += got
    return hasher.digest()
