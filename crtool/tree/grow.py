"""Growing the forest: the planner's steps, carried out with puppets.

Every process is born by the puppet of its creator and attached by the kernel before it runs an instruction. If a
step fails, the caller dies or kills what was born; PTRACE_O_EXITKILL makes sure of it either way.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from crtool.abi.termios import TIOCSCTTY
from crtool.errors import EnvironmentDiffers, PidTaken, RemoteCallError
from crtool.kernel.wait import WALL
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.puppet import last_pid
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn
from crtool.puppet.burial import await_end
from crtool.puppet.nest import enter_pid_namespace, return_to_pid_namespace
from crtool.resources import sigaction
from crtool.tree.plan_steps import Born, Caller, Dies, JoinGroup, NewSession, Plan, Reaps, Subreaper

__all__ = ["RootBirth", "grow", "kill_all"]

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 0.5  # seconds
_WALL = WALL


RootBirth = Callable[[Born], Newborn]
"""The birth of the root, by crtool or on its behalf; OSError or RemoteCallError as of clone3."""


def grow(
    plan: Plan,
    bear_root: RootBirth,
    who_has: Callable[[int], str],
    terminals: Mapping[int, int] | None = None,
    before_birth: Callable[[Born, Mapping[int, Newborn]], None] | None = None,
) -> dict[int, Newborn]:
    """Carries out *plan*; returns the puppets of all that are in the image, by the PID that they had.

    *who_has* tells in words who bears a number that was to be taken. *terminals*: by session, a descriptor, which all
    inherit, of its controlling terminal. Its leader takes it at once, since births only inherit what is there.
    *before_birth* may prepare the creator, one of the puppets so far, for what the child inherits.

    Where the root lives in a PID namespace of its own, the numbers of the plan are those in there; the puppets know
    themselves by the numbers of crtool's.
    """
    puppets: dict[int, Newborn] = {}
    try:
        for step in plan.steps:
            match step:
                case Born():
                    if before_birth is not None:
                        before_birth(step, puppets)
                    puppets[step.pid] = _born(step, puppets, bear_root, who_has)
                case NewSession(pid):
                    puppets[pid].call("setsid")
                    if terminals and pid in terminals:
                        puppets[pid].call("ioctl", terminals[pid], TIOCSCTTY, 0)
                case JoinGroup(pid, pgid, None):
                    _join(puppets[pid], pgid)
                case JoinGroup(pid, pgid, by) if by is not None:
                    _join_nested(puppets[by.pid], by, own=pid == pgid)
                case Subreaper(pid, on):
                    puppets[pid].call("prctl", _PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)
                case Dies(pid):
                    _end(puppets.pop(pid))
                case Reaps(parent, pid, seen):
                    puppets[parent].call("wait4", seen or pid, 0, _WALL, 0)
    except BaseException:
        kill_all(puppets)
        raise
    return puppets


def _join(puppet: Newborn, group: int) -> None:
    """Lets *puppet* join, or make, a group; 0 is crtool's own, which has no number in another PID namespace."""
    if group:
        puppet.call("setpgid", 0, group)
    elif os.getpgid(puppet.pid) != os.getpgrp():
        puppet.call("setpgid", 0, os.getpgrp())


def _join_nested(caller: Newborn, by: Caller, *, own: bool) -> None:
    """The same across PID namespaces; *own*: the group is that of the one who joins it."""
    caller.call("setpgid", by.member, by.member if own else by.group or os.getpgrp())


def _born(step: Born, puppets: dict[int, Newborn], bear_root: RootBirth, who_has: Callable[[int], str]) -> Newborn:
    """One birth. A number that is taken gets half a second to become free.

    A dead thread keeps its TID for a moment, and a dead process its PID, its group and its session until its parent has
    waited for it: so it is right after the program was killed.
    """
    until = time.monotonic() + _PATIENCE
    with _naming(step.pids, who_has):
        while True:
            try:
                puppet = _bear(step, puppets, bear_root)
                if _has_its_number(puppet, step):
                    return puppet
                _bury(puppet, puppets.get(step.parent))
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            except (OSError, RemoteCallError) as error:
                if error.errno != errno.EEXIST or time.monotonic() > until:
                    raise
            time.sleep(0.005)


def _has_its_number(puppet: Newborn, step: Born) -> bool:
    """Whether the newborn has the number that it was to have; if that cannot be found out, it is ended."""
    if not last_pid.needed():
        return True
    try:
        return last_pid.has_pids(puppet.tid, step.pids)
    except BaseException:
        kill_all({step.pid: puppet})
        raise


def _bear(step: Born, puppets: dict[int, Newborn], bear_root: RootBirth) -> Newborn:
    if step.creator == 0:
        root = bear_root(step)
        try:
            batch = Batch()
            sigaction.reset(batch)  # all others inherit it
            root.run(batch)
        except BaseException:
            kill_all({step.pid: root})
            raise
        return root
    creator = puppets[step.creator]
    batch = Batch()
    exit_signal = 0 if step.sibling else step.exit_signal
    if step.enters:
        enter_pid_namespace(batch, step.enters)
    creator.clone(batch, step.flags, exit_signal, step.pids)
    if step.enters:
        return_to_pid_namespace(batch)
    creator.run(batch)
    newborn = Newborn.attached(creator.born[-1], creator, thread=False)
    creator.born.pop()
    return newborn


@contextmanager
def _naming(pids: Sequence[int], who_has: Callable[[int], str]) -> Iterator[None]:
    try:
        yield
    except (OSError, RemoteCallError) as error:
        if error.errno == errno.EEXIST:
            raise PidTaken(pids[0], who_has(pids[0])) from None
        if error.errno == errno.EPERM:
            raise EnvironmentDiffers(
                "PIDs may not be chosen: CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN) is missing", "run crtool as root"
            ) from None
        raise


def _bury(puppet: Newborn, parent: Newborn | None) -> None:
    """Ends somebody who was born with a wrong number."""
    number = status_file.later(read(puppet.pid, "status")).ns_pid[-1]
    _end(puppet)
    if parent is not None:
        parent.call("wait4", number, 0, _WALL, 0, must=False)


def _end(puppet: Newborn) -> None:
    os.kill(puppet.pid, signal.SIGKILL)
    os.waitpid(puppet.pid, _WALL)  # as its tracer; its parent can wait for it from now on
    puppet.close()


def kill_all(puppets: dict[int, Newborn]) -> None:
    """Ends everything that was born and waits for it, so that no zombie is left.

    To be called by a child subreaper: who is adopted when its parent dies is waited for twice, by its tracer and then
    as a child.
    """
    tids: list[int] = []
    pids = [puppet.pid for puppet in puppets.values()]
    pids += [tid for puppet in puppets.values() for tid in puppet.born]  # born, and nobody's charge yet
    for pid in pids:
        with suppress(FileNotFoundError):
            tids += sorted(map(int, os.listdir(f"/proc/{pid}/task")), key=lambda tid: tid != pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await_end(tids, pids, ours=True)
    for puppet in puppets.values():
        puppet.close()
