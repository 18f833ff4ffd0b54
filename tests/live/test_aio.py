"""What can be seen of asynchronous input and output from outside, and rings of every size."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crtool.abi import aio as abi
from crtool.arch import cpu
from crtool.kernel import aio, ptrace
from crtool.kernel.syscall import syscall
from crtool.kernel.wait import wait_for_stop

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to see what is in flight"),
    pytest.mark.machine("bpf"),
]

PROGRAM = """
import ctypes, os, sys
sys.path.insert(0, sys.argv[1])
from crtool.abi.aio import CMD_POLL, IOCB
from crtool.kernel.syscall import syscall
context = ctypes.c_ulong()
syscall("io_setup", 5, ctypes.addressof(context))
syscall("io_setup", 500, ctypes.addressof(ctypes.c_ulong()))
never = os.eventfd(0)
request = ctypes.create_string_buffer(IOCB.pack(0, 0, 0, CMD_POLL, 0, never, 1, 0, 0, 0, 0, 0))
pointer = ctypes.c_ulong(ctypes.addressof(request))
print(context.value, flush=True)
for line in sys.stdin:
    if line == "ask\\n":
        syscall("io_submit", context.value, 1, ctypes.addressof(pointer))
    else:
        os.eventfd_write(never, 1)
        os.eventfd_read(never)
    print("done", flush=True)
"""


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    ptrace.seize(pid, 0)
    ptrace.interrupt(pid)
    wait_for_stop(pid)
    yield
    ptrace.detach(pid)


def test_requests_are_counted_while_they_are_in_flight() -> None:
    repository = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    command = [sys.executable, "-c", PROGRAM, repository]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        try:
            address = int(program.stdout.readline())
            expected, tail = 0, 0
            for word in ("ask", "ask", "ask", "answer", "ask", "answer"):
                program.stdin.write(word + "\n")
                program.stdin.flush()
                program.stdout.readline()
                if word == "answer":
                    expected, tail = 0, tail + expected
                else:
                    expected += 1
                with stopped(program.pid):
                    first, second = aio.contexts(program.pid)

                assert (address, expected, tail) == (first.address, first.in_flight, first.tail)
                assert abi.entries(first.size) == first.entries
                assert (0, 0) == (second.in_flight, second.tail)
        finally:
            program.kill()


def test_nobody_elses_contexts_are_shown() -> None:
    with pytest.raises(ProcessLookupError):
        aio.contexts(os.getppid())


def test_it_can_be_told_here() -> None:
    assert aio.why_not() is None


@pytest.mark.parametrize("wanted", [1, 4, 7, 61, 62, 63, 126, 127, 128, 256, 1000, 5000])
def test_a_ring_of_the_same_size_can_be_made_again(wanted: int) -> None:
    def size_for(number: int) -> int:
        context = ctypes.c_ulong()
        syscall("io_setup", number, ctypes.addressof(context))
        try:
            with open("/proc/self/maps", encoding="utf-8") as maps:
                line = next(line for line in maps if line.startswith(f"{context.value:x}-"))
            return int(line.split()[0].split("-")[1], 16) - context.value
        finally:
            syscall("io_destroy", context.value)

    size = size_for(wanted)
    assert size == size_for(abi.request_for(size, cpu.PAGE_SIZE))
    assert abi.request_for(size, cpu.PAGE_SIZE) <= max(wanted, 4 * len(aio.possible_cpus()))
