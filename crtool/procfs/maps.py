"""/proc/PID/maps: the mappings of an address space.

Spec: proc_pid_maps(5); show_map_vma() in the kernel's fs/proc/task_mmu.c. A line reads

    55ce52c89000-55ce52c8b000 r--p 00000000 fe:00 260131                     /usr/bin/cat

Two things the text cannot tell apart, because the kernel escapes only the newline, and no backslash: a file whose
name holds a newline and one whose name holds the four characters ``\\012``; a deleted file and a living one whose
name ends in `` (deleted)``. The link in /proc/PID/map_files (:mod:`.map_files`) is exact about the first, its
st_nlink about the second.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from crtool.procfs.error import ProcfsError
from crtool.record import dataclass

__all__ = ["KERNEL_MADE", "Mapping", "Met", "of_brothers", "parse", "parse_line", "without"]

P = ParamSpec("P")
R = TypeVar("R")

# Mappings that the kernel makes for every process by itself; no program can map them.
KERNEL_MADE = frozenset((b"[vdso]", b"[vvar]", b"[vvar_vclock]", b"[vsyscall]"))

_DELETED = b" (deleted)"

_PERMISSIONS = {
    f"{r}{w}{x}{s}".encode(): (r == "r", w == "w", x == "x", s == "s")
    for r, w, x, s in itertools.product("r-", "w-", "x-", "sp")
}


@dataclass(frozen=True)
class Mapping:
    """One line: one VMA."""

    start: int  # address of the first byte
    end: int  # address behind the last byte
    read: bool
    write: bool
    execute: bool
    shared: bool  # MAP_SHARED, else MAP_PRIVATE
    offset: int  # bytes into the file
    major: int  # device of the file, 0:0 for none; of btrfs and overlays not always that of stat(2)
    minor: int
    inode: int  # 0 for none; System V shared memory with id 0 has an inode 0 too
    name: bytes  # path of the file, or [heap], [stack], [vdso], [anon:NAME]…; empty for anonymous memory
    deleted: bool  # the file has no name any more

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.end - self.start

    @property
    def is_special(self) -> bool:
        """Whether the kernel gives it a name in brackets: [heap], [stack], [vdso], [anon:NAME], [anon_shmem:NAME]…"""
        return self.name[:1] == b"["

    @property
    def is_kernel_made(self) -> bool:
        """Whether it is of those that every process is given by the kernel: vDSO and its data, vsyscall page."""
        return self.name in KERNEL_MADE

    @property
    def label(self) -> bytes:
        """The name that the program gave to its anonymous memory by PR_SET_VMA_ANON_NAME; empty for none."""
        for prefix in (b"[anon:", b"[anon_shmem:"):
            if self.name.startswith(prefix):
                return self.name[len(prefix) : -1]
        return b""


# A Mapping in the making, not yet frozen, which is filled in two thirds of the time and then becomes one: a process may
# have tens of thousands of mappings that are read while it stands still.
_DRAFT: Any = dataclass(type("_DRAFT", (), {"__annotations__": Mapping.__annotations__}))


# Lines parsed lately. A tree looked at while it runs, and again while it stands still, has mostly the same ones,
# and so have its processes among themselves.
_lately: dict[bytes, Mapping] = {}
_MANY = 1 << 15  # lines, some 10 MiB


@lru_cache(maxsize=4)  # children that were forked and have not done much since have the text of their brothers
def parse(data: bytes) -> tuple[Mapping, ...]:
    """The mappings in the order of their addresses; ProcfsError with the line that has another form."""
    # split() rather than splitlines(): a file name may hold a carriage return.
    lines = data.split(b"\n")
    if not lines[-1]:
        del lines[-1]
    met = Met()
    if len(_lately) > _MANY:
        _lately.clear()
    return tuple([_lately.get(line) or _parse_new(line, met) for line in lines])


def _parse_new(line: bytes, met: Met) -> Mapping:
    _lately[line] = mapping = parse_line(line, met)
    return mapping


def of_brothers(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[Any, P], R]:
    """Lets *function*, of mappings, keep its last answer: brothers who have the same get what :func:`parse` has given
    for the first of them. Not for what is asked of a process.
    """
    last: list[Any] = [None, None, None, None]

    def answer(maps: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if not (maps is last[0] and isinstance(maps, tuple) and (args, kwargs) == (last[1], last[2])):
            last[:] = maps, args, kwargs, function(maps, *args, **kwargs)
        found: R = last[3]
        return found

    answer.__doc__ = function.__doc__
    return answer


def without(data: bytes, start: int, end: int) -> bytes:
    """The text without the mappings that begin from *start* to below *end*, one of them at *start*.

    Where only these are new, what is left is a text that :func:`parse` knows.
    """
    if (first := (b"\n" + data).find(b"\n%08x-" % start)) < 0:  # as show_vma_header_prefix() prints it
        return data
    behind = first
    while (dash := data.find(b"-", behind)) >= 0 and int(data[behind:dash], 16) < end:
        behind = data.index(b"\n", dash) + 1
    return data[:first] + data[behind:]


class Met:
    """Devices and names met so far in one file: most mappings share them with another one."""

    __slots__ = ("devices", "names")

    def __init__(self) -> None:
        self.devices: dict[bytes, tuple[int, int]] = {}
        self.names: dict[bytes, tuple[bytes, bool]] = {b"": (b"", False)}


def _device(word: bytes) -> tuple[int, int]:
    major, minor = word.split(b":")
    return int(major, 16), int(minor, 16)


def _name(text: bytes) -> tuple[bytes, bool]:
    deleted = text.endswith(_DELETED)
    if deleted:
        text = text[: -len(_DELETED)]
    return text.replace(b"\\012", b"\n"), deleted


def parse_line(line: bytes, met: Met) -> Mapping:
    """One line, without its newline; *met* belongs to the file that is being parsed."""
    try:
        words = line.split(None, 5)
        text = words.pop() if len(words) > 5 else b""
        span, permissions, offset, dev, inode = words
        start, end = span.split(b"-")
        if (name := met.names.get(text)) is None:
            met.names[text] = name = _name(text)
        if (device := met.devices.get(dev)) is None:
            met.devices[dev] = device = _device(dev)
        draft = _DRAFT(
            int(start, 16),
            int(end, 16),
            *_PERMISSIONS[permissions],
            int(offset, 16),
            *device,
            int(inode),
            *name,
        )
    except (ValueError, KeyError):
        raise ProcfsError("maps", line) from None
    draft.__class__ = Mapping
    return cast("Mapping", draft)
