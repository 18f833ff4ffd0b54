"""A batch as bytes: the table of entries that the runner walks, and the buffers behind it.

Whatever is done here is done while somebody stands still, once for each process: so it is done without detours.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator

from crtool.arch import cpu
from crtool.puppet.batch import Batch, Buffer, Call, Series

__all__ = ["Table", "listing", "tables"]

_ALIGN = 16
_U64 = 0xFFFF_FFFF_FFFF_FFFF
_WORDS = cpu.ENTRY.size // 8  # number, 6 arguments, result, where to store it, flags
_RESULT, _STORE = 7, 8


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


class Table:
    """As many calls of a batch as fit into *capacity* bytes at *address*, with their buffers placed."""

    def __init__(self, address: int, capacity: int) -> None:
        self.address = address
        self.calls: list[Call] = []
        self._capacity = capacity
        self._places: dict[Buffer, int] = {}  # → offset in the area of the buffers
        self._uses: dict[Call, int] = {}  # how often its result is an argument here
        self._rows: dict[Call, int] = {}  # number of its entry, of the first one of a series
        self._entries = 0
        self._data = 0

    def add(self, call: Call) -> bool:
        """Takes in *call* with its buffers if they fit; an oversized call alone in a table is an error."""
        new: dict[Buffer, None] = {}
        used: list[Call] = []
        for arg in call.args:
            if isinstance(arg, int):
                continue
            if isinstance(arg, Buffer):
                self._gather(arg, new)
            elif isinstance(arg, Call) and arg in self._uses:
                used.append(arg)
        size = sum([_aligned(buffer.size) for buffer in new])
        # Every use of an earlier result but the first costs an entry that loads it.
        loads = len(used) - sum(1 for one in set(used) if self._uses[one] == 0)
        entries = self._entries + loads + (call.count if isinstance(call, Series) else 1)
        if entries * cpu.ENTRY.size + self._data + size > self._capacity:
            if not self.calls:
                raise ValueError(f"{call.name}: {size} bytes of arguments do not fit into {self._capacity} of scratch")
            return False
        for buffer in new:
            self._places[buffer] = self._data
            self._data += _aligned(buffer.size)
        for one in used:
            self._uses[one] += 1
        if not isinstance(call, Series):
            self._uses[call] = 0
        self._entries = entries
        self.calls.append(call)
        return True

    def _gather(self, buffer: Buffer, new: dict[Buffer, None]) -> None:
        """Adds *buffer*, and those that it points to, to *new* unless they have a place."""
        if buffer not in self._places:
            new[buffer] = None
        for target in buffer.pointers.values():
            self._gather(target, new)

    def _buffers_at(self) -> int:
        return self.address + self._entries * cpu.ENTRY.size

    def address_of(self, buffer: Buffer) -> int:
        """Where *buffer* lies in the task's memory."""
        return self._buffers_at() + self._places[buffer]

    def pack(self) -> tuple[bytes, int]:
        """The bytes to write at the table's address, and the address of the end of its entries."""
        words = array("Q")
        for call in self.calls:
            self._append(words, call)
        self._entries = len(words) // _WORDS
        content = [words.tobytes()]
        content += [self._content(buffer).ljust(_aligned(buffer.size), b"\0") for buffer in self._places]
        return b"".join(content), self._buffers_at()

    def _append(self, words: array[int], call: Call) -> None:
        row = [cpu.NUMBERS[call.name], 0, 0, 0, 0, 0, 0, 0, 0, cpu.ENTRY_MUST if call.must else 0]
        direct: dict[int, int] = {}  # entry whose result goes to an argument → number of that argument
        again: list[tuple[int, int]] = []  # number of an argument, entry whose result goes elsewhere already
        for number, arg in enumerate(call.args, 1):
            if isinstance(arg, int):
                row[number] = arg & _U64
            elif isinstance(arg, Buffer):
                row[number] = self.address_of(arg)
            elif isinstance(arg, Call):
                if (source := self._rows.get(arg, -1)) < 0:
                    row[number] = arg.raw & _U64
                elif source in direct or words[source * _WORDS + _STORE]:
                    again.append((number, source))
                else:
                    direct[source] = number
            else:
                raise TypeError(f"{call.name}: argument {number} is a {type(arg).__name__}")
        at = self.address + len(words) * 8 + len(again) * cpu.ENTRY.size
        for source, number in direct.items():
            words[source * _WORDS + _STORE] = at + 8 * number
        for number, source in again:
            result = self.address + source * cpu.ENTRY.size + cpu.ENTRY_RESULT
            words.extend((0, result, 0, 0, 0, 0, 0, 0, at + 8 * number, cpu.ENTRY_LOAD))
        self._rows[call] = len(words) // _WORDS
        words.extend(_rows(call, row) if isinstance(call, Series) else row)

    def _content(self, buffer: Buffer) -> bytes:
        if not buffer.pointers:
            return buffer.initial()
        content = bytearray(buffer.initial())
        for offset, target in buffer.pointers.items():
            struct.pack_into("<Q", content, offset, self.address_of(target))
        return bytes(content)

    def unpack(self, content: bytes) -> Call | None:
        """Takes the results out of the bytes read back; returns the call that ended the table early, if any."""
        base = self._entries * cpu.ENTRY.size
        results = array("q", content[:base])[_RESULT::_WORDS]
        failed = None
        for call in self.calls:
            row = self._rows[call]
            if isinstance(call, Series):
                call.finish_all(results[row : row + call.count])
            else:
                call.finish(results[row])
            if call.must and call.errno:
                failed = call
                break
        for buffer, offset in self._places.items():
            if not buffer.pointers:
                buffer.fill(content, base + offset)
        return failed

    def entries_of(self, call: Call) -> Iterator[tuple[int, list[int]]]:
        """The numbers of the entries that make *call*, with its arguments as :meth:`resolved`."""
        row, args = self._rows[call], self.resolved(call)
        yield row, args
        if isinstance(call, Series):
            for number in range(1, call.count):
                yield row + number, [arg + number * step for arg, step in zip(args, call.steps, strict=True)]

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


def _rows(series: Series, first: list[int]) -> array[int]:
    """The entries of *series*, of which *first* is the first."""
    rows = array("Q", first) * series.count
    for number, step in enumerate(series.steps, 1):
        if step:
            start = first[number]
            rows[number::_WORDS] = array("Q", range(start, start + series.count * step, step))
    return rows


def tables(batch: Batch, address: int, capacity: int) -> Iterator[Table]:
    """The tables, to be run one after the other, into which *batch* is cut."""
    table = Table(address, capacity)
    for call in batch:
        call.args = tuple([Buffer(len(arg), arg) if isinstance(arg, bytes) else arg for arg in call.args])
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
