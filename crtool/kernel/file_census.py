"""All descriptors of a thread at one look: which open file each leads to, and what the kernel keeps of that.

A BPF iterator over open files writes down for each descriptor what /proc/PID/fdinfo says, and more: the address of the
open file (struct file), by which it is told apart from all others, and those of mount and dentry, by which
two open files are seen to be of one path. While the thread stands still nothing of that can become another thing's
address. A program may have thousands, for each of which /proc is asked three times otherwise.

Sources: seq_show() in the kernel's fs/proc/fd.c, struct file in include/linux/fs.h, struct fdtable in
include/linux/fdtable.h. It takes what :mod:`.bpf_iter` takes, and type information.
"""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from crtool.kernel import bpf_iter, btf, read_ahead
from crtool.kernel.bpf_iter import FILE, R1, R2, R6, R7, R8, R9, R10, Program

__all__ = ["FileCensus", "Standing", "prepare"]

_FUNCTION = "bpf_iter_task_file"
_STRUCTURES = (
    "file", "file_operations", "inode", "mount", "task_struct", "files_struct", "fdtable", "super_block",
    "backing_dev_info",
)  # fmt: skip
_WORD = 8
# What is written down for each descriptor: the parameters of _standing().
_ORDER = (
    "fd", "file", "mount", "dentry", "closing", "show", "locks", "owner", "position", "flags", "number", "inode",
    "signal", "mode", "pages", "usual",
)  # fmt: skip
_RECORD = struct.Struct("<8Qq7Q")


class Standing(NamedTuple):
    """How it stands with one descriptor."""

    fd: int
    file: int  # address of the open file description
    path: tuple[int, ...]  # equal for open files of one path that differ in nothing but what is said below
    flags: int  # as in fdinfo: with O_CLOEXEC if the descriptor has it
    position: int
    mount: int  # as in fdinfo: the mount's number
    inode: int  # … and that of the inode
    locked: bool  # fdinfo may have lines about locks
    tells: bool  # fdinfo may have lines of its kind
    owned: bool  # somebody may have been chosen whom it tells by a signal (F_SETOWN), or the signal


class FileCensus:
    """The program, loaded. OSError or KeyError if this kernel, or the caller's rights, do not give it."""

    def __init__(self) -> None:
        self._kept = read_ahead.prepare()
        types = btf.read((*_STRUCTURES, _FUNCTION))
        self._fd = bpf_iter.load(_program(types), types.function(_FUNCTION))

    def look(self, tid: int) -> list[Standing]:
        """The descriptors of thread *tid*, in order; raises OSError."""
        told = self._kept.told if self._kept is not None else (lambda _mode, _pages, _usual: 0)
        return [_standing(told, *words) for words in _RECORD.iter_unpack(bpf_iter.run(self._fd, tid=tid))]


def _standing(
    told: Callable[[int, int, int], int],
    fd: int, file: int, mount: int, dentry: int, closing: int, show: int, locks: int, owner: int, position: int,
    flags: int, number: int, inode: int, signal: int, mode: int, pages: int, usual: int,
) -> Standing:  # fmt: skip
    flags &= ~os.O_CLOEXEC  # of a description it means nothing: fdinfo shows that of the descriptor
    if closing >> (fd & 63) & 1:
        flags |= os.O_CLOEXEC
    advice = told(mode, pages, usual)  # of which only who may read is asked
    path = (mount, dentry, flags & (os.O_PATH | os.O_ACCMODE if advice else os.O_PATH), advice)
    return Standing(fd, file, path, flags, position, number, inode, locks != 0, show != 0, (owner | signal) != 0)


def _program(types: btf.Types) -> Program:
    def at(name: str, path: str) -> int:
        return types.member(name, path).offset

    program = Program.of_each(FILE)

    def keep(name: str, register: int = R1) -> None:
        program.store(R10, -_place(name), register)

    program.load_word(R1, R6, 16)
    keep("fd")
    keep("file", R7)
    program.load(R1, R7, at("file", "f_path.dentry"))
    keep("dentry")
    program.load_word(R1, R7, at("file", "f_flags"))
    keep("flags")
    program.load(R1, R7, at("file", "f_pos"))
    keep("position")
    program.load(R8, R7, at("file", "f_op"))
    program.load(R1, R8, at("file_operations", "show_fdinfo"))
    keep("show")
    program.load(R8, R7, at("file", "f_inode"))
    program.load(R1, R8, at("inode", "i_flctx"))
    keep("locks")
    program.load(R1, R8, at("inode", "i_ino"))
    keep("inode")
    program.load_word(R1, R7, at("file", "f_mode"))
    keep("mode")
    program.load_word(R1, R7, at("file", "f_ra.ra_pages"))
    keep("pages")
    program.load(R8, R8, at("inode", "i_sb"))
    program.load(R8, R8, at("super_block", "s_bdi"))
    program.load_word(R1, R8, at("backing_dev_info", "ra_pages"))
    keep("usual")
    program.put(R1, 0)
    keep("number")
    keep("signal")
    try:  # before it became a pointer: 1934b212615d ("file: reclaim 24 bytes from f_owner"), in v6.12
        pid, signal = at("file", "f_owner.pid"), at("file", "f_owner.signum")
    except KeyError:
        program.load(R1, R7, at("file", "f_owner"))
        keep("owner")
    else:
        program.load(R1, R7, pid)
        keep("owner")
        program.load_word(R1, R7, signal)
        keep("signal")
    program.load(R8, R7, at("file", "f_path.mnt"))
    keep("mount", R8)
    program.read_kernel(_place("number"), 4, R8, at("mount", "mnt_id") - at("mount", "mnt"))
    # The word of the bits FD_CLOEXEC in which that of this descriptor is.
    program.load(R8, R6, 8)
    program.end_if(R8, 0)
    for name, member in (("task_struct", "files"), ("files_struct", "fdt"), ("fdtable", "close_on_exec")):
        program.load(R8, R8, at(name, member))
        program.end_if(R8, 0)
    program.load_word(R2, R6, 16)
    program.shift_right(R2, 6)
    program.shift_left(R2, 3)
    program.add_register(R8, R2)
    program.read_kernel(_place("closing"), _WORD, R8)
    program.write(R9, _RECORD.size, _RECORD.size)
    program.end()
    return program


def _place(name: str) -> int:
    """How far below the end of the stack a word lies."""
    return (len(_ORDER) - _ORDER.index(name)) * _WORD


@functools.cache
def prepare(judge: Callable[[FileCensus], bool]) -> FileCensus | None:
    """Made once for the life of crtool, None if it cannot be, or if *judge* finds that it does not tell the truth."""
    with suppress(OSError, KeyError):
        if judge(census := FileCensus()):
            return census
    return None
