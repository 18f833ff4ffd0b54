"""Where a restart happens: among the processes that are here, or in namespaces of its own.

The numbers of the image decide it: if all are free, and crtool may choose PIDs, the tree comes back where crtool is.
Otherwise it gets a PID namespace, where all numbers are free, with a mount namespace for the /proc of it, and, unless
crtool may make these, a user namespace in which it may. The clocks decide whether there is a time namespace, too.
"""

from __future__ import annotations

import os
import time
from typing import Literal

from crtool.abi import capability as cap
from crtool.engine.ipc import judge_rights
from crtool.engine.snapshot import HostRecord, Snapshot
from crtool.errors import EnvironmentDiffers, PidTaken
from crtool.kernel.eclone_limits import pid_max
from crtool.kernel.ns_last_pid import answers, taken_numbers
from crtool.procfs import status as status_file
from crtool.procfs import timens
from crtool.procfs.read import alive, read
from crtool.puppet.stem import Surroundings
from crtool.record import dataclass
from crtool.tree.walk import bearer

__all__ = ["ClockPolicy", "NumbersInUse", "Place", "choose", "clocks_to_be", "numbers_of"]

ClockPolicy = Literal["auto", "continue", "host"]

_PATIENCE = 0.5  # seconds that the dead get to be waited for
_PASSING = 0.1  # seconds that somebody alive gets who may be about to end


@dataclass(frozen=True)
class Place:
    """The decision, and in words why it is not the place where crtool is."""

    surroundings: Surroundings
    reason: str  # "PID 812 is now sshd"; empty if nothing was in the way


def choose(snapshot: Snapshot, *, pidns: bool | None, clock: ClockPolicy) -> Place:
    """Decides. *pidns*: True always, False never, None if need be.

    Raises EnvironmentDiffers where what is wanted cannot be.
    """
    capabilities = status_file.later(read(os.getpid(), "status")).capabilities.effective
    may_make = bool(capabilities & cap.bit(cap.CAP_SYS_ADMIN))
    may_choose = may_make or bool(capabilities & cap.bit(cap.CAP_CHECKPOINT_RESTORE))
    numbers = numbers_of(snapshot)
    _judge_range(numbers)
    reason = ""
    if not pidns:
        reason = _obstacle(numbers, may_choose=may_choose, must=pidns is False)
    pids = bool(pidns or reason)
    clocks = _clocks(snapshot.host, clock)
    ipc = snapshot.ipc is not None and (snapshot.ipc.own or pids)
    user = (pids or ipc or clocks is not None) and not may_make
    judge_rights(snapshot, user=user)
    if user and not capabilities & cap.bit(cap.CAP_SETUID):
        _judge_credentials(snapshot)
    return Place(Surroundings(pids, pids and snapshot.root != 1, ipc, user, clocks), reason)


class NumbersInUse:
    """Which numbers of this PID namespace a placeholder must not have, asked one by one."""

    def __init__(self) -> None:
        self.known: set[int] = set()  # that were refused by the kernel: a session's, or somebody has just got it

    def __contains__(self, number: object) -> bool:
        return number in self.known or (isinstance(number, int) and answers(number))

    def room(self) -> tuple[NumbersInUse, int, int]:
        """What :func:`crtool.tree.plan.plan` is to be told: oneself, pid_max, and where to begin.

        That is half-way round from the number that was given out last, so that others are far from it.
        """
        top = pid_max()
        with open("/proc/loadavg", "rb") as file:
            last = int(file.read().split()[-1])
        return self, top, (last + top // 2) % top


def numbers_of(snapshot: Snapshot) -> set[int]:
    """All numbers that the restored processes, threads, groups and sessions will bear, as the outermost level has
    them.
    """
    found: set[int] = set()
    for record in snapshot.processes:
        found.update((record.pids[0], record.pgid, record.sid), (thread.tid for thread in record.threads))
    return found - set(snapshot.outside) - {0}


def _judge_credentials(snapshot: Snapshot) -> None:
    """In a user namespace that an ordinary user has made there is nobody but himself."""
    user, group, groups = os.geteuid(), os.getegid(), tuple(sorted(os.getgroups()))
    for record in snapshot.processes:
        for thread in record.threads:
            its = thread.state.settings.credentials
            if {*its.uids} != {user} or {*its.gids} != {group} or its.groups != groups:
                who = f"user {its.uids[1]}, group {its.gids[1]}, groups {','.join(map(str, its.groups)) or 'none'}"
                mine = f"user {user}, group {group}, groups {','.join(map(str, groups)) or 'none'}"
                raise EnvironmentDiffers(f"PID {record.pids[0]} ran as {who}; crtool is {mine}", "run crtool as root")
            if its.permitted | its.inheritable:
                names = cap.names(its.permitted | its.inheritable)
                raise EnvironmentDiffers(f"PID {record.pids[0]} had capabilities: {names}", "run crtool as root")


def _judge_range(numbers: set[int]) -> None:
    if (highest := max(numbers)) >= (limit := pid_max()):
        raise EnvironmentDiffers(
            f"PID {highest} is out of range: numbers here are below {limit}", f"sysctl kernel.pid_max={highest + 1}"
        )


def _obstacle(numbers: set[int], *, may_choose: bool, must: bool) -> str:
    """Why the tree cannot come back among the processes that are here; EnvironmentDiffers instead if it *must*."""
    if not may_choose:
        if must:
            raise EnvironmentDiffers(
                "PIDs may not be chosen: CAP_CHECKPOINT_RESTORE (or CAP_SYS_ADMIN) is missing",
                "run crtool as root, or without --no-pidns: in a PID namespace of its own it needs no privilege",
            )
        return "PIDs may not be chosen here without privilege"
    start = time.monotonic()
    while taken := taken_numbers(numbers):
        patience = _PASSING if any(map(alive, taken)) else _PATIENCE
        if time.monotonic() > start + patience:
            number = min(taken)
            if must:
                raise PidTaken(number, bearer(number))
            return f"PID {number} {bearer(number)}"
        time.sleep(0.005)
    return ""


def _clocks(host: HostRecord, policy: ClockPolicy) -> tuple[int, int] | None:
    own = timens.of(os.getpid())
    if own is None:  # no time namespaces
        if policy == "continue":
            raise EnvironmentDiffers("this kernel has no time namespaces", "restart it with --clock host")
        return None
    here = (time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_BOOTTIME))
    wanted = clocks_to_be(host, here, policy)
    if wanted == here:
        return None
    return (own.monotonic + wanted[0] - here[0], own.boottime + wanted[1] - here[1])


def clocks_to_be(host: HostRecord, here: tuple[int, int], policy: ClockPolicy) -> tuple[int, int]:
    """What monotonic and boottime are to show to a tree whose image says *host*, where they show *here*; in ns.

    A program may rely on these clocks never going back; that they leap ahead it knows from a machine that was
    suspended. A tree that had clocks of its own keeps their distance to those of the machine as long as that
    does not turn them back either.
    """
    if policy == "host":
        return here
    if policy == "continue":
        return (host.monotonic, host.boottime)
    return (
        max(host.monotonic, here[0] + host.clock_offsets.monotonic),
        max(host.boottime, here[1] + host.clock_offsets.boottime),
    )

