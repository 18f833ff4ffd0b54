"""The story of ``crtool clone``: running copies of a tree, side by side, each in a PID namespace of its own.

The tree is saved to memory and goes on; the image is restarted as often as copies are wanted, and never has a name. All
copies run, or none: if one cannot come to life, those before it end.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress

from crtool.abi.fcntl import MFD_CLOEXEC
from crtool.abi.socket import SO_REUSEPORT, SOL_SOCKET
from crtool.abi.tcp import State
from crtool.engine.attend import PASSED_ON, sent_by_somebody, signals_held
from crtool.engine.checkpoint import checkpoint
from crtool.engine.references import read_snapshot
from crtool.engine.restart import restart
from crtool.engine.results import CloneResult, Progress, RestartResult
from crtool.engine.snapshot import ProcessRecord, Snapshot
from crtool.engine.where import ClockPolicy
from crtool.errors import Obstacle, ObstacleError, TargetDied, UsageError
from crtool.image.reader import ImageReader
from crtool.kernel import memfd
from crtool.kernel.interruption import nothing, whole
from crtool.kernel.wait import WALL
from crtool.procfs import status as status_file
from crtool.procfs.read import read
from crtool.resources.files.kinds import DescriptionRecord
from crtool.resources.files.sockets.datagram import InetRecord
from crtool.resources.files.sockets.option_table import OptionRecord
from crtool.resources.files.sockets.tcp import TcpRecord, show
from crtool.resources.files.sockets.unix import UnixRecord, shown_name
from crtool.resources.policy import Stdio, Unix
from crtool.tree.walk import Walk

__all__ = ["clone"]

_TURN = 1.0  # seconds after which the dead are looked for without a signal: a root may have none


def clone(
    pid: int,
    number: int = 1,
    *,
    detach: bool = False,
    timeout: float | None = None,
    stdio: Stdio = "refuse",
    unix: Unix = "refuse",
    sysvipc: bool = False,
    clock: ClockPolicy = "auto",
    signal_number: int = 0,
    progress: Callable[[Progress], None] | None = None,
    running: Callable[[CloneResult], None] | None = None,
    done: Callable[[], None] = nothing,
) -> CloneResult:
    """Makes *number* running copies of process *pid* and all its descendants, which go on as they are.

    Each copy is in a PID namespace of its own, where its processes have the PIDs of the originals. TCP connections
    with others come back as reset: the original has them. Waits until the roots of all copies have ended,
    forwarding signals to them, unless *detach*. *signal_number*: as *signal* of restart. *running* gets the result
    so far, once all copies run; what it raises ends them. *done* is called at the very end, when all copies run or,
    without *detach*, have ended, while signals are still held.

    Raises ObstacleError for what only one can have (ports, names of sockets), and what checkpoint and restart raise;
    after any of them no copy is left.
    """
    if number < 1:
        raise UsageError(f"{number} copies are none", "ask for one at least")
    start = time.monotonic()
    image = memfd.create(b"crtool", MFD_CLOEXEC)
    try:
        saved = checkpoint(
            pid,
            image,
            leave="running",
            timeout=timeout,
            stdio=stdio,
            tcp="close",
            unix=unix,
            sysvipc=sysvipc,
            progress=progress,
        )
        os.lseek(image, 0, os.SEEK_SET)
        _judge(image)
        with ExitStack() as held:
            copies: list[RestartResult] = []
            try:
                for _ in range(number):
                    # It belongs to us, and nobody else has it, whatever its mode says. Noted before a signal can come.
                    restart(
                        image, detach=True, pidns=True, clock=clock, trust=True, signal=signal_number,
                        running=copies.append,
                    )  # fmt: skip
                held.enter_context(signals_held())
                os.close(image)
                image = -1
                warnings = dict.fromkeys([*saved.warnings, *(line for copy in copies for line in copy.warnings)])
                result = CloneResult(
                    pid=pid,
                    copies=tuple(copy.pid for copy in copies),
                    processes=saved.processes,
                    size=saved.size,
                    frozen_seconds=saved.frozen_seconds,
                    wall_seconds=time.monotonic() - start,
                    warnings=tuple(warnings),
                    stages=_together(saved.stages, *(copy.stages for copy in copies)),
                )
                if running is not None:
                    running(result)
            except BaseException:
                _end([copy.pid for copy in copies])
                raise
            if not detach:
                result = result.ended(_attend(result.copies))
            done()
            return result
    finally:
        if image >= 0:
            os.close(image)


def _together(*stages: Mapping[str, float]) -> dict[str, float]:
    """The sums, by stage."""
    names = dict.fromkeys(name for seconds in stages for name in seconds)
    return {name: sum(seconds.get(name, 0.0) for seconds in stages) for name in names}


def _judge(image: int) -> None:
    """ObstacleError for everything that cannot be there twice."""
    with ImageReader.from_descriptor(image) as reader:
        snapshot = read_snapshot(reader)
    found = [obstacle for process in snapshot.processes for obstacle in _unique(process, snapshot)]
    if found:
        raise ObstacleError(found)


def _unique(process: ProcessRecord, snapshot: Snapshot) -> Iterator[Obstacle]:
    """What only one of two running copies of a process can have."""
    if not process.threads:
        return
    terminal = snapshot.files.terminal
    if terminal is not None and terminal.session == process.pids[0]:
        name = terminal.name.decode(errors="replace")
        yield Obstacle(process.pids[0], "", f"has {name} as the terminal of its session", "start it without a terminal")
    for descriptor in snapshot.files.tables[process.threads[0].files].descriptors:
        cause = _claim(snapshot.files.descriptions[descriptor.description])
        if cause:
            remedy = "make the copies before it binds that"
            yield Obstacle(process.pids[0], f"fd {descriptor.fd}", cause, remedy)


def _claim(record: DescriptionRecord) -> str:
    match record:
        case TcpRecord(state=State.LISTEN) if not _reuses_port(record.options):
            return f"listens on {show(record.local)}, where only one can"
        case InetRecord() if record.local and not _reuses_port(record.options):
            return f"receives at {show(record.local)}, where only one can"
        case UnixRecord() if record.name and (record.file is None or not record.file.deleted):
            return f"is {shown_name(record.name)}, a name that only one can have"
    return ""


def _reuses_port(options: Sequence[OptionRecord]) -> bool:
    return any((option.level, option.name) == (SOL_SOCKET, SO_REUSEPORT) and any(option.value) for option in options)


@whole
def _end(roots: Sequence[int]) -> None:
    """Ends copies with all their descendants: the kernel kills a PID namespace with its first process."""
    spaces = {os.readlink(f"/proc/{root}/ns/pid") for root in roots}
    firsts = []
    for child in Walk()(os.getpid()) if roots else ():
        with suppress(TargetDied, OSError):
            numbers = status_file.later(read(child, "status")).ns_pid
            if numbers[-1] == 1 and os.readlink(f"/proc/{child}/ns/pid") in spaces:
                os.kill(child, signal.SIGKILL)
                firsts.append(child)
    for pid in (*roots, *firsts):
        with suppress(ChildProcessError):
            os.waitpid(pid, WALL)


def _attend(roots: Sequence[int]) -> tuple[int, ...]:
    """Waits until all *roots* have ended, and passes signals on; returns their wait statuses. Within signals_held."""
    ended: dict[int, int] = {}
    while True:
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, WALL | os.WNOHANG)) != (0, 0):
                if os.WIFEXITED(found[1]) or os.WIFSIGNALED(found[1]):
                    ended[found[0]] = found[1]
        if all(root in ended for root in roots):
            return tuple(ended[root] for root in roots)
        info = signal.sigtimedwait({*PASSED_ON, signal.SIGCHLD}, _TURN)
        if info is None or info.si_signo == signal.SIGCHLD:
            continue
        for root in roots:
            with suppress(ProcessLookupError):
                if root not in ended and (sent_by_somebody(info) or os.getpgid(root) != os.getpgrp()):
                    os.kill(root, info.si_signo)
