"""A batch as bytes: the table of entries that the runner walks, and the buffers behind it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import field

from crtool.arch import cpu
from crtool.puppet.batch import Argument, Batch, Buffer, Call
from crtool.record import dataclass

__all__ = ["Table", "listing", "tables"]

_ALIGN = 16
_U64 = 0xFFFF_FFFF_FFFF_FFFF


def _reachable(args: Iterable[Argument]) -> Iterator[Buffer]:
    for arg in args:
        if isinstance(arg, Buffer):
            yield arg
            yield from _reachable(arg.pointers.values())


@dataclass
class Table:
    """As many calls of a batch as fit into *capacity* bytes at *address*, with their buffers placed."""

    address: int
    capacity: int
    calls: list[Call] = field(default_factory=list)
    _places: dict[int, tuple[Buffer, int]] = field(default_factory=dict)  # id → buffer, offset in the buffers' area
    _copies: dict[int, int] = field(default_factory=dict)  # id of a call → how often its result is used here
    _rows: dict[int, int] = field(default_factory=dict)  # id of a call → number of its entry, once packed
    _entries: int = 0
    _data: int = 0

    def add(self, call: Call) -> bool:
        """Takes in *call* with its buffers if they fit; an oversized call alone in a table is an error."""
        new: dict[int, Buffer] = {
            id(buffer): buffer for buffer in _reachable(call.args) if id(buffer) not in self._places
        }
        size = sum(-(-buffer.size // _ALIGN) * _ALIGN for buffer in new.values())
        uses = [id(arg) for arg in call.args if isinstance(arg, Call) and id(arg) in self._copies]
        # Every use of an earlier result but the first costs an entry that loads it.
        loads = len(uses) - sum(1 for use in set(uses) if self._copies[use] == 0)
        entries = self._entries + 1 + loads
        if entries * cpu.ENTRY.size + self._data + size > self.capacity:
            if not self.calls:
                raise ValueError(f"{call.name}: {size} bytes of arguments do not fit into {self.capacity} of scratch")
            return False
        for key, buffer in new.items():
            self._places[key] = (buffer, self._data)
            self._data += -(-buffer.size // _ALIGN) * _ALIGN
        for use in uses:
            self._copies[use] += 1
        self._copies[id(call)] = 0
        self._entries = entries
        self.calls.append(call)
        return True

    def _buffers_at(self) -> int:
        return self.address + self._entries * cpu.ENTRY.size

    def address_of(self, buffer: Buffer) -> int:
        """Where *buffer* lies in the task's memory."""
        return self._buffers_at() + self._places[id(buffer)][1]

    def pack(self) -> tuple[bytes, int]:
        """The bytes to write at the table's address, and the address of the end of its entries."""
        size = cpu.ENTRY.size
        index: dict[int, int] = {}
        rows: list[list[int]] = []  # number, 6 arguments, result, store, flags
        for call in self.calls:
            row = [cpu.NUMBERS[call.name], 0, 0, 0, 0, 0, 0, 0, 0, cpu.ENTRY_MUST if call.must else 0]
            links: list[tuple[int, int]] = []  # argument number, entry whose result goes there
            for number, arg in enumerate(call.args, 1):
                if isinstance(arg, int):
                    row[number] = arg & _U64
                elif isinstance(arg, Buffer):
                    row[number] = self.address_of(arg)
                elif isinstance(arg, Call):
                    if id(arg) in index:
                        links.append((number, index[id(arg)]))
                    else:
                        row[number] = arg.raw & _U64
                else:
                    raise TypeError(f"{call.name}: argument {number} is a {type(arg).__name__}")
            pending: list[tuple[int, int]] = []
            for number, source in links:
                if rows[source][8] == 0:
                    pending.append((number, source))
                else:
                    result = self.address + source * size + cpu.ENTRY_RESULT
                    pending.append((number, len(rows)))
                    rows.append([0, result, 0, 0, 0, 0, 0, 0, 0, cpu.ENTRY_LOAD])
            for number, source in pending:
                rows[source][8] = self.address + len(rows) * size + 8 * number
            index[id(call)] = len(rows)
            rows.append(row)
        self._rows = index
        self._entries = len(rows)
        packed = bytearray(b"".join(cpu.ENTRY.pack(*row) for row in rows))
        for buffer, _ in self._places.values():
            content = bytearray(buffer.initial())
            for offset, target in buffer.pointers.items():
                struct.pack_into("<Q", content, offset, self.address_of(target))
            packed += content.ljust(-(-buffer.size // _ALIGN) * _ALIGN, b"\0")
        return bytes(packed), self._buffers_at()

    def unpack(self, content: bytes) -> Call | None:
        """Takes the results out of the bytes read back; returns the call that ended the table early, if any."""
        for call in self.calls:
            (result,) = struct.unpack_from("<q", content, self._rows[id(call)] * cpu.ENTRY.size + cpu.ENTRY_RESULT)
            call.finish(result)
            if call.must and call.errno:
                break
        base = self._entries * cpu.ENTRY.size
        for buffer, offset in self._places.values():
            if not buffer.pointers:
                buffer.fill(content[base + offset : base + offset + buffer.size])
        last = next((call for call in self.calls if call.done and call.must and call.errno), None)
        return last

    def row(self, call: Call) -> int:
        """The number of the entry that makes *call*."""
        return self._rows[id(call)]

    def resolved(self, call: Call) -> list[int]:
        """The arguments of *call* as numbers, for error messages and for making the calls one by one."""
        numbers = []
        for arg in call.args:
            if isinstance(arg, Buffer):
                numbers.append(self.address_of(arg))
            elif isinstance(arg, Call):
                numbers.append(arg.raw if arg.done else 0)
            elif isinstance(arg, int):
                numbers.append(arg)
        return numbers


def tables(batch: Batch, address: int, capacity: int) -> Iterator[Table]:
    """The tables, to be run one after the other, into which *batch* is cut."""
    table = Table(address, capacity)
    for call in batch:
        call.args = tuple(Buffer(len(arg), arg) if isinstance(arg, bytes) else arg for arg in call.args)
        if not table.add(call):
            yield table
            table = Table(address, capacity)
            table.add(call)
    if table.calls:
        yield table


def listing(table: Table) -> str:
    """The calls of a table that has been run, one per line, for people who debug."""
    lines = []
    for call in table.calls:
        args = ", ".join(hex(arg & _U64) if abs(arg) > 9999 else str(arg) for arg in table.resolved(call))
        outcome = f"= {call.raw}" if call.done else "not made"
        lines.append(f"{call.name}({args}) {outcome}{'  # ' + call.label if call.label else ''}")
    return "\n".join(lines)
