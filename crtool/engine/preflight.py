"""Looking before touching: everything about a tree that would stand in the way of a checkpoint, at once."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import field

from crtool.errors import Obstacle, TargetDied, TargetError
from crtool.kernel.process import pidfd_open
from crtool.procfs import fdinfo as fdinfo_file
from crtool.procfs import ns as ns_file
from crtool.procfs import status as status_file
from crtool.procfs.read import alive, read
from crtool.procfs.status import Status
from crtool.procfs.tasks import threads
from crtool.record import dataclass
from crtool.resources import arch_prctl
from crtool.resources.files import kinds
from crtool.resources.files.openfile import borrow
from crtool.resources.files.pipes_outside import PipeEnds
from crtool.resources.files.terminals import Ends
from crtool.tree.walk import Walk, name_of

__all__ = ["Report", "survey"]


@dataclass
class Report:
    """What a look at a living tree has found."""

    pids: list[int]
    obstacles: list[Obstacle] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    memory: int = 0  # bytes of private memory in use, in RAM or swapped out: about the size of an image


def survey(pid: int) -> Report:
    """Looks at process *pid* and its descendants; raises TargetError if *pid* is nothing that can be checkpointed."""
    _judge_target(pid)
    report = Report(Walk()(pid))
    with Ends() as terminals:
        pipes = PipeEnds()
        for number in report.pids:
            try:
                _survey_process(report, number, pipes, terminals)
            except TargetDied:
                if number == pid:
                    raise
        report.obstacles += pipes.obstacles(report.pids, name_of)
        report.obstacles += terminals.obstacles()
    return report


def _judge_target(pid: int) -> None:
    status = _status(pid)
    if status.tgid != pid:
        raise TargetError(f"{pid} is a thread of PID {status.tgid}", f"name the process: {status.tgid}")
    if status.kthread:
        name = status.name.decode(errors="replace")
        raise TargetError(f"PID {pid} is a kernel thread ({name})", "only programs can be checkpointed")
    if _has_ended(status):
        raise TargetError(f"PID {pid} has ended and is a zombie", f"its parent, PID {status.ppid}, has to wait for it")
    line = os.getpid()
    while line > 0:
        if line == pid:
            who = "crtool itself" if line == os.getpid() else "an ancestor of crtool"
            raise TargetError(f"PID {pid} is {who}", "run crtool outside the tree that it is to save")
        line = _status(line).ppid


def _status(pid: int) -> Status:
    try:
        return status_file.parse(read(pid, "status"))
    except TargetDied:
        raise TargetError(f"there is no process with PID {pid}", "look for it with ps") from None


def _has_ended(status: Status) -> bool:
    """Whether nothing of the process lives: a main thread may end before the others do."""
    return status.state in ("Z", "X") and status.threads <= 1


def _door(pid: int) -> int:
    """The TID of a living thread: the folder in /proc of a main thread that has ended shows nothing of the process."""
    if alive(pid):
        return pid
    return next((tid for tid in threads(pid) if alive(pid, tid)), pid)


def _survey_process(report: Report, pid: int, pipes: PipeEnds, terminals: Ends) -> None:
    status = status_file.parse(read(pid, "status"))
    if _has_ended(status):
        return
    if status.tracer_pid:
        tracer = status.tracer_pid
        report.obstacles.append(
            Obstacle(pid, "", f"is traced by PID {tracer} ({name_of(tracer)})", "end that, or let it detach")
        )
        return
    for tid in threads(pid):
        with suppress(TargetDied):
            report.obstacles.extend(arch_prctl.obstacles(pid, status_file.parse(read(pid, "status", tid))))
    if status.memory is not None:
        report.memory += status.memory.resident_anonymous + status.memory.swapped
    _survey_namespaces(report, pid)
    _survey_files(report, pid, pipes, terminals)


def _survey_namespaces(report: Report, pid: int) -> None:
    for kind in ns_file.of(_door(pid)).differing(ns_file.of(os.getpid())):
        report.obstacles.append(
            Obstacle(pid, "", f"lives in another {kind} namespace than crtool", "run crtool inside that namespace")
        )


def _survey_files(report: Report, pid: int, pipes: PipeEnds, terminals: Ends) -> None:
    door = _door(pid)
    pidfd = pidfd_open(door)
    try:
        for fd in sorted(int(name) for name in os.listdir(f"/proc/{door}/fd")):
            try:
                link = os.fsencode(os.readlink(f"/proc/{door}/fd/{fd}"))
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    why = "is open by a path that is longer than the kernel can tell"
                    report.obstacles.append(Obstacle(pid, f"fd {fd}", why, "close it first"))
                continue
            try:
                info = fdinfo_file.parse(read(door, f"fdinfo/{fd}"))
                with borrow(pidfd, pid, fd, link, info) as file:
                    if (obstacle := kinds.obstacle(file)) is not None:
                        report.obstacles.append(obstacle)
                    pipes.add(file)
                    terminals.add(file)
            except (OSError, TargetError):
                continue  # closed meanwhile: the frozen tree will be looked at again
    finally:
        os.close(pidfd)
