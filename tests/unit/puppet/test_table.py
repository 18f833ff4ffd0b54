"""Batches as bytes: what the runner finds, and what is taken back from it."""

from __future__ import annotations

import pytest

from crtool.arch import cpu
from crtool.puppet.batch import Batch, Buffer
from crtool.puppet.table import Table, tables

AT = 0x10_0000
ROOM = 1 << 16


def packed(batch: Batch) -> tuple[Table, bytes]:
    (table,) = tables(batch, AT, ROOM)
    content, _ = table.pack()
    return table, content


def rows(content: bytes, count: int) -> list[tuple[int, ...]]:
    return [cpu.ENTRY.unpack_from(content, row * cpu.ENTRY.size) for row in range(count)]


def answered(content: bytes, results: list[int]) -> bytes:
    """*content* as the runner leaves it."""
    done = bytearray(content)
    for row, result in enumerate(results):
        at = row * cpu.ENTRY.size + cpu.ENTRY_RESULT
        done[at : at + 8] = result.to_bytes(8, "little", signed=True)
    return bytes(done)


def test_a_series_is_as_many_calls():
    one, many = Batch(), Batch()
    buffer = one.buffer(96)
    places = [buffer] + [0] * 2  # an address in the middle of a buffer is a number
    single = [one.call("read", 3 + n, places[n], 32) for n in range(3)]
    many.series(3, "read", 3, many.buffer(96), 32, steps=(1, 32, 0))

    table, content = packed(one)
    address = table.address_of(buffer)
    expected = [list(row) for row in rows(content, 3)]
    for number, row in enumerate(expected):
        row[2] = address + 32 * number

    assert len(single) == 3
    assert expected == [list(row) for row in rows(packed(many)[1], 3)]


@pytest.mark.parametrize(("results", "value"), [([7, 8, 9], 9), ([7, -22, 0], -22)])
def test_a_series_answers_with_its_last_result_or_the_first_error(results: list[int], value: int):
    batch = Batch()
    series = batch.series(3, "close", 5, steps=(1,))
    table, content = packed(batch)

    failed = table.unpack(answered(content, results))

    assert value == series.raw
    assert (series if value < 0 else None) is failed


def test_a_series_is_made_one_by_one_with_the_same_arguments():
    batch = Batch()
    series = batch.series(2, "dup2", 5, 9, steps=(1, -1))
    table, _ = packed(batch)

    assert [(0, [5, 9]), (1, [6, 8])] == list(table.entries_of(series))


def test_a_result_that_is_used_twice_is_loaded_again():
    batch = Batch()
    first = batch.call("getpid")
    batch.call("kill", first, first)
    _, content = packed(batch)
    born, load, kill = rows(content, 3)
    arguments = AT + 2 * cpu.ENTRY.size + 8

    assert {arguments, arguments + 8} == {born[8], load[8]}
    assert (0, AT + cpu.ENTRY_RESULT, cpu.ENTRY_LOAD) == (load[0], load[1], load[9])
    assert (cpu.NUMBERS["kill"], 0, 0) == kill[:3]


def test_buffers_are_found_through_pointers_and_read_back():
    batch = Batch()
    inner = batch.data(b"inside")
    outer = batch.data(bytes(8), {0: inner})
    target = batch.buffer(4)
    batch.call("writev", 1, outer, target)
    table, content = packed(batch)
    outer_at, inner_at = (table.address_of(one) - AT for one in (outer, inner))

    assert AT + inner_at == int.from_bytes(content[outer_at : outer_at + 8], "little")
    assert b"inside" == content[inner_at : inner_at + 6]

    at = table.address_of(target) - AT
    table.unpack(answered(content[:at] + b"back" + content[at + 4 :], [0]))

    assert b"back" == target.read()


def test_what_does_not_fit_comes_into_another_table():
    batch = Batch()
    calls = [batch.call("read", 0, Buffer(ROOM // 2), 1) for _ in range(3)]

    assert [[calls[0]], [calls[1]], [calls[2]]] == [table.calls for table in tables(batch, AT, ROOM)]
