"""What has to go if crtool is killed before its work is done: names in folders, and System V objects.

The kernel keeps these whatever becomes of who made them. So a child of crtool's (:mod:`crtool.kernel.outliving`) is
told of each before it is there, and takes it away if crtool dies. It is born when there is something to be told.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from crtool.kernel import sysvipc
from crtool.kernel.outliving import Outliving

__all__ = ["Sweeper"]

_LONGEST = 4096 + 16  # bytes of a path (PATH_MAX), and what is said of it
_NEW, _KEPT, _ALL_IS_WELL = b"+", b"-", b"."

_Kind = Literal["file", "folder", "shm", "sem", "msg"]


class Sweeper:
    """Knows what has to be taken away. To be closed when crtool has done that itself, or all of it may stay."""

    def __init__(self) -> None:
        self._child: Outliving | None = None
        self._objects: list[bytes] = []

    def announce(self, kind: _Kind, name: bytes | int) -> None:
        """That a path, or the object with an id in the IPC namespace that crtool began in, is about to be made."""
        if self._child is None:
            self._child = Outliving(_sweep)
        text = _text(kind, name)
        if kind not in ("file", "folder"):
            self._objects.append(text)
        self._child.line.send(_NEW + text)

    def spare(self, kind: _Kind, name: bytes | int) -> None:
        """What was announced belongs to somebody else, or has gone."""
        assert self._child is not None
        text = _text(kind, name)
        if text in self._objects:
            self._objects.remove(text)
        self._child.line.send(_KEPT + text)

    def spare_objects(self) -> None:
        """From here on all objects stay, since those who use them do."""
        while self._objects:
            assert self._child is not None
            self._child.line.send(_KEPT + self._objects.pop())

    def close(self) -> None:
        """All is well."""
        if self._child is not None:
            child, self._child = self._child, None
            with suppress(OSError):  # somebody has killed it
                child.line.send(_ALL_IS_WELL)
            child.close()


def _text(kind: _Kind, name: bytes | int) -> bytes:
    return kind.encode() + b" " + (b"%d" % name if isinstance(name, int) else name)


def _sweep(line: socket.socket, await_end: Callable[[], None]) -> None:
    """In the child."""
    found: dict[bytes, None] = {}
    while (said := line.recv(_LONGEST)) != _ALL_IS_WELL:
        if not said:
            break
        if said[:1] == _NEW:
            found[said[1:]] = None
        else:
            found.pop(said[1:], None)
    else:
        return
    await_end()
    for text in found:
        kind, _, name = text.partition(b" ")
        with suppress(OSError):
            if kind == b"folder":
                shutil.rmtree(name, ignore_errors=True)
            elif kind == b"file":
                os.unlink(name)
            else:
                sysvipc.remove(kind.decode(), int(name))  # type: ignore[arg-type]
