"""/proc/sys/kernel/ns_last_pid (since 3.3): choosing a PID where clone3 cannot, by saying which one was the last.

The next birth gets the lowest free number above the one that was written. Anybody's birth: in between another process
of the namespace may fork, and then the child has another number, silently. So every birth is verified, with the child
held at a gate until its number is known; a wrong one is ended and waited for, and the next one tried.

It reaches one level, the PID namespace of the caller. It needs the same capabilities as set_tid, and a /proc/sys that
may be written, which most containers lack.
"""

from __future__ import annotations

import ctypes
import errno
import os
import time
from contextlib import suppress

from crtool.abi.clone import CLONE_FILES, CLONE_NEWTIME, CLONE_PARENT, CLONE_VFORK
from crtool.kernel.clone import clone_call
from crtool.kernel.eclone_limits import pid_max
from crtool.kernel.eclone_request import EcloneRequest
from crtool.kernel.fork import fork_by
from crtool.kernel.syscall import RawCall, prepared
from crtool.kernel.wait import WALL

__all__ = ["answers", "bear", "is_taken", "reason_against", "taken_numbers"]

PATH = "/proc/sys/kernel/ns_last_pid"
_AT_FIRST = 0.2  # seconds in which a neighbour that happens to pass by when we begin has gone again
_PATIENCE = 10.0  # seconds of trying against a noisy neighbour; one try takes well under a millisecond
_PASSING = 3.0  # seconds that a short command may live, on a busy machine
_IMPOSSIBLE = {
    CLONE_FILES: "CLONE_FILES: the gate that the child waits at would be closed for both",
    CLONE_VFORK: "CLONE_VFORK: the caller would wait for a child that waits for it",
    CLONE_PARENT: "CLONE_PARENT: a child with a wrong number could not be waited for",
    CLONE_NEWTIME: "CLONE_NEWTIME: clone(2) does not know it",
}


def reason_against(request: EcloneRequest) -> str | None:
    """Why *request* cannot be met in this way, in words; None if it may be tried."""
    if len(request.named) > 1:
        return f"{PATH} reaches one PID namespace, but PIDs of {len(request.named)} are asked for"
    for flag, why in _IMPOSSIBLE.items():
        if request.flags & flag:
            return f"{PATH} does not go together with {why}"
    own, children = (os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "pid_for_children"))
    if own != children:
        return f"{PATH} is that of the caller's PID namespace, and the child would be born in another one"
    try:
        os.close(os.open(PATH, os.O_WRONLY | os.O_CLOEXEC))
    except OSError as error:
        return f"{PATH} cannot be written ({error.strerror})"
    return None


def bear(request: EcloneRequest) -> int:
    """The birth of a child with the one PID that *request* names; returns it, and 0 in the child.

    Raises OSError: EEXIST if the number is taken, EINVAL if it is out of range, EAGAIN if others were always faster.
    The caller gets the exit signal of every child that was born with a wrong number, too.
    """
    (wanted,) = request.named
    if not 1 <= wanted < pid_max():
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    deadline = time.monotonic() + _PATIENCE
    last = f"{wanted - 1}".encode()
    fd = os.open(PATH, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(fd, last, 0)  # what goes wrong here is an exception; the calls below are only known by their outcome
        buffer = ctypes.create_string_buffer(last, len(last))
        write = prepared("pwrite64", fd, ctypes.addressof(buffer), len(last), 0)
        patience = _AT_FIRST
        while True:
            if _stays_taken(wanted, patience):
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
            patience = _PASSING
            if (pid := _try(request, write, wanted)) in (0, wanted):
                return pid
            if time.monotonic() > deadline:
                raise OSError(errno.EAGAIN, f"other processes always took PID {wanted} first")
    finally:
        os.close(fd)


def _try(request: EcloneRequest, write: RawCall, wanted: int) -> int:
    """One birth: the child's PID; 0 in the child if it is the wanted one. Another child is gone on return."""
    gate, opener = os.pipe()
    pid = None
    try:
        pid = fork_by(clone_call(request.clone3()), (write,))
        if pid == 0:
            os.close(opener)  # so that the read ends, with nothing, should the parent die
            if os.read(gate, 1) != b"!":
                os._exit(0)
        elif pid == wanted:
            os.write(opener, b"!")
        return pid
    finally:
        os.close(gate)
        if pid != 0:
            os.close(opener)
            if pid is not None and pid != wanted:
                with suppress(ChildProcessError):  # SIGCHLD is ignored: the kernel has waited for it
                    os.waitpid(pid, WALL)


def _stays_taken(number: int, patience: float) -> bool:
    """Whether *number* is taken for longer than *patience* seconds."""
    deadline = time.monotonic() + patience
    while is_taken(number):
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.001)
    return False


def is_taken(number: int) -> bool:
    """Whether a process, thread, zombie, group or session of this PID namespace bears *number*."""
    return bool(taken_numbers({number}))


def taken_numbers(numbers: set[int]) -> set[int]:
    """Those of *numbers* that a process, thread, zombie, group or session of this PID namespace bears."""
    taken = {number for number in numbers if answers(number)}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                taken.add(os.getsid(int(name)))
    return taken & numbers


def answers(number: int) -> bool:
    """Whether a process, thread or group could be sent a signal."""
    for ask in (os.kill, os.killpg):
        try:
            ask(number, 0)
        except ProcessLookupError:
            continue
        except PermissionError:
            pass
        return True
    return False
