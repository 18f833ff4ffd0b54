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
from crtool.errors import EnvironmentDiffers, RemoteCallError
from crtool.kernel.wait import WALL
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn, Space, bear_root
from crtool.resources import sigaction
from crtool.tree.plan_steps import Born, Dies, JoinGroup, NewSession, Plan, Reaps, Subreaper

__all__ = ["grow", "kill_all"]

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE = 0.5  # seconds
_WALL = WALL


def grow(
    plan: Plan, space: Space, who_has: Callable[[int], str], terminals: Mapping[int, int] | None = None
) -> dict[int, Newborn]:
    """Carries out *plan*; returns the puppets of all that are in the image, by PID.

    *who_has* tells in words who bears a number that was to be taken. *terminals*: by session, a descriptor, which all
    inherit, of its controlling terminal. Its leader takes it at once, since births only inherit what is there.
    """
    puppets: dict[int, Newborn] = {}
    try:
        for step in plan.steps:
            match step:
                case Born():
                    puppets[step.pid] = _born(step, puppets, space, who_has)
                case NewSession(pid):
                    puppets[pid].call("setsid")
                    if terminals and pid in terminals:
                        puppets[pid].call("ioctl", terminals[pid], TIOCSCTTY, 0)
                case JoinGroup(pid, pgid):
                    puppets[pid].call("setpgid", 0, pgid or os.getpgrp())
                case Subreaper(pid, on):
                    puppets[pid].call("prctl", _PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)
                case Dies(pid):
                    _end(puppets.pop(pid))
                case Reaps(parent, pid):
                    puppets[parent].call("wait4", pid, 0, _WALL, 0)
    except BaseException:
        kill_all(puppets)
        raise
    return puppets


def _born(step: Born, puppets: dict[int, Newborn], space: Space, who_has: Callable[[int], str]) -> Newborn:
    """One birth. A number that is taken gets half a second to become free.

    A dead thread keeps its TID for a moment, and a dead process its PID, its group and its session until its parent has
    waited for it: so it is right after the program was killed.
    """
    until = time.monotonic() + _PATIENCE
    with _naming(step.pids, who_has):
        while True:
            try:
                return _bear(step, puppets, space)
            except (OSError, RemoteCallError) as error:
                if error.errno != errno.EEXIST or time.monotonic() > until:
                    raise
            time.sleep(0.005)


def _bear(step: Born, puppets: dict[int, Newborn], space: Space) -> Newborn:
    if step.creator == 0:
        root = bear_root(space, step.pids, step.flags, step.exit_signal)
        batch = Batch()
        sigaction.reset(batch)  # all others inherit it
        root.run(batch)
        return root
    creator = puppets[step.creator]
    batch = Batch()
    exit_signal = 0 if step.sibling else step.exit_signal
    creator.clone(batch, step.flags, exit_signal, step.pids)
    creator.run(batch)
    return Newborn.attached(creator.born.pop(), creator, thread=False)


@contextmanager
def _naming(pids: Sequence[int], who_has: Callable[[int], str]) -> Iterator[None]:
    try:
        yield
    except (OSError, RemoteCallError) as error:
        if error.errno == errno.EEXIST:
            raise EnvironmentDiffers(
                f"PID {pids[0]} is taken: {who_has(pids[0])}", "end it, or wait until it has ended, and try again"
            ) from None
        if error.errno == errno.EPERM:
            raise EnvironmentDiffers(
                "PIDs may not be chosen: CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN) is missing", "run crtool as root"
            ) from None
        raise


def _end(puppet: Newborn) -> None:
    os.kill(puppet.pid, signal.SIGKILL)
    os.waitpid(puppet.pid, _WALL)  # as its tracer; its parent can wait for it from now on
    os.close(puppet.memory)


def kill_all(puppets: dict[int, Newborn]) -> None:
    """Ends everything that was born and waits for it, so that no zombie is left.

    To be called by a child subreaper: who is adopted when its parent dies is waited for twice, by its tracer and then
    as a child.
    """
    tids: list[int] = []
    for pid in puppets:
        with suppress(FileNotFoundError):
            tids += sorted(map(int, os.listdir(f"/proc/{pid}/task")), key=lambda tid: tid == pid)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for tid in (*tids, *puppets, *puppets):
        with suppress(ChildProcessError):
            os.waitpid(tid, _WALL)
