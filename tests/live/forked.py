"""Functions that are run in a child of the test, which may be spoilt: other users, namespaces, filters, taken PIDs."""

from __future__ import annotations

import ctypes
import errno
import os
import pickle
import random
import signal
import struct
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from crtool.abi.clone import CLONE_NEWPID
from crtool.abi.seccomp import SOCK_FILTER, SOCK_FPROG
from crtool.kernel.eclone import CloneArgs, eclone
from crtool.kernel.ns_last_pid import is_taken
from crtool.kernel.syscall import syscall

CLONE3 = 435
WALL = 0x40000000


def in_child(function: Callable[[], Any], bear: Callable[[], int] = os.fork) -> Any:
    """What *function* returns in a child that *bear* makes; its exceptions are raised here. Nothing is left."""
    reader, writer = os.pipe()
    try:
        pid = bear()
    except BaseException:
        os.close(reader)
        os.close(writer)
        raise
    if pid == 0:
        try:
            os.close(reader)
            try:
                answer = (True, function())
            except BaseException as error:  # noqa: BLE001 - told to the parent
                answer = (False, error if isinstance(error, OSError) else traceback.format_exc())
            with os.fdopen(writer, "wb") as file:
                pickle.dump(answer, file)
        finally:
            os._exit(0)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as file:
            content = file.read()
    finally:
        with suppress(ChildProcessError):
            os.waitpid(pid, WALL)
    good, value = pickle.loads(content)
    if good:
        return value
    if isinstance(value, OSError):
        raise value
    raise AssertionError(value)


def born(*pids: int, flags: int = 0, args: CloneArgs | None = None) -> tuple[int, ...]:
    """The numbers of a child that eclone has made: as its parent sees it, and as it sees itself."""
    outside = []

    def bear() -> int:
        pid = eclone(signal.SIGCHLD | flags, args or CloneArgs(), None, pids)
        outside.append(pid)
        return pid

    inside = in_child(os.getpid, bear)
    return outside[0], inside


@contextmanager
def holding(*pids: int, flags: int = 0) -> Iterator[int]:
    """A child with these PIDs, for as long as the block lasts."""
    gate, opener = os.pipe()
    pid = eclone(signal.SIGCHLD | flags, CloneArgs(), None, pids)
    if pid == 0:
        os.close(opener)
        os.read(gate, 1)
        os._exit(0)
    try:
        yield pid
    finally:
        os.close(gate)
        os.close(opener)
        with suppress(ChildProcessError):
            os.waitpid(pid, WALL)


def free_pid() -> int:
    """A number that was free a moment ago, far above where the kernel chooses next, and of other workers' choices."""
    with open("/proc/sys/kernel/pid_max") as file:
        limit = int(file.read())
    with open("/proc/sys/kernel/ns_last_pid") as file:
        last = int(file.read())
    choose = random.SystemRandom()  # tests seed the common one
    while True:
        number = (last + choose.randrange(limit // 4, limit)) % limit
        if number > 300 and not is_taken(number):
            return number


def become_nobody() -> None:
    """Gives up root, for good."""
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    syscall("prctl", 4, 1)  # PR_SET_DUMPABLE: as after an execution, /proc/self belongs to the new user


def map_to_root(user: int, group: int) -> None:
    """Gives a new user namespace its root."""
    for name, content in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(content)


def hide_clone3(answer: int = errno.ENOSYS) -> None:
    """Installs a seccomp filter in this process, for good, as containers have it: clone3 is answered by *answer*."""
    load_number = (0x20, 0, 0, 0)  # BPF_LD | BPF_W | BPF_ABS: seccomp_data.nr
    unless_clone3 = (0x15, 0, 1, CLONE3)  # BPF_JMP | BPF_JEQ | BPF_K
    instructions = (load_number, unless_clone3, (0x06, 0, 0, 0x50000 | answer), (0x06, 0, 0, 0x7FFF0000))
    program = ctypes.create_string_buffer(b"".join(SOCK_FILTER.pack(*words) for words in instructions))
    head = ctypes.create_string_buffer(SOCK_FPROG.pack(len(instructions), ctypes.addressof(program)))
    syscall("prctl", 38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    syscall("prctl", 22, 2, ctypes.addressof(head), 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def drop_capability(*numbers: int) -> None:
    """Takes capabilities out of the effective and permitted sets of this process."""
    header = ctypes.create_string_buffer(struct.pack("<Ii", 0x20080522, 0))
    data = (ctypes.c_uint32 * 6)()
    syscall("capget", ctypes.addressof(header), ctypes.addressof(data))
    for number in numbers:
        for which in (0, 1):
            data[number // 32 * 3 + which] &= ~(1 << number % 32)
    syscall("capset", ctypes.addressof(header), ctypes.addressof(data))


outermost = pytest.mark.machine("all levels of PID namespaces in sight")


def refused(flags: int, args: Any, size: int | None, pids: Any) -> tuple[int | None, str]:
    """Errno and words of a call of eclone that must fail."""
    with pytest.raises(OSError, match="eclone: ") as found:
        in_child(lambda: None, lambda: eclone(flags, args, size, pids))
    return found.value.errno, found.value.strerror


def nested(function: Callable[[], Any]) -> Any:
    """What *function* returns as the first process of a new PID namespace."""
    return in_child(function, lambda: eclone(signal.SIGCHLD | CLONE_NEWPID))
