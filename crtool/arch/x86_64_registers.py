"""x86-64: registers by role, and how a system call that was interrupted is made again.

Sources: arch/x86/include/asm/user_64.h, arch/x86/kernel/signal.c, include/linux/errno.h.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from crtool.abi.syscalls_x86_64 import NUMBERS

__all__ = ["CODE_BEFORE_CALL", "Peek", "Registers"]

_FLAG_ID = 1 << 21  # neither ptrace nor sigreturn sets it
_FIELDS = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss "
    "fs_base gs_base ds es fs gs"
).split()
_STRUCT = struct.Struct(f"<{len(_FIELDS)}Q")
_U64 = 0xFFFF_FFFF_FFFF_FFFF

# The errors with which the kernel marks a call that it means to start again (include/linux/errno.h).
_ERESTARTSYS, _ERESTARTNOINTR, _ERESTARTNOHAND, _ERESTART_RESTARTBLOCK = 512, 513, 514, 516
_RESTARTS = frozenset({_ERESTARTSYS, _ERESTARTNOINTR, _ERESTARTNOHAND, _ERESTART_RESTARTBLOCK})
_SYSCALL_SIZE = 2  # bytes of the `syscall` instruction
# The callers of set_restart_fn() in the kernel.
_WITH_RESTART_BLOCK = ("nanosleep", "clock_nanosleep", "futex", "poll")
_FUTEX_FLAGS = 128 | 256  # FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME
_FUTEX_WAITS = (0, 9)  # FUTEX_WAIT, FUTEX_WAIT_BITSET
_EINTR = 4
_ENDED_BY_STOPS = frozenset(
    NUMBERS[name]
    for name in (
        "rt_sigtimedwait",
        "epoll_wait",
        "epoll_pwait",
        "epoll_pwait2",
        "semop",
        "semtimedop",
        "io_getevents",
        "io_pgetevents",
        "io_uring_enter",
        # of sockets with SO_RCVTIMEO or SO_SNDTIMEO
        "accept",
        "accept4",
        "connect",
        "read",
        "readv",
        "recvfrom",
        "recvmmsg",
        "recvmsg",
        "sendfile",
        "sendmmsg",
        "sendmsg",
        "sendto",
        "splice",
        "write",
        "writev",
    )
)
_LOADS_NUMBER = re.compile(rb"(?:\xb8|\x48\xc7\xc0)(.\x00\x00\x00)", re.DOTALL)
CODE_BEFORE_CALL = 32  # bytes that may load the number of a call


Peek = Callable[[int, int], bytes | None]
"""Reads memory of a task: address and length, None where there is nothing."""


def _is_timespec(raw: bytes | None) -> bool:
    """Whether 16 bytes can be a struct timespec that somebody sleeps for."""
    if raw is None:
        return False
    seconds, nanoseconds = struct.unpack("<qq", raw)
    return 0 <= nanoseconds < 1_000_000_000 and 0 <= seconds < 1 << 40 and bool(seconds or nanoseconds)


class Registers:
    """The general registers of a stopped task (struct user_regs_struct), by name and by role."""

    __slots__ = ("values",)
    SIZE = _STRUCT.size

    def __init__(self, raw: bytes) -> None:
        self.values: dict[str, int] = dict(zip(_FIELDS, _STRUCT.unpack(raw), strict=True))

    def pack(self) -> bytes:
        """The bytes of struct user_regs_struct."""
        return _STRUCT.pack(*[value & _U64 for value in self.values.values()])

    def copy(self) -> Registers:
        """The same registers, to be changed without changing these."""
        twin = Registers.__new__(Registers)
        twin.values = self.values.copy()
        return twin

    @property
    def ip(self) -> int:
        """The address of the next instruction."""
        return self.values["rip"]

    @ip.setter
    def ip(self, value: int) -> None:
        self.values["rip"] = value

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return self.values["rsp"]

    @sp.setter
    def sp(self, value: int) -> None:
        self.values["rsp"] = value

    @property
    def result(self) -> int:
        """What a system call returned, signed."""
        value = self.values["rax"]
        return value - (1 << 64) if value >> 63 else value

    @property
    def thread_pointer(self) -> int:
        """The base of thread-local storage."""
        return self.values["fs_base"]

    @thread_pointer.setter
    def thread_pointer(self, value: int) -> None:
        self.values["fs_base"] = value

    @property
    def in_32bit_mode(self) -> bool:
        """Whether the task runs 32-bit code (compatibility mode): USER32_CS instead of USER_CS."""
        return self.values["cs"] == 0x23

    @property
    def flags_beyond_ptrace(self) -> int:
        """The flags register if it has a flag that ptrace does not set, else 0."""
        return self.values["eflags"] if self.values["eflags"] & _FLAG_ID else 0

    @property
    def number(self) -> int:
        """The number of the system call that the task is in, or −1."""
        value = self.values["orig_rax"]
        return value - (1 << 64) if value >> 63 else value

    @property
    def interrupted(self) -> bool:
        """Whether the stop has interrupted a system call that the kernel means to start again."""
        return self.number >= 0 and -self.result in _RESTARTS

    def forgive_interruption(self) -> bool:
        """Lets a call start again that the stop has ended with EINTR, though no signal is to be handled.

        Some calls do not ask the kernel to start them again (signal(7), "Interruption of system calls … by stop
        signals"). With ERESTARTNOHAND it is done all the same, unless a handler does run. Says whether it was needed.
        """
        if self.number in _ENDED_BY_STOPS and self.result == -_EINTR:
            self.values["rax"] = -_ERESTARTNOHAND & _U64
            return True
        return False

    def leave_kernel(self) -> None:
        """Says that no system call is to be restarted when the task goes on."""
        self.values["orig_rax"] = _U64

    def wind_back(self) -> None:
        """Makes an interrupted system call start again from user mode, with its original number."""
        if self.interrupted:
            self.values["rax"] = self.values["orig_rax"]
            self.values["rip"] -= _SYSCALL_SIZE
        self.leave_kernel()

    @property
    def has_restart_block(self) -> bool:
        """Whether the kernel goes on with the call by what it has written down, which is in no register."""
        return self.interrupted and -self.result == _ERESTART_RESTARTBLOCK

    @property
    def lost_number(self) -> bool:
        """Whether the task is in restart_syscall(2), so that the call's own number is in no register any more."""
        return self.interrupted and self.number == NUMBERS["restart_syscall"]

    def without_restart_block(self, code: bytes, peek: Peek) -> Registers:
        """These registers, for a task that does not have the kernel's restart block of this one.

        The restart block holds how long a relative sleep has still to go. It is lost in another task, and also here
        after an rt_sigreturn. Then the call itself is made again, for what ``cpu.shorten`` leaves of it.
        ERESTARTNOHAND differs from ERESTART_RESTARTBLOCK only in that: a handler that runs first makes both of them
        EINTR.

        *code*: up to 32 bytes that stand before the `syscall` instruction. A call that has been restarted once is in
        restart_syscall, and its number is lost; it stands in the code, or else the arguments, which are
        all there, tell which of the four calls that use a restart block it is. *peek* reads memory of the task: address
        and length, None where there is nothing.
        """
        portable = self.copy()
        if self.has_restart_block:
            portable.values["rax"] = -_ERESTARTNOHAND & _U64
            if self.lost_number:
                number = self._number_in(code) or self._number_by_arguments(peek)
                portable.values["orig_rax"] = NUMBERS[number]
        return portable

    @staticmethod
    def _number_in(code: bytes) -> str | None:
        found = None
        for match in _LOADS_NUMBER.finditer(code):
            value = int.from_bytes(match.group(1), "little")
            found = next((name for name in _WITH_RESTART_BLOCK if NUMBERS[name] == value), found)
        return found

    def _number_by_arguments(self, peek: Peek) -> str:
        first, second, third, fourth = (self.values[name] for name in ("rdi", "rsi", "rdx", "r10"))
        if first < 1 << 12 or first >> 63:  # no pointer: the number of a clock, or no files
            return "clock_nanosleep" if _is_timespec(peek(third, 16)) else "poll"
        if second >= 1 << 16:  # a pointer: where to write what is left
            return "nanosleep"
        if second & ~_FUTEX_FLAGS in _FUTEX_WAITS and _is_timespec(peek(fourth, 16)):
            word = peek(first, 4)
            if second or word is None or int.from_bytes(word, "little") == third & 0xFFFF_FFFF:
                return "futex"
        return "poll" if second else "nanosleep"

    def aim_at_call(self, gadget: int, number: int, args: tuple[int, ...], stack: int) -> None:
        """Sets the registers to make one system call at *gadget*, which then returns to the top of *stack*."""
        for name, value in zip(("rdi", "rsi", "rdx", "r10", "r8", "r9"), args + (0,) * (6 - len(args)), strict=True):
            self.values[name] = value
        self.values.update(rax=number, rip=gadget, rsp=stack, orig_rax=_U64)

    def aim_at_runner(self, runner: int, first: int, end: int, stack: int, quiet_signal: int) -> None:
        """Sets the registers to run the entries from *first* to *end*.

        The runner raises *quiet_signal* when it is done and then returns to the top of *stack*; with
        0 it ends in a breakpoint.
        """
        self.values.update(rip=runner, rbx=first, r12=end, r13=quiet_signal, rsp=stack, orig_rax=_U64)
        self.values["eflags"] &= ~0x400  # direction flag


    def aim_at_keeper(self, keeper: int, pollfd: int) -> None:
        """Sets the registers to run :data:`KEEPER`, with the address of its struct pollfd."""
        self.values.update(rip=keeper, rbx=pollfd, orig_rax=_U64)
