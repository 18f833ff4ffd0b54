"""Rebuilding one process after its birth: files, address space, threads, state."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator

from crtool.abi import clone as clone_abi
from crtool.abi import mman
from crtool.abi import ptrace as ptrace_abi
from crtool.arch import cpu
from crtool.engine.heritage import Heritage
from crtool.engine.lay import filled
from crtool.engine.numbers import NEW_NAMESPACE, Numbers
from crtool.engine.prepare import Prepared
from crtool.engine.snapshot import MemoryRecord, ProcessRecord, ThreadRecord
from crtool.errors import PidTaken, RemoteCallError
from crtool.kernel import ptrace
from crtool.procfs.maps import Mapping
from crtool.puppet import last_pid
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn
from crtool.puppet.code import gadgets_of
from crtool.puppet.nest import enter_pid_namespace
from crtool.resources import registry, sigpending
from crtool.resources.files import fs, locks, table
from crtool.resources.memory import aio, bounds, mappings, vdso
from crtool.resources.registry import Born
from crtool.tree.walk import bearer

__all__ = ["Rebuilder"]

_THREAD = clone_abi.CLONE_VM | clone_abi.CLONE_SIGHAND | clone_abi.CLONE_THREAD | clone_abi.CLONE_SYSVSEM


_ATTEMPTS, _PAUSE = 100, 0.005  # at a TID that is taken; seconds in between


class Rebuilder:
    """One process under way from a newborn to what it was."""

    def __init__(self, record: ProcessRecord, puppet: Newborn, prepared: Prepared) -> None:
        self.record = record
        self.puppet = puppet
        self.prepared = prepared
        self.threads: dict[int, Newborn] = {}  # by TID
        self._snapshot = prepared.snapshot

    # -- FILES ---------------------------------------------------------------------------------------

    def files(self, *, own_table: bool, own_view: bool) -> None:
        """Puts descriptors in place and takes up root, folder and umask; what another process did already is left
        out.
        """
        first = self.record.threads[0]
        batch = Batch()
        if own_table:
            self._table(batch, first)
        if own_view:
            self._view(batch, first)
        self.puppet.run(batch)

    def _table(self, batch: Batch, thread: ThreadRecord) -> None:
        record = self._snapshot.files.tables[thread.files]
        table.restore(batch, record, self.prepared.description, self.prepared.base)

    def _view(self, batch: Batch, thread: ThreadRecord) -> None:
        record = self._snapshot.files.views[thread.fs]
        apart = self.record.pids[0] in self.prepared.other_mounts
        root = None if self.prepared.is_own_root(record.root) else self.prepared.folder(record.root, apart=apart)
        fs.restore(batch, record, root, self.prepared.folder(record.cwd, apart=apart))

    # -- SPACE ----------------------------------------------------------------------------------------

    def space(self, kernel_vdso: bytes, heritage: Heritage) -> None:
        """Maps and fills the memory, as far as that has not been done for the births. *kernel_vdso*: the code of the
        vDSO of this kernel.
        """
        memory = self._snapshot.memories[self.record.memory]
        batch = Batch()
        here = self.puppet.mappings()
        foreign = not vdso.same(memory.vdso, here, kernel_vdso)
        lazy = self.prepared.lazy
        content, later = heritage.lay(self.record.pids[0], self.puppet, lazily=lazy is not None)
        if not foreign:
            vdso.settle(batch, memory.vdso, here)
        self.prepared.ipc.attach(batch, memory.mappings)
        self.puppet.run(batch)
        if foreign and memory.vdso.code:
            self._foreign_vdso(memory, here, kernel_vdso)
        aio.restore(self.puppet, memory.rings)
        self._finish_space(memory, filled(content))
        if lazy is not None:
            lazy.watch(self.puppet, memory, later)

    def _foreign_vdso(self, memory: MemoryRecord, here: tuple[Mapping, ...], kernel_vdso: bytes) -> None:
        """Brings back the image's vDSO as plain memory whose functions jump to this kernel's."""
        old = next(special for special in memory.vdso.mappings if special.name == b"[vdso]")
        at = next(mapping.start for mapping in here if mapping.name == b"[vdso]")
        flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED_NOREPLACE
        batch = Batch()
        batch.call("mmap", old.start, old.end - old.start, mman.PROT_READ | mman.PROT_EXEC, flags, -1, 0)
        vdso.put_zeros(batch, memory.vdso)
        self.puppet.run(batch)
        os.pwrite(self.puppet.memory, memory.vdso.code, old.start)
        instructions = {cpu.Registers(thread.registers).ip for thread in self.record.threads}
        for address, patch in vdso.jumps(memory.vdso, kernel_vdso, at, instructions):
            os.pwrite(self.puppet.memory, patch, address)

    def _finish_space(self, memory: MemoryRecord, into: set[int]) -> None:
        batch = Batch()
        guards = list(memory.guards)
        for mapping in memory.mappings:
            inside = [guard for guard in guards if mapping.start <= guard.start < mapping.end] if guards else []
            mappings.finish(batch, mapping, inside, writable=mapping.start in into)
        bounds.restore(batch, memory.bounds, self.prepared.opened(memory.exe, os.O_RDONLY))
        if memory.lock_future:
            batch.call("mlockall", memory.lock_future, label="locking of future mappings")
        self.puppet.run(batch)

    def births(self) -> None:
        """The threads beside the main one are born by it."""
        main, *others = self.record.threads
        if self.record.dead_leader:
            others.insert(0, main)
        else:
            self.threads[main.tid] = self.puppet
        if not others:
            return
        left = others
        for _ in range(_ATTEMPTS):
            left = self._bear(left, main)
            if not left:
                break
            time.sleep(_PAUSE)
        else:
            raise PidTaken(left[0].tid, bearer(left[0].tid))
        for thread in others:
            batch = Batch()
            if thread.files != main.files:
                self._table(batch, thread)
            if thread.fs != main.fs:
                self._view(batch, thread)
            if len(batch):
                self.threads[thread.tid].run(batch)

    def _bear(self, wanted: list[ThreadRecord], main: ThreadRecord) -> list[ThreadRecord]:
        """Lets the threads *wanted* be born; returns those whose TID was not free. That of a thread which has just
        died is not for a moment, even when its process has been waited for.
        """
        batch = Batch()
        calls = []
        for thread in wanted:
            flags = _THREAD
            flags |= clone_abi.CLONE_FILES if thread.files == main.files else 0
            flags |= clone_abi.CLONE_FS if thread.fs == main.fs else 0
            calls.append(self.puppet.clone(batch, flags, 0, thread.tids, must=False))
        self.puppet.run(batch)
        born = iter(self.puppet.born)
        taken = []
        for thread, call in zip(wanted, calls, strict=True):
            if call.errno == errno.EEXIST:
                taken.append(thread)
                continue
            if call.errno:
                raise RemoteCallError("clone3", [thread.tid], call.errno, self.puppet.pid)
            self.threads[thread.tid] = Newborn.attached(next(born), self.puppet, thread=True)
            if last_pid.needed() and not last_pid.has_pids(self.threads[thread.tid].tid, (thread.tid,)):
                raise PidTaken(thread.tid, bearer(thread.tid))
        self.puppet.born.clear()
        return taken

    def enter_children_namespace(self, numbers: Numbers) -> None:
        """Lets each thread choose where its children will be born, when it bears no threads any more."""
        for thread in self.record.threads:
            if thread.children_namespace == self.record.namespace:
                continue
            batch = Batch()
            if thread.children_namespace == NEW_NAMESPACE:
                batch.call("unshare", clone_abi.CLONE_NEWPID, label="PID namespace of the children")
            else:
                enter_pid_namespace(batch, numbers.seen(thread.children_namespace, self.record.pids[0]))
            self.threads[thread.tid].run(batch)

    # -- STATE and RELEASE ------------------------------------------------------------------------------

    def state(self, here: Born, *, own_table: bool) -> None:
        """Everything that is neither files nor memory. Nobody in the tree is born, stops or dies any more.

        *here*: the settings with which all puppets were born.
        """
        main = self.record.threads[0]
        for thread in self.record.threads:
            if own_table if thread is main else thread.files != main.files:
                batch = Batch()
                table.close_above(batch, self.prepared.base)
                # Only now: closing any descriptor of a file drops the locks of the process.
                locked = locks.restore(batch, self._snapshot.files.tables[thread.files].locks)
                self.threads[thread.tid].run(batch)
                locked(thread.tid, self.prepared.warnings.append)
        state = self.record.state
        assert state is not None
        for thread in self.record.threads:
            batch = Batch()
            registry.restore_thread(batch, thread.state, here)
            self.threads[thread.tid].run(batch)
        threads = {thread.tid: (self.threads[thread.tid], thread.state) for thread in self.record.threads}
        warnings = self.prepared.warnings
        warnings.extend(registry.restore_process(state, threads, here))
        registry.restore_from_outside(self._door, state, here)
        for thread in self.record.threads:
            puppet = self.threads[thread.tid]
            if registry.needs_suspension(thread.state):
                puppet.suspend_seccomp()
            batch = Batch()
            registry.restore_rights(batch, thread.state, here)
            puppet.run(batch)
        batch = Batch()
        registry.restore_last(batch, state)
        self.threads[self.record.threads[0].tid].run(batch)
        for thread in self.record.threads:
            tid = self.threads[thread.tid].tid
            warnings.extend(registry.restore_thread_from_outside(tid, thread.state, here))
        warnings.extend(registry.losses(state, (thread.state for thread in self.record.threads), here))

    @property
    def _door(self) -> int:
        """The TID through whose folder in /proc the process is reached."""
        return self.threads[self.record.threads[0].tid].tid

    def last_calls(self) -> None:
        """Gives the threads what batches would disturb, when none is run any more."""
        state = self.record.state
        for thread in self.record.threads:
            puppet = self.threads[thread.tid]
            if flags := cpu.Registers(thread.registers).flags_beyond_ptrace:
                puppet.set_flags(flags)
            registry.restore_quietly(puppet, thread.state, state)
            state = None

    def leave_scratch(self) -> None:
        """Unmaps the scratch mapping: no call can be made in this address space any more."""
        self.puppet.leave_scratch()

    def become(self) -> None:
        """Gives every thread its registers, FPU and signal mask."""
        for thread in self.record.threads:
            puppet = self.threads[thread.tid]
            ptrace.set_options(puppet.tid, ptrace_abi.O_TRACESYSGOOD | ptrace_abi.O_EXITKILL)
            puppet.become(cpu.Registers(thread.registers), thread.fpu, thread.mask)

    def complete(self, *, stopped: bool, signal_number: int) -> None:
        """The last that happens to the process. *stopped*: it is to stand still until somebody sends SIGCONT.
        *signal_number*: by which it is told of the restart, behind all that it has been sent before; 0 for none.
        """
        if stopped:
            os.kill(self.puppet.pid, signal.SIGSTOP)
        for thread in self.record.threads:
            tid = self.threads[thread.tid].tid
            sigpending.restore_thread_from_outside(self.puppet.pid, tid, thread.state.pending)
        if self.record.state is not None:
            sigpending.restore_from_outside(self.puppet.pid, self.record.state.pending)
        if signal_number:
            os.kill(self.puppet.pid, signal_number)
        if self.record.dead_leader:
            self._end_leader()

    def outlive(self) -> None:
        """From here on the process goes on even if crtool dies, since everybody in the tree is complete."""
        for puppet in self.threads.values():
            ptrace.set_options(puppet.tid, ptrace_abi.O_TRACESYSGOOD)

    def release(self) -> Iterator[Callable[[], None]]:
        """What detaches from every thread, a step each."""
        yield from (puppet.release for puppet in self.threads.values())
        yield self.puppet.close

    def _end_leader(self) -> None:
        """Lets the main thread, whose scratch mapping is gone, end by itself from a call in the program's own code."""
        gadgets = gadgets_of(self.puppet.pid, self.puppet.memory, self.puppet.mappings())
        registers = ptrace.registers(self.puppet.tid)
        registers.aim_at_call(gadgets.call, cpu.NUMBERS["exit"], (0,), registers.sp)
        ptrace.set_registers(self.puppet.tid, registers)
        self.puppet.release()


def needed_files(prepared: Prepared) -> None:
    """Opens everything that the puppets will ask for, before the births, so that they inherit it."""
    snapshot = prepared.snapshot
    for memory in snapshot.memories:
        prepared.opened(memory.exe, os.O_RDONLY)
        for mapping in memory.mappings:
            if mapping.inode >= 0 and mapping.inode not in prepared.ipc:
                prepared.mapped(mapping)
    for view in snapshot.files.views:
        prepared.folder(view.cwd)
        if not prepared.is_own_root(view.root):
            prepared.folder(view.root)
