"""Starting a command with the PIDs asked for: the story of ``crtool eclone``.

The child is born by :mod:`crtool.kernel.eclone`, arranges its namespaces, and executes the command. What goes wrong in
it before that reaches the parent through a pipe that the execution closes, so that an error of crtool's is never taken
for a status of the command's. The parent waits, passes signals on, and learns how the command has ended.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

from crtool.abi import clone as abi
from crtool.engine.attend import attend, signals_held
from crtool.errors import CrtoolError, EnvironmentDiffers, InternalError, NotFound, UsageError
from crtool.kernel import mount
from crtool.kernel.eclone import CloneArgs, bear, request_of
from crtool.kernel.eclone_request import EcloneRequest
from crtool.kernel.interruption import nothing
from crtool.kernel.ns_last_pid import is_taken
from crtool.record import replace
from crtool.tree.walk import bearer

__all__ = ["NAMESPACES", "begin", "start"]

NAMESPACES = {
    "pid": abi.CLONE_NEWPID,
    "user": abi.CLONE_NEWUSER,
    "net": abi.CLONE_NEWNET,
    "uts": abi.CLONE_NEWUTS,
    "ipc": abi.CLONE_NEWIPC,
    "mnt": abi.CLONE_NEWNS,
    "cgroup": abi.CLONE_NEWCGROUP,
    "time": abi.CLONE_NEWTIME,
}
"""Flag by name in /proc/PID/ns."""

# Younger than eclone(), which knew their bits as something else; the request that it makes takes them.
_YOUNG = abi.CLONE_NEWCGROUP | abi.CLONE_NEWTIME
_REMEDIES = {
    errno.EACCES: "make it executable, with chmod +x, or name its interpreter before it",
    errno.ENOEXEC: "name its interpreter before it, or in its first line",
}
_FAILURES: dict[int, type[CrtoolError]] = {
    error.status: error for error in (NotFound, EnvironmentDiffers, InternalError)
}


def start(
    command: Sequence[str],
    pids: Sequence[int] = (),
    namespaces: Sequence[str] = (),
    done: Callable[[], None] = nothing,
) -> int:
    """Runs *command* with *pids* (outermost namespace first, 0 for any) in new *namespaces*; returns its wait status.

    *done* is called when it has ended, while signals are still held.

    Raises NotFound if there is no such command, and EnvironmentDiffers if it cannot be started like that here.
    """
    flags = sum(NAMESPACES[name] for name in set(namespaces))
    with signals_held() as before:
        pid = begin(command, before, pids, namespaces)
        status = attend(pid, first_of_namespace=bool(flags & abi.CLONE_NEWPID))
        done()
        return status


def begin(
    command: Sequence[str],
    mask: set[signal.Signals],
    pids: Sequence[int] = (),
    namespaces: Sequence[str] = (),
    *,
    own_group: bool = False,
) -> int:
    """Starts *command* as :func:`start` does, with the signals of *mask* blocked; returns its PID once it runs.

    *own_group*: it leads a process group of its own.
    """
    if not command:
        raise UsageError("which command is to be started?", "give it after --")
    for name in namespaces:
        if not os.path.lexists(f"/proc/self/ns/{name}"):
            raise EnvironmentDiffers(f"this kernel has no {name} namespaces", f"leave out the new {name} namespace")
    pid, trouble = _bear(command, pids, sum(NAMESPACES[name] for name in set(namespaces)), mask, own_group)
    if not trouble:
        return pid
    os.waitpid(pid, 0)
    status, message, remedy = trouble.split("\0")
    raise _FAILURES[int(status)](message, remedy or None)


def _bear(
    command: Sequence[str], pids: Sequence[int], flags: int, mask: set[signal.Signals], own_group: bool
) -> tuple[int, str]:
    """The child's PID, and what it says has gone wrong before the command was executed."""
    user, group = os.geteuid(), os.getegid()
    report, failed = os.pipe()
    try:
        try:
            request = request_of(signal.SIGCHLD | flags & ~_YOUNG, CloneArgs(), None, pids)
            request = replace(request, flags=request.flags | flags)
            pid = bear(request)
        except OSError as error:
            raise _cannot_be_born(error, pids, flags) from None
        if pid == 0:
            if own_group:
                os.setpgid(0, 0)
            _become(command, flags, user, group, mask, failed)
    finally:
        os.close(failed)
    with open(report, "rb") as file:
        return pid, file.read().decode("utf-8", "surrogateescape")


def _cannot_be_born(error: OSError, pids: Sequence[int], flags: int) -> EnvironmentDiffers:
    message = (error.strerror or str(error)).removeprefix("eclone: ")
    named = EcloneRequest(flags, pids=tuple(pids)).named
    match error.errno:
        case errno.EBUSY:
            # Who has a number in an outer namespace cannot be seen from here.
            if named[-1] and is_taken(named[-1]):
                message = f"PID {named[-1]} {bearer(named[-1])}"
            return EnvironmentDiffers(message, "choose another one, or a new PID namespace: --newpid")
        case errno.EPERM if named or pids:
            return EnvironmentDiffers(
                message, "run it as root, or let crtool eclone --newuser --newpid run it, where every PID is free"
            )
        case errno.EPERM:
            return EnvironmentDiffers("new namespaces are not permitted here", "run it as root, or try --newuser")
        case errno.ENOSPC:
            return EnvironmentDiffers(
                "the limit of namespaces is reached, or nesting is too deep", "see /proc/sys/user/max_*_namespaces"
            )
        case errno.EINVAL:
            return EnvironmentDiffers(message, "crtool eclone --help tells which PIDs and namespaces there can be")
        case _:
            return EnvironmentDiffers(message, "crtool check tells what this machine can do")


class _Trouble(Exception):
    """What the child could not do; *status*, cause and remedy go to the parent."""

    def __init__(self, status: int, message: str, remedy: str = "") -> None:
        super().__init__(f"{status}\0{message}\0{remedy}")


def _become(
    command: Sequence[str], flags: int, user: int, group: int, mask: set[signal.Signals], failed: int
) -> NoReturn:
    """The rest of the child's life in crtool. Nothing leaves this function but by exec or exit."""
    try:
        if flags & abi.CLONE_NEWUSER:
            _map_to_root(user, group)
        if flags & abi.CLONE_NEWNS:
            _arrange_mounts(new_proc=bool(flags & abi.CLONE_NEWPID))
        # Python ignores these two for itself; handlers end with the execution, but what is ignored stays so.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _execute(command)
    except BaseException as error:  # noqa: BLE001 - also KeyboardInterrupt: the parent's story is not ours
        message = str(error) if isinstance(error, _Trouble) else f"{InternalError.status}\0{error!r}\0"
        os.write(failed, message.encode("utf-8", "surrogateescape"))
    finally:
        os._exit(InternalError.status)


def _map_to_root(user: int, group: int) -> None:
    """Makes the caller root of the new user namespace. Without privilege its groups have to be frozen for that."""
    try:
        for name, content in (("setgroups", "deny"), ("uid_map", f"0 {user} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "wb") as file:
                file.write(content.encode())
    except OSError as error:
        why = f"the new user namespace cannot be given its user: {error.strerror}"
        raise _Trouble(EnvironmentDiffers.status, why, "see user_namespaces(7)") from None


def _arrange_mounts(*, new_proc: bool) -> None:
    try:
        mount.make_private()
        if new_proc:
            mount.mount_proc()
    except OSError as error:
        remedy = "without the new mount namespace, /proc stays that of the old PID namespace"
        why = f"the /proc of the new PID namespace cannot be mounted: {os.strerror(error.errno or 0)}"
        raise _Trouble(EnvironmentDiffers.status, why, remedy) from None


def _execute(command: Sequence[str]) -> NoReturn:
    try:
        os.execvp(command[0], list(command))
    except FileNotFoundError:
        raise _Trouble(NotFound.status, f"{command[0]}: command not found", "see its name and PATH") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        remedy = _REMEDIES.get(getattr(error, "errno", None) or 0, "")
        raise _Trouble(EnvironmentDiffers.status, f"{command[0]} cannot be executed: {why}", remedy) from None
