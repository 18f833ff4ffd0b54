"""The puppet: a task that executes batches for us.

Two kinds share what is here: a *held* task (:mod:`crtool.puppet.hold`), a live program that must never be
harmed, and a *newborn* (:mod:`crtool.puppet.birth`), a blank process that is becoming one. Both
have a scratch mapping: one page of code (the runner) and behind it data for tables and buffers. Where nothing forbids
it, both are in one mapping.
"""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod

from crtool import faults
from crtool.arch import cpu
from crtool.errors import RemoteCallError, TargetDied
from crtool.puppet.batch import Batch, Call
from crtool.puppet.table import Table, listing, tables
from crtool.record import dataclass

__all__ = ["Puppet", "Scratch"]


@dataclass(frozen=True)
class Scratch:
    """Where the scratch mapping lies: a page of code at *start*, then data up to *end*."""

    start: int
    end: int

    @property
    def data(self) -> int:
        """The address of the data."""
        return self.start + cpu.PAGE_SIZE

    @property
    def capacity(self) -> int:
        """The size of the data in bytes."""
        return self.end - self.data


class Puppet(ABC):
    """A task that makes system calls for us, a batch at a time."""

    pid: int
    scratch: Scratch
    memory: int  # descriptor of /proc/PID/mem, open for reading and writing

    @abstractmethod
    def _go(self, table: Table, end: int) -> None:
        """Lets the runner walk the table, which lies in scratch, up to address *end*."""

    def run(self, batch: Batch) -> None:
        """Makes the calls of *batch*; raises RemoteCallError at the first *must* call that fails."""
        for table in tables(batch, self.scratch.data, self.scratch.capacity):
            faults.point("batch")
            content, end = table.pack()
            self._write(table.address, content)
            self._go(table, end)
            faults.point("batch made")
            results = os.pread(self.memory, len(content), table.address)
            if len(results) < len(content):
                raise TargetDied(self.pid)
            failed = table.unpack(results)
            _tell(self.pid, table)
            if number := faults.fail_transfer():
                raise RemoteCallError(table.calls[0].name, table.resolved(table.calls[0]), number, self.pid)
            if failed is not None:
                raise RemoteCallError(failed.name, table.resolved(failed), failed.errno, self.pid)

    def call(self, name: str, *args: int | bytes, must: bool = True) -> Call:
        """One call, as a batch of its own."""
        batch = Batch()
        call = batch.call(name, *args, must=must)
        self.run(batch)
        return call

    def _write(self, address: int, content: bytes) -> None:
        """Writes through /proc/PID/mem, which also reaches pages that the task itself may not write."""
        view = memoryview(content)
        while view:
            done = os.pwrite(self.memory, view, address)
            if not done:  # its memory is gone
                raise TargetDied(self.pid)
            view, address = view[done:], address + done


def _tell(pid: int, table: Table) -> None:
    """Logs a batch that was made. Nobody listens who has not imported logging, which takes long."""
    if (logging := sys.modules.get("logging")) is not None:
        log = logging.getLogger("crtool.batch")
        if log.isEnabledFor(logging.DEBUG):
            log.debug("PID %d:\n%s", pid, listing(table))
