"""Looking before touching: everything about a tree that would stand in the way of a checkpoint, at once."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import field

from crtool.engine import mapped, page_waits, vfork
from crtool.engine.forest import obstacle_of_living
from crtool.engine.lodging import Base, base_of
from crtool.engine.mapped import FilesBefore
from crtool.engine.standing import traced_by
from crtool.engine.surroundings import NamespaceSurvey
from crtool.errors import Obstacle, TargetDied, TargetError
from crtool.kernel.file_census import FileCensus
from crtool.kernel.process import pidfd_open
from crtool.procfs import ns as ns_file
from crtool.procfs import status as status_file
from crtool.procfs.descriptors import Descriptors
from crtool.procfs.read import read, read_link
from crtool.procfs.status import Status
from crtool.procfs.tasks import living_thread, threads
from crtool.puppet.waiting import Wait
from crtool.record import dataclass
from crtool.resources import arch_prctl
from crtool.resources.files import kinds, procfs
from crtool.resources.files.epoll_targets import EpollTargets
from crtool.resources.files.held_outside import HeldOutside
from crtool.resources.files.inodes import Version
from crtool.resources.files.openfile import OpenFile, borrow
from crtool.resources.files.outside import Outside
from crtool.resources.files.pipes_outside import PipeEnds
from crtool.resources.files.sockets.reuseport import PortGroups
from crtool.resources.files.sockets.unix_outside import UnixEnds
from crtool.resources.files.terminals import Ends
from crtool.resources.files.uring_collect import LivingRings
from crtool.resources.files.watches import Watchers
from crtool.resources.ipc import survey as ipc_survey
from crtool.resources.memory import aio, mappings, vdso
from crtool.resources.policy import DEFAULT, Policy
from crtool.tree.walk import Walk, name_of

__all__ = ["SMALL", "Report", "survey"]

_PATIENCE = 5.0  # seconds for looks at a process whose threads come and go
_PAUSES = (0.001, 0.003, 0.01, 0.0)  # seconds between two looks whether there are any

_TOO_LONG = "is reached by a path that is longer than the kernel can tell"  # PATH_MAX, of readlink(2) and open(2)
_PLACES = (
    ("cwd", "current folder", "let it change to another folder first"),
    ("root", "root", "give its root a shorter path"),
    ("exe", "executable", "start it from a shorter path"),
)

SMALL = 1 << 20
"""Bytes of memory of a process below which it is copied while it stands still: that takes no longer than a fork."""


@dataclass
class Report:
    """What a look at a living tree has found."""

    pids: list[int]
    base: Base
    obstacles: list[Obstacle] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    policy: Policy = DEFAULT
    inherited: dict[tuple[int, int], int] = field(default_factory=dict)  # standard stream by device and inode
    threads: int = 0
    waiting: list[tuple[int, int]] = field(default_factory=list)  # PID and TID of who cannot be stopped just now
    small: int = 0  # of *memory*, bytes of processes that have so little that they are not forked
    large: int = 0  # processes that have more
    digests: dict[Version, bytes] = field(default_factory=dict)  # of programs and libraries, if they were asked for
    contexts: frozenset[int] = frozenset()  # by which the kernel knows userfaultfds of the tree
    vdsos: dict[int, range] = field(default_factory=dict)  # by PID
    waits: Mapping[int, Wait] = field(default_factory=dict)  # by TID
    files: int = 0  # descriptors
    census: FileCensus | None = None  # by which all descriptors of a thread are asked for at once
    mapped: FilesBefore = field(default_factory=FilesBefore)  # what they map is held already
    memory: int = 0  # bytes of private memory in use, in RAM or swapped out: about the size of an image


@dataclass(frozen=True)
class _Seen:
    """What can only be judged when everybody has been looked at."""

    pipes: PipeEnds
    terminals: Ends
    watched: EpollTargets
    sockets: UnixEnds
    held: HeldOutside
    rings: LivingRings
    watchers: Watchers
    ports: PortGroups
    namespaces: NamespaceSurvey
    users: set[int] = field(default_factory=set)
    statuses: dict[int, Status] = field(default_factory=dict)  # by PID
    doors: dict[int, int] = field(default_factory=dict)  # by PID: a living thread of who lives


def survey(pid: int, policy: Policy = DEFAULT, walk: Walk | None = None) -> Report:
    """Looks at process *pid* and its descendants; raises TargetError if *pid* is nothing that can be checkpointed.

    *policy*: what the user has chosen for what leads out of the tree. *walk*: of somebody who will list the tree again.
    Processes are born and end meanwhile: what stands in the way is what is seen twice.
    """
    _judge_target(pid)
    walk = walk or Walk()
    report = _seen_whole(pid, policy, walk)
    if report.obstacles:
        first, report = report, _seen_whole(pid, policy, walk)
        report.obstacles = [obstacle for obstacle in report.obstacles if obstacle in first.obstacles]
    vfork.await_children(report.waiting)
    if report.contexts:
        page_waits.await_pages(report.pids)
    return report


def _seen_whole(pid: int, policy: Policy, walk: Walk) -> Report:
    """What a look finds during which the thread by which the root is looked at has not ended."""
    until = time.monotonic() + _PATIENCE
    while True:
        with suppress(TargetDied):
            return _look(pid, policy, walk)
        if _is_over(pid):
            raise TargetDied(pid)
        if time.monotonic() > until:
            raise TargetError(f"the threads of PID {pid} end while they are being looked at", "try again later")


def _look(pid: int, policy: Policy, walk: Walk) -> Report:
    if (door := living_thread(pid)) is None:
        raise TargetDied(pid)
    base = base_of(door, _status(pid))
    report = Report(walk(pid), base, warnings=list(base.warnings), policy=policy)
    with Ends() as terminals, PortGroups() as ports:
        held, namespaces = HeldOutside(leaves_connections=policy.tcp == "close"), NamespaceSurvey(base)
        seen = _Seen(
            PipeEnds(), terminals, EpollTargets(), UnixEnds(), held, LivingRings(), Watchers(), ports, namespaces,
        )  # fmt: skip
        if base.own_ipc:
            report.obstacles += ipc_survey.closed(pid, door)
        for number in report.pids:
            try:
                _survey_process(report, number, seen)
            except (TargetDied, FileNotFoundError, ProcessLookupError):  # it ended while it was being looked at
                if number == pid:
                    raise TargetDied(pid) from None
        outside = Outside(report.pids)
        if policy.stdio == "inherit":
            report.inherited = seen.pipes.inherited(outside) | seen.sockets.inherited(report.pids, outside)
        report.obstacles += seen.pipes.obstacles(outside, report.inherited)
        report.obstacles += terminals.obstacles()
        report.obstacles += seen.watched.obstacles()
        report.obstacles += seen.sockets.obstacles(outside, policy.unix, report.inherited)
        obstacles, warnings = held.judge(outside, report.inherited)
        report.obstacles += obstacles
        report.warnings += warnings
        report.obstacles += seen.rings.obstacles(report.pids)
        report.obstacles += seen.watchers.obstacles(seen.doors)
        report.obstacles += seen.ports.obstacles()
        report.warnings += seen.ports.warnings()
        report.contexts = seen.watchers.contexts
        if policy.sysvipc and not base.own_ipc and not mapped.may_follow():
            report.obstacles += ipc_survey.out_of_reach(pid, report.pids, seen.users)
        report.obstacles += seen.namespaces.obstacles()
        if (obstacle := obstacle_of_living(pid, seen.statuses, seen.doors, base.depth)) is not None:
            report.obstacles.append(obstacle)
        report.warnings += seen.namespaces.warnings()
    return report


def _judge_target(pid: int) -> None:
    status = _status(pid)
    if status.tgid != pid:
        raise TargetError(f"{pid} is a thread of PID {status.tgid}", f"name the process: {status.tgid}")
    if status.kthread:
        name = status.name.decode(errors="replace")
        raise TargetError(f"PID {pid} is a kernel thread ({name})", "only programs can be checkpointed")
    if _has_ended(status) and _is_over(pid):
        raise TargetError(f"PID {pid} has ended and is a zombie", f"its parent, PID {status.ppid}, has to wait for it")
    if pid in _ancestors():
        who = "crtool itself" if pid == os.getpid() else "an ancestor of crtool"
        raise TargetError(f"PID {pid} is {who}", "run crtool outside the tree that it is to save")


def _ancestors() -> list[int]:
    """This process, its parent, and so on."""
    while True:
        line = [os.getpid()]
        try:
            while line[-1] > 0:
                line.append(status_file.later(read(line[-1], "status")).ppid)
        except TargetDied:
            continue  # it has ended: its child has another parent now
        return line


def _status(pid: int) -> Status:
    try:
        return status_file.later(read(pid, "status"))
    except TargetDied:
        with suppress(ProcessLookupError):
            try:
                os.kill(pid, 0)
            except PermissionError:  # it is there
                cause = f"PID {pid} is hidden from who may not trace it: /proc is mounted with hidepid"
                raise TargetError(cause, "run crtool as root, or as the user that it belongs to") from None
        raise TargetError(f"there is no process with PID {pid}", "look for it with ps") from None


def _has_ended(status: Status) -> bool:
    """Whether nothing of the process lives: a main thread may end before the others do."""
    return status.state in ("Z", "X") and status.threads <= 1


def _is_over(pid: int) -> bool:
    """Whether nothing of a process lives: for a moment that looks so while one of its threads executes a program."""
    for pause in _PAUSES:
        if living_thread(pid) is not None:
            return False
        time.sleep(pause)
    return True


def _survey_process(report: Report, pid: int, seen: _Seen) -> None:
    status = seen.statuses[pid] = status_file.later(read(pid, "status"))
    door = None if _has_ended(status) else living_thread(pid)
    if door is None:
        if len(status.ns_pid) > 1:
            seen.namespaces.add_zombie(pid, status.ns_pid)
        return
    if status.tracer_pid:
        report.obstacles.append(traced_by(pid, pid, status.tracer_pid))
        return
    seen.doors[pid] = door
    seen.users.update((status.uid.real, status.uid.effective))
    privileged = False
    for tid in threads(pid):
        with suppress(TargetDied):
            its = status_file.later(read(pid, "status", tid))
            report.obstacles.extend(arch_prctl.obstacles(pid, its))
            if its.tracer_pid:
                report.obstacles.append(traced_by(pid, tid, its.tracer_pid))
            if its.state == "D":
                report.waiting.append((pid, tid))
            privileged = privileged or bool(its.capabilities.permitted | its.capabilities.inheritable)
    if status.memory is not None:
        memory = status.own_memory
        report.memory += memory
        report.small += memory if memory < SMALL else 0
        report.large += memory > SMALL
    report.threads += status.threads
    own_ipc = report.base.own_ipc or ns_file.inode(door, "ipc") != report.base.namespaces.ipc
    if not report.policy.sysvipc and not own_ipc:
        report.obstacles.extend(ipc_survey.obstacles(pid, door, threads=status.threads))
    maps = read(door, "maps")
    seen.held.add_mappings(pid, maps)
    report.vdsos[pid] = vdso.place(maps)
    report.obstacles.extend(mappings.early_obstacles(pid, maps))
    report.obstacles.extend(aio.early_obstacles(pid, maps))
    report.obstacles.extend(mapped.obstacles(pid, maps, lambda: filter(None, map(living_thread, report.pids))))
    report.obstacles.extend(report.base.obstacles(pid, door, privileged=privileged))
    report.obstacles.extend(seen.namespaces.add(pid, door, status.ns_pid))
    report.obstacles.extend(_out_of_reach(pid, door))
    _survey_files(report, pid, door, seen)


def _out_of_reach(pid: int, door: int) -> Iterator[Obstacle]:
    """What lies so deep that no path leads to it: the current folder, say, into which somebody went step by step."""
    for name, what, remedy in _PLACES:
        try:
            read_link(door, name)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                yield Obstacle(pid, what, _TOO_LONG, remedy)
        except TargetError:
            continue


def _survey_files(report: Report, pid: int, door: int, seen: _Seen) -> None:
    pidfd = pidfd_open(door)
    try:
        with Descriptors(door) as descriptors:
            for fd in descriptors.numbers():
                try:
                    link = descriptors.link(fd)
                except OSError as error:
                    if error.errno == errno.ENAMETOOLONG:
                        report.obstacles.append(Obstacle(pid, f"fd {fd}", _TOO_LONG, "close it first"))
                    continue
                except TargetError:
                    continue
                try:
                    with borrow(pidfd, pid, fd, link, descriptors.info(fd)) as file:
                        _survey_file(report, file, door, seen)
                except (OSError, TargetError):
                    continue  # closed meanwhile: the frozen tree will be looked at again
    finally:
        os.close(pidfd)


def _survey_file(report: Report, file: OpenFile, door: int, seen: _Seen) -> None:
    report.files += 1
    if (obstacle := kinds.kind_of(file).obstacle(file, f"fd {file.fd}")) is not None:
        report.obstacles.append(obstacle)
    seen.pipes.add(file)
    seen.terminals.add(file)
    seen.watched.add(file, door)
    seen.sockets.add(file)
    seen.held.add(file, door)
    seen.rings.add(file)
    seen.watchers.add(file)
    seen.ports.add(file, file.stat.st_ino)
    kinds.be_ready(file)
    if procfs.recognise(file) and (other := procfs.foreign(file)) and other not in report.pids:
        cause = f"{file.shown} is of a process outside the tree, {name_of(other)}"
        report.obstacles.append(Obstacle(file.pid, f"fd {file.fd}", cause, "close it first"))
