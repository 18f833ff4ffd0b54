"""The story of a restart, top to bottom."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from crtool.abi.termios import TIOCSPGRP
from crtool.arch import cpu
from crtool.engine.foreground import Foreground
from crtool.engine.forest import forest_of
from crtool.engine.prepare import Prepared
from crtool.engine.rebuild import Rebuilder, needed_files
from crtool.engine.relay import Relay
from crtool.engine.results import Progress, RestartResult
from crtool.engine.snapshot import Snapshot
from crtool.engine.stages import Clock, Stage
from crtool.engine.wait import signals_held, wait_for
from crtool.errors import EnvironmentDiffers
from crtool.image import codec
from crtool.image.reader import ImageReader
from crtool.kernel import ptrace
from crtool.kernel.prctl import child_subreaper
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn, Space
from crtool.puppet.space import largest_hole
from crtool.puppet.thread import await_group_stop
from crtool.resources import registry
from crtool.resources.files import owners
from crtool.resources.files.terminals import find_callers
from crtool.tree.grow import grow, kill_all
from crtool.tree.plan import plan

__all__ = ["restart"]

_P_PID, _WSTOPPED = 1, 2  # waitid(2)


def restart(
    image: str | os.PathLike[str] | int,
    *,
    detach: bool = False,
    leave_stopped: bool = False,
    pidfile: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> RestartResult:
    """Brings back the processes of *image* (a path, or a descriptor to read from), with the PIDs they had.

    Waits for the root's end, forwarding signals to it, unless *detach*. *pidfile* gets the root's PID once everything
    runs.

    Raises NotFound, ImageError (before a process is born), EnvironmentDiffers; after any of them nothing is left
    behind.
    """
    clock = Clock()
    reader = ImageReader.from_descriptor(image) if isinstance(image, int) else ImageReader.open(image)
    with reader:
        with clock.stage(Stage.READ):
            reader.info.require_cpu(cpu.NAME, cpu.PAGE_SIZE, reader.name)
            snapshot = codec.unpack(reader.records, Snapshot)
            if not reader.is_stream:
                reader.verify(None if progress is None else lambda n, total: progress(Progress("verifying", n, total)))
        with Prepared(snapshot, reader) as prepared:
            with clock.stage(Stage.PREPARE):
                _judge_terminal(snapshot, detach=detach)
                order = plan(forest_of(snapshot), _numbers_in_use())
                prepared.make()
                needed_files(prepared)
            with child_subreaper():
                with clock.stage(Stage.BIRTHS):
                    puppets = grow(order, _free_space(snapshot), who_has, prepared.controlling)
                try:
                    _judge_cpu(snapshot, puppets[snapshot.root])
                    living = _rebuild(snapshot, puppets, prepared, clock)
                    if reader.is_stream:
                        reader.finish()
                    prepared_pidfile = None if pidfile is None else _prepare_pidfile(pidfile, snapshot.root)
                    job = None if detach else _attend_terminal(snapshot, prepared)
                except BaseException:
                    kill_all(puppets)
                    raise
            with signals_held():
                with clock.stage(Stage.RELEASE):
                    _release(living, stopped=leave_stopped)
                if pidfile is not None and prepared_pidfile is not None:
                    os.rename(prepared_pidfile, pidfile)
                result = RestartResult(
                    pid=snapshot.root,
                    processes=len(snapshot.processes),
                    wall_seconds=clock.wall,
                    warnings=tuple(prepared.warnings),
                )
                prepared.close()
                reader.close()
                if detach:
                    return result
                try:
                    if isinstance(job, Foreground):
                        job.tell_size()
                    return RestartResult(**{**result.__dict__, "status": wait_for(snapshot.root, job)})
                finally:
                    if job is not None:
                        job.close()


def _release(living: list[Rebuilder], *, stopped: bool) -> None:
    """From here on the programs run: everybody is detached, each step for all before the next for any."""
    for process in living:
        process.complete(stopped=stopped)
    for process in living:
        process.outlive()
    for process in living:
        process.release()
    await_group_stop([pid for process in living if process.record.stop_signal for pid in process.threads])


def _judge_cpu(snapshot: Snapshot, puppet: Newborn) -> None:
    """Compares the CPU state that the image has with what this CPU can load, which a newborn tells at no cost."""
    if missing := snapshot.host.xfeatures & ~cpu.xfeatures(ptrace.fpu(puppet.tid)):
        raise EnvironmentDiffers(
            f"this CPU lacks registers that the image has (XSAVE features {missing:#x})",
            "restart it on a CPU that has them",
        )


def _judge_terminal(snapshot: Snapshot, *, detach: bool) -> None:
    """A session that had a terminal of its own gets one that crtool passes on, for as long as it waits."""
    record = snapshot.files.terminal
    if detach and record is not None and record.session:
        raise EnvironmentDiffers(
            f"the image wants a terminal in the place of {record.name.decode(errors='replace')}, as long as it runs",
            "restart it without --detach",
        )


def _numbers_in_use() -> set[int]:
    """The PIDs of this machine."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def _free_space(snapshot: Snapshot) -> Space:
    """Addresses that are free in every address space of the image, for the newborns to live in."""
    extents = [mapping for memory in snapshot.memories for mapping in memory.mappings]
    special = [mapping for memory in snapshot.memories for mapping in memory.vdso.mappings]
    return Space(largest_hole([*extents, *special], Space.SIZE))


def who_has(pid: int) -> str:
    """In words, who bears a number."""
    from crtool.tree.walk import bearer  # noqa: PLC0415

    return bearer(pid)


def _rebuild(
    snapshot: Snapshot,
    puppets: dict[int, Newborn],
    prepared: Prepared,
    clock: Clock,
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
    _bring_to_foreground(puppets, prepared)
    for process in living:
        if process.record.stop_signal:
            process.puppet.stop(process.record.stop_signal)
            parent = puppets.get(process.record.ppid)
            if process.record.stop_reported and parent is not None:
                parent.call("waitid", _P_PID, process.record.pids[0], 0, _WSTOPPED | os.WNOHANG, 0)
    with clock.stage(Stage.FILES):
        for process in living:
            main = process.record.threads[0]
            if main.files not in tables:
                first_of_table.add(process.record.pids[0])
            process.files(own_table=main.files not in tables, own_view=main.fs not in views)
            tables.add(main.files)
            views.add(main.fs)
    with clock.stage(Stage.SPACE):
        for process in living:
            if process.record.memory not in memories:
                memories.add(process.record.memory)
                process.space(kernel_vdso)
        for process in living:
            process.births()
    for owner in snapshot.files.owners:
        batch = Batch()
        owners.restore(batch, owner)
        puppets[owner.holder].run(batch)
    with clock.stage(Stage.STATE):
        for record in snapshot.processes:
            if record.zombie:
                puppets[record.pids[0]].die(record.exit_status, record.comm)
        for process in living:
            process.state(here, own_table=process.record.pids[0] in first_of_table)
    with clock.stage(Stage.RELEASE):
        left: set[int] = set()
        for process in reversed(living):
            if process.record.memory not in left:
                left.add(process.record.memory)
                process.leave_scratch()
            process.become()
    return living


def _bring_to_foreground(puppets: dict[int, Newborn], prepared: Prepared) -> None:
    """Sets the foreground group of each terminal of the tree, now that all groups are there."""
    for session, group in prepared.foregrounds.items():
        if group and session in puppets:
            # It may have ended: the terminal then keeps its number, and nothing can be set to it.
            fd = prepared.controlling[session]
            puppets[session].call("ioctl", fd, TIOCSPGRP, group.to_bytes(4, "little"), must=False)


def _attend_terminal(snapshot: Snapshot, prepared: Prepared) -> Foreground | Relay | None:
    """Gives the caller's terminal to the program, if the program has it."""
    record = snapshot.files.terminal
    if record is None:
        return None
    fd = find_callers(record)
    if prepared.relay_master >= 0:
        master, prepared.relay_master = prepared.relay_master, -1
        relay = Relay(fd, master)
        relay.start()
        return relay
    members = (process.pids[0] for process in snapshot.processes if process.pgid == record.foreground)
    foreground = Foreground(fd, record, os.getpgid(next(members, snapshot.root)))
    if foreground.wanted:
        foreground.lend()
    return foreground


def _vdso_code(puppet: Newborn) -> bytes:
    for mapping in puppet.mappings():
        if mapping.name == b"[vdso]":
            return os.pread(puppet.memory, mapping.end - mapping.start, mapping.start)
    return b""


def _prepare_pidfile(path: str, pid: int) -> str:
    """Writes the PID beside *path*, so that nothing but a rename is left to be done when everything runs."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "w", encoding="ascii") as file:
            file.write(f"{pid}\n")
    except OSError as error:
        with suppress(OSError):
            os.unlink(temporary)
        raise EnvironmentDiffers(f"{path} cannot be written: {error.strerror}", "choose another --pidfile") from None
    return temporary
