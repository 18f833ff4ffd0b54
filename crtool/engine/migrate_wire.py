"""What the two ends of a migration say to each other, through the pipes of ssh(1).

This end sends frames: the length as four bytes, then so many bytes. First come those of the image, then an empty one,
then one word. The other end answers with lines, each a JSON object of one key:

    {"hello": 1}            it is there; the number is that of this protocol
    {"ready": 4711}         everything is restored and waits for the word "go"
    {"running": {…}}        it runs, as a RestartResult
    {"failed": {…}}         nothing is left there: status, message, remedy

Without the word, whatever is the reason, the other end ends what it has restored.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from crtool.errors import (
    CrtoolError,
    EnvironmentDiffers,
    ImageError,
    InternalError,
    NotFound,
    TargetError,
    TimeoutExpired,
    UsageError,
)
from crtool.image.place import write_all
from crtool.kernel.interruption import start

__all__ = ["GO", "PROTOCOL", "Incoming", "failure", "frame", "said", "say"]

PROTOCOL = 1
GO = b"go"
_LENGTH = struct.Struct(">I")
# One frame is a buffer of the writer, 1 MiB, or all records of the image; what announces more is not ours.
_LONGEST = 1 << 30
_LONGEST_LINE = 1 << 20
_CLASSES: dict[int, type[CrtoolError]] = {
    error.status: error
    for error in (UsageError, TargetError, ImageError, TimeoutExpired, InternalError, EnvironmentDiffers, NotFound)
}


def _is_result(value: Any) -> bool:
    """Whether *value* has what is used of a RestartResult."""
    return (
        isinstance(value, dict)
        and type(value.get("pid")) is int
        and type(value.get("pidns")) is bool
        and isinstance(value.get("reason"), str | None)
        and isinstance(value.get("warnings"), list)
        and all(isinstance(line, str) for line in value["warnings"])
    )


def _is_failure(value: Any) -> bool:
    """Whether *value* tells of a CrtoolError."""
    return (
        isinstance(value, dict)
        and type(value.get("status")) is int
        and isinstance(value.get("message"), str)
        and isinstance(value.get("remedy"), str | None)
    )


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "hello": lambda value: type(value) is int,
    "ready": lambda value: type(value) is int,
    "running": _is_result,
    "failed": _is_failure,
}


def frame(fd: int, data: memoryview | bytes, name: str) -> None:
    """Sends one frame."""
    write_all(fd, _LENGTH.pack(len(data)), name)
    write_all(fd, data, name)


def say(fd: int, key: str, value: Any) -> None:
    """Sends one line."""
    write_all(fd, json.dumps({key: value}).encode() + b"\n", "standard output")


def said(fd: int) -> tuple[str, Any]:
    """The next line; ("", None) when there is none any more, or something else than a line of ours."""
    line = bytearray()
    while not line.endswith(b"\n"):
        try:
            byte = os.read(fd, 1)
        except OSError:
            byte = b""
        if not byte or len(line) > _LONGEST_LINE:
            return "", None
        line += byte
    try:
        ((key, value),) = json.loads(line).items()
    except (ValueError, AttributeError, RecursionError):
        return "", None
    return (key, value) if key in _SHAPES and _SHAPES[key](value) else ("", None)


def failure(host: str, value: Any) -> CrtoolError:
    """The error that {"failed": value} tells of."""
    return _CLASSES.get(value["status"], InternalError)(f"{host}: {value['message']}", value.get("remedy"))


class Incoming:
    """Frames as they come from *fd*: the image goes on through a pipe, what follows is to be asked for."""

    def __init__(self, fd: int) -> None:
        self.image, self._pipe = os.pipe2(os.O_CLOEXEC)
        self._fd = fd
        self._words: SimpleQueue[bytes] = SimpleQueue()
        start(Thread(target=self._work, name="crtool-wire", daemon=True))

    def word(self) -> bytes:
        """Waits for the next word; empty if the connection has ended."""
        return self._words.get()

    def _work(self) -> None:
        buffer = memoryview(bytearray(1 << 20))
        try:
            with open(self._pipe, "wb", buffering=0) as pipe:
                while length := self._length():
                    while length:
                        if not (got := os.readv(self._fd, [buffer[:length]])):
                            return
                        write_all(pipe.fileno(), buffer[:got], "the image")
                        length -= got
            while length := self._length():
                self._words.put(os.read(self._fd, min(length, len(buffer))))
        except (OSError, CrtoolError):
            pass  # the reader has seen enough, or the connection broke
        finally:
            self._words.put(b"")

    def _length(self) -> int:
        """That of the next frame; 0 at the end of the image, or of the connection."""
        head = b""
        while len(head) < _LENGTH.size:
            if not (more := os.read(self._fd, _LENGTH.size - len(head))):
                return 0
            head += more
        length: int = _LENGTH.unpack(head)[0]
        return length if length <= _LONGEST else 0
