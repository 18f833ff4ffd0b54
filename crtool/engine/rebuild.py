"""Rebuilding one process after its birth: files, address space, threads, state."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator

from crtool.abi import clone as clone_abi
from crtool.abi import mman
from crtool.abi import ptrace as ptrace_abi
from crtool.arch import cpu
from crtool.engine.prepare import Prepared
from crtool.engine.snapshot import MemoryRecord, ProcessRecord, ThreadRecord
from crtool.errors import EnvironmentDiffers, ImageError, RemoteCallError
from crtool.kernel import ptrace
from crtool.procfs.maps import Mapping
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn
from crtool.puppet.code import gadgets_of
from crtool.resources import registry, sigpending
from crtool.resources.files import epoll, fs, table
from crtool.resources.memory import bounds, mappings, pages, vdso
from crtool.resources.memory.mappings import MappingRecord
from crtool.resources.memory.pages import ExtentRecord
from crtool.resources.registry import Born

__all__ = ["Rebuilder"]

_THREAD = (
    clone_abi.CLONE_VM
    | clone_abi.CLONE_SIGHAND
    | clone_abi.CLONE_THREAD
    | clone_abi.CLONE_SYSVSEM
)


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
            self._epolls(batch, first)
        if own_view:
            self._view(batch, first)
        self.puppet.run(batch)

    def _epolls(self, batch: Batch, thread: ThreadRecord) -> None:
        """Adds the entries of the epoll instances whose descriptors are in this table."""
        for descriptor in self._snapshot.files.tables[thread.files].descriptors:
            record = self._snapshot.files.descriptions[descriptor.description]
            if not isinstance(record, epoll.EpollRecord) or record.owner != self.record.pids[0]:
                continue
            if self.prepared.first_time(descriptor.description):
                epoll.add_entries(batch, record, descriptor.fd)

    def _table(self, batch: Batch, thread: ThreadRecord) -> None:
        record = self._snapshot.files.tables[thread.files]
        table.restore(batch, record, self.prepared.description, self.prepared.base)

    def _view(self, batch: Batch, thread: ThreadRecord) -> None:
        record = self._snapshot.files.views[thread.fs]
        root = -1 if self.prepared.is_own_root(record.root) else self.prepared.opened(record.root, os.O_PATH)
        fs.restore(batch, record, root, self.prepared.opened(record.cwd, os.O_PATH))

    # -- SPACE ----------------------------------------------------------------------------------------

    def space(self, kernel_vdso: bytes) -> None:
        """Maps and fills the memory. *kernel_vdso*: the code of the vDSO of this kernel."""
        memory = self._snapshot.memories[self.record.memory]
        filled = _filled(memory.mappings, memory.extents)
        batch = Batch()
        here = self.puppet.mappings()
        foreign = not vdso.same(memory.vdso, here, kernel_vdso)
        if not foreign:
            vdso.settle(batch, memory.vdso, here)
        for mapping in memory.mappings:
            mappings.place(batch, mapping, self._file_of(mapping), writable=mapping.start in filled)
        image = self.prepared.image
        reads = []
        if not image.is_stream and memory.extents:
            offset = image.data_offset + memory.data
            reads = pages.fill(batch, self.prepared.image_fd, offset, memory.extents)
        self.puppet.run(batch)
        for call, expected in reads:
            if call.value != expected:
                raise ImageError(f"{image.name} got shorter while it was read", "use another copy of it")
        if image.is_stream:
            self._fill_from_stream(memory)
        if foreign and memory.vdso.code:
            self._foreign_vdso(memory, here, kernel_vdso)
        self._finish_space(memory, filled)

    def _file_of(self, mapping: MappingRecord) -> int:
        if mapping.inode < 0:
            return -1
        return self.prepared.opened(mapping.inode, mapping_flags(mapping))

    def _fill_from_stream(self, memory: MemoryRecord) -> None:
        position = memory.data
        for extent in memory.extents:
            for address, view in self.prepared.pieces(position, extent.length):
                done = 0
                while done < len(view):
                    done += os.pwritev(self.puppet.memory, [view[done:]], extent.start + address + done)
            position += extent.length

    def _foreign_vdso(self, memory: MemoryRecord, here: tuple[Mapping, ...], kernel_vdso: bytes) -> None:
        """Brings back the image's vDSO as plain memory whose functions jump to this kernel's."""
        old = next(special for special in memory.vdso.mappings if special.name == b"[vdso]")
        at = next(mapping.start for mapping in here if mapping.name == b"[vdso]")
        flags = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED_NOREPLACE
        self.puppet.call("mmap", old.start, old.end - old.start, mman.PROT_READ | mman.PROT_EXEC, flags, -1, 0)
        os.pwrite(self.puppet.memory, memory.vdso.code, old.start)
        for address, patch in vdso.jumps(memory.vdso, kernel_vdso, at):
            os.pwrite(self.puppet.memory, patch, address)

    def _finish_space(self, memory: MemoryRecord, filled: set[int]) -> None:
        batch = Batch()
        guards = list(memory.guards)
        for mapping in memory.mappings:
            inside = [guard for guard in guards if mapping.start <= guard.start < mapping.end] if guards else []
            mappings.finish(batch, mapping, inside, writable=mapping.start in filled)
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
            raise EnvironmentDiffers(f"TID {left[0].tid} is taken", "wait until its owner has ended, and try again")
        for thread in others:
            batch = Batch()
            if thread.files != main.files:
                self._table(batch, thread)
                table.close_above(batch, self.prepared.base)
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
            calls.append(self.puppet.clone(batch, flags, 0, (thread.tid,), must=False))
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
        self.puppet.born.clear()
        return taken

    # -- STATE and RELEASE ------------------------------------------------------------------------------

    def state(self, here: Born, *, own_table: bool) -> None:
        """Everything that is neither files nor memory. Nobody in the tree is born, stops or dies any more.

        *here*: the settings with which all puppets were born.
        """
        batch = Batch()
        if own_table:
            table.close_above(batch, self.prepared.base)
        self.puppet.run(batch)
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
            warnings.extend(registry.restore_thread_from_outside(thread.tid, thread.state, here))
        warnings.extend(registry.losses(state, (thread.state for thread in self.record.threads), here))

    @property
    def _door(self) -> int:
        """The TID through whose folder in /proc the process is reached."""
        return self.record.threads[0].tid

    def leave_scratch(self) -> None:
        """Unmaps the scratch mapping: no batch can be run in this address space any more."""
        for thread in self.record.threads:
            if flags := cpu.Registers(thread.registers).flags_beyond_ptrace:
                self.threads[thread.tid].set_flags(flags)
        self.puppet.leave_scratch()

    def become(self) -> None:
        """Gives every thread its registers, FPU and signal mask."""
        for thread in self.record.threads:
            puppet = self.threads[thread.tid]
            ptrace.set_options(puppet.tid, ptrace_abi.O_TRACESYSGOOD | ptrace_abi.O_EXITKILL)
            puppet.become(cpu.Registers(thread.registers), thread.fpu, thread.mask)

    def complete(self, *, stopped: bool) -> None:
        """The last that happens to the process. *stopped*: it is to stand still until somebody sends SIGCONT."""
        if stopped:
            os.kill(self.puppet.pid, signal.SIGSTOP)
        for thread in self.record.threads:
            sigpending.restore_thread_from_outside(self.puppet.pid, thread.tid, thread.state.pending)
        if self.record.state is not None:
            sigpending.restore_from_outside(self.puppet.pid, self.record.state.pending)
        if self.record.dead_leader:
            self._end_leader()

    def outlive(self) -> None:
        """From here on the process goes on even if crtool dies, since everybody in the tree is complete."""
        for puppet in self.threads.values():
            ptrace.set_options(puppet.tid, ptrace_abi.O_TRACESYSGOOD)

    def release(self) -> None:
        """Detaches from every thread."""
        for puppet in self.threads.values():
            puppet.release()
        os.close(self.puppet.memory)

    def _end_leader(self) -> None:
        """Lets the main thread, whose scratch mapping is gone, end by itself from a call in the program's own code."""
        gadgets = gadgets_of(self.puppet.pid, self.puppet.memory, self.puppet.mappings())
        registers = ptrace.registers(self.puppet.tid)
        registers.aim_at_call(gadgets.call, cpu.NUMBERS["exit"], (0,), registers.sp)
        ptrace.set_registers(self.puppet.tid, registers)
        self.puppet.release()


def mapping_flags(mapping: MappingRecord) -> int:
    """How the file of a mapping has to be opened."""
    return os.O_RDWR if mapping.may_write else os.O_RDONLY


def _filled(records: tuple[MappingRecord, ...], extents: tuple[ExtentRecord, ...]) -> set[int]:
    """The start addresses of the mappings into which pages are filled that the program itself may not write."""
    found = set()
    stretches: Iterator[ExtentRecord] = iter(extents)
    extent = next(stretches, None)
    for record in records:
        while extent is not None and extent.start + extent.length <= record.start:
            extent = next(stretches, None)
        if extent is None:
            break
        readwrite = mman.PROT_READ | mman.PROT_WRITE
        if extent.start < record.end and record.protection & readwrite != readwrite:
            found.add(record.start)
    return found


def needed_files(prepared: Prepared) -> None:
    """Opens everything that the puppets will ask for, before the births, so that they inherit it."""
    snapshot = prepared.snapshot
    for memory in snapshot.memories:
        prepared.opened(memory.exe, os.O_RDONLY)
        for mapping in memory.mappings:
            if mapping.inode >= 0:
                prepared.opened(mapping.inode, mapping_flags(mapping))
    for view in snapshot.files.views:
        prepared.opened(view.cwd, os.O_PATH)
        if not prepared.is_own_root(view.root):
            prepared.opened(view.root, os.O_PATH)
