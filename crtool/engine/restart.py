"""The story of a restart, top to bottom."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext

from crtool.abi.termios import TIOCSPGRP
from crtool.arch import cpu
from crtool.engine.admit import admit
from crtool.engine.changed import ChangedFiles
from crtool.engine.foreground import Foreground
from crtool.engine.forest import forest_of
from crtool.engine.ground import Ground
from crtool.engine.heritage import Heritage
from crtool.engine.late import complete_files
from crtool.engine.letgo import let_go, surely
from crtool.engine.made import make_namespaces
from crtool.engine.numbers import Numbers
from crtool.engine.pidfile import Pidfile
from crtool.engine.prepare import Prepared
from crtool.engine.rebuild import Rebuilder, needed_files
from crtool.engine.relay import Relay
from crtool.engine.results import Progress, RestartResult
from crtool.engine.snapshot import Snapshot
from crtool.engine.stages import Clock, Stage
from crtool.engine.terminal import attend_terminal, judge_terminal
from crtool.engine.told import listeners
from crtool.engine.verify import open_image, require_file, verify_first, verifying
from crtool.engine.wait import signals_held, wait_for
from crtool.engine.where import ClockPolicy, NumbersInUse, Place, choose, numbers_of
from crtool.errors import EnvironmentDiffers, PidTaken
from crtool.image.keys import Keys
from crtool.image.reader import ImageReader
from crtool.kernel import ptrace
from crtool.kernel.eclone_limits import pid_max
from crtool.kernel.interruption import nothing
from crtool.kernel.prctl import child_subreaper
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn
from crtool.record import replace
from crtool.resources import registry
from crtool.resources.files import owners
from crtool.resources.policy import Tcp
from crtool.tree.grow import grow, kill_all
from crtool.tree.plan import plan
from crtool.tree.walk import bearer

__all__ = ["restart"]

_P_PID, _WSTOPPED = 1, 2  # waitid(2)
_ATTEMPTS = 10  # at numbers for placeholders


def restart(
    image: str | os.PathLike[str] | int,
    *,
    detach: bool = False,
    leave_stopped: bool = False,
    pidfile: str | None = None,
    pidns: bool | None = None,
    clock: ClockPolicy = "auto",
    tcp: Tcp = "keep",
    trust: bool = False,
    files: ChangedFiles = "refuse",
    parents: Sequence[str | os.PathLike[str]] = (),
    signal: int = 0,
    own: bool = False,
    lazy: bool = False,
    detach_image: bool = False,
    keys: Keys | None = None,
    progress: Callable[[Progress], None] | None = None,
    ready: Callable[[int], None] | None = None,
    running: Callable[[RestartResult], None] | None = None,
    wait: Callable[[int, Foreground | Relay | None], int] = wait_for,
    done: Callable[[], None] = nothing,
) -> RestartResult:
    """Brings back the processes of *image* (a path, or a descriptor to read from), with the PIDs they had.

    Where somebody has one of these, or crtool may not choose PIDs, it is in a new PID namespace; *pidns* says that it
    is so always (True) or never (False). *clock*: "auto" keeps the clocks CLOCK_MONOTONIC and CLOCK_BOOTTIME from going
    back, in a time namespace if need be, "continue" makes them go on from where they were, "host" leaves them alone.
    *tcp*: whether TCP connections with somebody outside the tree go on ("keep"), or come back as reset ("close").
    *files*: what becomes of a file that the program reads and that has another size now: it stands in the way
    ("refuse"), is taken as it is ("ignore"), or, if it has grown, is cut to the size that it had ("truncate"). With
    "restore" all files that have changed are put back from the image, if it has been made to contain them.
    *signal*: a number that every process which catches it, or blocks it to ask for it, gets before anybody runs.
    *own*: whoever the processes were, they come back as the caller, with his ids, groups and rights.
    *lazy*: everything runs before its memory is there; large private memory comes from the image, which must be a
    file, when it is asked for, and else meanwhile. With *detach_image* a restart that is to *detach* waits for that.

    *parents*: files, and folders with files, in which the images that *image* builds on are looked for first.

    An image that somebody else than the caller and root owns, or may write, is refused unless the caller has *trust*.
    *keys* (:func:`crtool.unlock`) decrypt one that is encrypted, and say whose signature it must have.

    Waits for the root's end, forwarding signals to it, unless *detach*. When everything is restored and nobody runs
    yet, *ready* gets the root's PID as crtool sees it, and may raise: nothing is left then. Once everything runs,
    *pidfile* gets that PID, and *running* the result so far. *wait* waits, instead of crtool's own way, for the root, a
    child of the caller; it is given the root's PID and what is to be done about the caller's terminal, and returns a
    wait status. *done* is called at the very end, when everything runs or, without *detach*, has ended, before a signal
    can come between: from then on nothing should interrupt.

    Raises NotFound, ImageError, EnvironmentDiffers (PidTaken among them); after any of them nothing is left behind, and
    no instruction of the program has been executed.
    """
    clocks = Clock()
    with open_image(image, parents, keys) as reader:
        with clocks.stage(Stage.READ):
            warnings: list[str] = []
            snapshot = admit(reader, trust=trust, tcp=tcp, own=own, warn=warnings.append)
            if not lazy:
                verify_first(reader, progress)
            else:
                require_file(reader)
        with clocks.stage(Stage.PREPARE):
            judge_terminal(snapshot, detach=detach)
            told = listeners(snapshot, signal)
            place = choose(snapshot, pidns=pidns, clock=clock)
        calls = (ready, running, wait, progress, done)
        story = _Restart(snapshot, reader, clocks, detach, leave_stopped, pidfile, files, *calls)
        story.signal, story.told, story.warnings = signal, told, warnings
        story.lazy, story.detach_image = lazy, detach_image
        wanted = numbers_of(snapshot)
        while True:
            try:
                return story.at(place)
            except PidTaken as error:  # by somebody who was not there a moment ago
                if place.surroundings.pids or reader.is_stream:
                    raise
                if error.pid not in wanted and len(story.taken.known) < _ATTEMPTS:
                    story.taken.known.add(error.pid)  # a placeholder can have any other number as well
                    continue
                if pidns is False:
                    raise
                reason = error.message
                break
        return story.at(replace(choose(snapshot, pidns=True, clock=clock), reason=reason))


class _Restart:
    """A restart under way."""

    def __init__(
        self,
        snapshot: Snapshot,
        reader: ImageReader,
        clocks: Clock,
        detach: bool,
        leave_stopped: bool,
        pidfile: str | None,
        files: ChangedFiles,
        ready: Callable[[int], None] | None,
        running: Callable[[RestartResult], None] | None,
        wait: Callable[[int, Foreground | Relay | None], int],
        progress: Callable[[Progress], None] | None,
        done: Callable[[], None],
    ) -> None:
        self.snapshot = snapshot
        self.reader = reader
        self.clocks = clocks
        self.detach = detach
        self.leave_stopped = leave_stopped
        self.pidfile = pidfile
        self.files = files
        self.ready = ready
        self.running = running
        self.wait = wait
        self.progress = progress
        self.done = done
        self.signal, self.told = 0, frozenset[int]()  # who hears of the restart by a signal
        self.warnings: list[str] = []  # that do not depend on the place
        self.lazy = self.detach_image = False
        self.taken = NumbersInUse()  # that placeholders must not have

    def at(self, place: Place) -> RestartResult:
        """The rest of the story, at the place that was decided on; PidTaken if that fails."""
        snapshot, reader, clocks = self.snapshot, self.reader, self.clocks
        apart = place.surroundings.pids
        made = Prepared(snapshot, reader, apart=apart, changed=self.files, lazily=self.lazy)
        if made.lazy is not None:
            made.lazy.is_awaited = self.detach and self.detach_image
        with made as prepared, ExitStack() as held:
            with clocks.stage(Stage.PREPARE):
                order = plan(forest_of(snapshot), *((1,), pid_max()) if apart else self.taken.room())
                prepared.make()
                needed_files(prepared)
            with child_subreaper(), Ground(snapshot, place) as ground:
                heritage, puppets = Heritage(prepared, order), dict[int, Newborn]()
                job: Foreground | Relay | None = None
                prepared_pidfile: Pidfile | None = None

                def undo() -> None:
                    prepared.vanish()
                    kill_all(puppets)
                    ground.end()
                    prepared.ipc.abandon()
                    if job is not None:
                        job.close()
                    if prepared_pidfile is not None:
                        prepared_pidfile.discard()

                try:
                    with clocks.stage(Stage.BIRTHS):
                        puppets = grow(order, ground.bear_root, bearer, prepared.controlling, heritage.before)
                    root = puppets[snapshot.root].pid
                    _judge_cpu(snapshot, puppets[snapshot.root])
                    prepared.ipc.make(root, own=place.surroundings.ipc)
                    living = _rebuild(snapshot, puppets, prepared, heritage, clocks, self.progress)
                    ground.settle()
                    if reader.is_stream:
                        reader.finish()
                    if self.pidfile is not None:
                        prepared_pidfile = Pidfile(self.pidfile, root)
                    if not self.detach:
                        job = attend_terminal(snapshot, prepared, puppets)
                    if self.ready is not None:
                        self.ready(root)
                    held.enter_context(signals_held())  # what follows is done as a whole
                except BaseException:
                    undo()
                    raise
            try:
                with clocks.stage(Stage.RELEASE):
                    for process in living:
                        told = process.record.pids[0] in self.told
                        process.complete(stopped=self.leave_stopped, signal_number=self.signal if told else 0)
                    prepared.fill_segments()
                    prepared.revive()
                with clocks.measured(Stage.RELEASE):
                    _outlive(living, ground, prepared)
                    prepared.appear()  # the last that can fail
            except BaseException:
                with child_subreaper():
                    undo()
                raise
            with clocks.measured(Stage.RELEASE):
                let_go(living, ground, prepared)
            if prepared_pidfile is not None:
                surely(prepared_pidfile.appear, f"{self.pidfile} cannot be written", prepared.warnings.append)
                prepared_pidfile.discard()
            result = RestartResult(
                pid=root,
                processes=len(snapshot.processes),
                wall_seconds=clocks.wall,
                warnings=tuple(dict.fromkeys([*self.warnings, *prepared.warnings])),
                own_pid=snapshot.root,
                pidns=place.surroundings.pids,
                userns=place.surroundings.user,
                timens=place.surroundings.clocks is not None,
                reason=place.reason,
                stages=dict(clocks.seconds),
            )
            try:
                if prepared.lazy is not None and self.detach and self.detach_image:
                    prepared.lazy.wait()
                surely(prepared.close, "something of crtool's is left", prepared.warnings.append)
                reader.close()
                if self.running is not None:
                    self.running(result)
                if self.detach:
                    self.done()
                    return result
                if isinstance(job, Foreground):
                    job.tell_size()
                status = self.wait(root, job)
                self.done()
                ground.bid_farewell()
                return replace(result, status=status)
            finally:
                if job is not None:
                    job.close()


def _outlive(living: list[Rebuilder], ground: Ground, prepared: Prepared) -> None:
    """From here on everybody goes on if crtool is killed."""
    prepared.sweeper.spare_objects()
    ground.outlive()
    for process in living:
        process.outlive()


def _judge_cpu(snapshot: Snapshot, puppet: Newborn) -> None:
    """Compares the CPU state that the image has with what this CPU can load, which a newborn tells at no cost."""
    if missing := snapshot.host.xfeatures & ~cpu.xfeatures(ptrace.fpu(puppet.tid)):
        raise EnvironmentDiffers(
            f"this CPU lacks registers that the image has (XSAVE features {missing:#x})",
            "restart it on a CPU that has them",
        )


def _rebuild(
    snapshot: Snapshot,
    puppets: dict[int, Newborn],
    prepared: Prepared,
    heritage: Heritage,
    clock: Clock,
    progress: Callable[[Progress], None] | None,
) -> list[Rebuilder]:
    """Makes every newborn what it was; all that is left to do is to let them go."""
    living = [
        Rebuilder(record, puppets[record.pids[0]], prepared) for record in snapshot.processes if not record.zombie
    ]
    tables: set[int] = set()
    views: set[int] = set()
    memories: set[int] = set()
    first_of_table: set[int] = set()
    kernel_vdso = _vdso_code(puppets[snapshot.root])
    here = registry.born(puppets[snapshot.root])
    make_namespaces(snapshot, puppets)
    prepared.ipc.make_below(puppets)
    prepared.rooms = {pid: puppet.pid for pid, puppet in puppets.items()}
    numbers = Numbers(snapshot)
    _bring_to_foreground(puppets, prepared, numbers)
    # Before anybody is stopped: a death that leaves a group without a parent in its session wakes those in there. The
    # first of a PID namespace ends after all others in it.
    for record in sorted(snapshot.processes, key=lambda record: (-len(record.pids), record.pids[-1] == 1)):
        if record.zombie:
            puppets[record.pids[0]].die(record.exit_status, record.comm)
    for process in living:
        if process.record.stop_signal:
            process.puppet.stop(process.record.stop_signal)
            parent = puppets.get(process.record.ppid)
            if process.record.stop_reported and parent is not None:
                number = numbers.seen(process.record.pids[0], process.record.ppid)
                parent.call("waitid", _P_PID, number, 0, _WSTOPPED | os.WNOHANG, 0)
    with clock.stage(Stage.FILES):
        for process in living:
            main = process.record.threads[0]
            if main.files not in tables:
                first_of_table.add(process.record.pids[0])
            process.files(own_table=main.files not in tables, own_view=main.fs not in views)
            tables.add(main.files)
            views.add(main.fs)
    with clock.stage(Stage.SPACE):
        with nullcontext() if prepared.lazy is not None else verifying(prepared.image, progress):
            for process in living:
                if process.record.memory not in memories:
                    memories.add(process.record.memory)
                    process.space(kernel_vdso, heritage)
        if prepared.lazy is not None:
            prepared.lazy.start(process.puppet.pid for process in living)
        for process in living:
            process.births()
    with clock.stage(Stage.FILES):
        complete_files(living, puppets, prepared)
    for owner in snapshot.files.owners:
        batch = Batch()
        owners.restore(batch, replace(owner, pid=numbers.seen(owner.pid, owner.holder)))
        puppets[owner.holder].run(batch)
    with clock.stage(Stage.STATE):
        for process in living:
            process.enter_children_namespace(numbers)
        for process in living:
            process.state(here, own_table=process.record.pids[0] in first_of_table)
    prepared.ipc.adjust(puppets)
    with clock.stage(Stage.RELEASE):
        left: set[int] = set()
        for process in living:
            process.last_calls()
        for process in reversed(living):
            if process.record.memory not in left:
                left.add(process.record.memory)
                process.leave_scratch()
            process.become()
    return living


def _bring_to_foreground(puppets: dict[int, Newborn], prepared: Prepared, numbers: Numbers) -> None:
    """Sets the foreground group of each terminal of the tree, now that all groups are there."""
    for session, group in prepared.foregrounds.items():
        if group and session in puppets:
            # It may have ended: the terminal then keeps its number, and nothing can be set to it.
            fd = prepared.controlling[session]
            seen = numbers.seen(group, session)
            puppets[session].call("ioctl", fd, TIOCSPGRP, seen.to_bytes(4, "little"), must=False)


def _vdso_code(puppet: Newborn) -> bytes:
    for mapping in puppet.mappings():
        if mapping.name == b"[vdso]":
            return os.pread(puppet.memory, mapping.end - mapping.start, mapping.start)
    return b""
