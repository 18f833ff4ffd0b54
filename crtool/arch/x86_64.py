"""x86-64: registers by role, the batch runner, the signal frame, and how a system call is restarted.

Sources: arch/x86/include/uapi/asm/{sigcontext,ucontext}.h, arch/x86/include/asm/user_64.h,
arch/x86/kernel/{signal,signal_64,fpu/signal}.c, Intel SDM vol. 1 chapter 13 (XSAVE).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable

from crtool.abi.syscalls_x86_64 import NUMBERS
from crtool.record import dataclass

__all__ = [
    "AUDIT_ARCH",
    "CODE_BEFORE_CALL",
    "ELF_MACHINE",
    "ENTRY",
    "FRAME_ALIGN",
    "NAME",
    "NUMBERS",
    "PAGE_SIZE",
    "RUNNER",
    "SET_FLAGS",
    "TASK_SIZE",
    "Gadgets",
    "Registers",
    "find_gadgets",
    "home",
    "home_size",
    "xfeatures",
]

NAME = "x86_64"
ELF_MACHINE = 62  # EM_X86_64
AUDIT_ARCH = 0xC000003E
PAGE_SIZE = 4096
TASK_SIZE = 0x7FFF_FFFF_F000  # the end of user addresses with 4-level page tables

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
    )
)
_LOADS_NUMBER = re.compile(rb"(?:\xb8|\x48\xc7\xc0)(.\x00\x00\x00)", re.DOTALL)
CODE_BEFORE_CALL = 32  # bytes that may load the number of a call


Peek = Callable[[int, int], bytes | None]


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
        return _STRUCT.pack(*(value & _U64 for value in self.values.values()))

    def copy(self) -> Registers:
        """The same registers, to be changed without changing these."""
        return Registers(self.pack())

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
    def lost_number(self) -> bool:
        """Whether the task is in restart_syscall(2), so that the call's own number is in no register any more."""
        return self.interrupted and self.number == NUMBERS["restart_syscall"]

    def without_restart_block(self, code: bytes, peek: Peek) -> Registers:
        """These registers, for a task that does not have the kernel's restart block of this one.

        The restart block holds how long a relative sleep has still to go. It is lost in another task, and also here
        after an rt_sigreturn. Then the call itself is made again, which at least never ends early. ERESTARTNOHAND
        differs from ERESTART_RESTARTBLOCK only in that: a handler that runs first makes both of them EINTR.

        *code*: up to 32 bytes that stand before the `syscall` instruction. A call that has been restarted once is in
        restart_syscall, and its number is lost; it stands in the code, or else the arguments, which are
        all there, tell which of the four calls that use a restart block it is. *peek* reads memory of the task: address
        and length, None where there is nothing.
        """
        portable = self.copy()
        if self.interrupted and -self.result == _ERESTART_RESTARTBLOCK:
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


# One entry of the runner's table: number, six arguments, result, where to store the result also
# (0 = nowhere), flags.
ENTRY = struct.Struct("<Q6QqQQ")
ENTRY_MUST = 1  # an error ends the batch
ENTRY_LOAD = 2  # no call: the "result" is read from the address in the first argument
ENTRY_RESULT = 56  # offset of the result

# for (; rbx < r12; rbx += 80) {                    4c39e3 734c
#     rdi, rsi, rdx, r10, r8, r9 = entry.args       488b7b08 488b7310 488b5318 4c8b5320 4c8b4328 4c8b4b30
#     rax = flags & LOAD ? *rdi : syscall           f6434802 7507 488b03 0f05 eb03 / 488b07
#     entry.result = rax                            48894338
#     if (entry.store) *entry.store = rax           488b4b40 4885c9 7403 488901
#     if (flags & MUST && rax > -4096) break        f6434801 7408 483d01f0ffff 7306
# }                                                 4883c350 ebaf
# if (!r13) int3                                    4d85ed 7421 … cc
# tgkill(getpid(), gettid(), r13)                   b827000000 0f05 4189c6 b8ba000000 0f05 89c6
# return                                            4489f7 4489ea b8ea000000 0f05 c3
_FLAG_ID = 1 << 21
# popfq; int3. Neither ptrace nor sigreturn sets the ID flag, which a program may keep set; an instruction does.
SET_FLAGS = b"\x9d\xcc"
RUNNER = bytes.fromhex(
    "4c39e3734c488b7b08488b7310488b53184c8b53204c8b43284c8b4b30f64348027507488b030f05eb03488b07"
    "48894338488b4b404885c97403488901f64348017408483d01f0ffff73064883c350ebaf4d85ed7421"
    "b8270000000f054189c6b8ba0000000f0589c64489f74489eab8ea0000000f05c3cc"
)


@dataclass(frozen=True)
class Gadgets:
    """Addresses of code that every program has and that crtool uses as it stands.

    *call* is a `syscall` instruction that a `ret` follows, with nothing in between but registers being
    zeroed (hardened kernels build their vDSO so). *sigreturn* is the chain of words that, taken as
    return addresses, makes rt_sigreturn: the C library's own restorer, or failing that
    a `pop %rax; ret`, the number and a `syscall`.
    """

    call: int
    sigreturn: tuple[int, ...]


_CALL = re.compile(rb"\x0f\x05(?:\x31[\xc9\xd2\xf6\xff]|\x45\x31[\xc0\xc9\xd2\xdb])*\xc3")
_RESTORER = re.compile(rb"(?:\x48\xc7\xc0\x0f\x00\x00\x00|\xb8\x0f\x00\x00\x00)\x0f\x05")
_POP = re.compile(rb"\x58\xc3")


def find_gadgets(code: list[tuple[int, bytes]]) -> Gadgets | None:
    """Looks for the gadgets in *code*, pairs of address and executable bytes; None where they are missing."""
    call = restorer = pop = 0
    for address, content in code:
        if not call and (found := _CALL.search(content)):
            call = address + found.start()
        if not restorer and (found := _RESTORER.search(content)):
            restorer = address + found.start()
        if not pop and (found := _POP.search(content)):
            pop = address + found.start()
        if call and restorer:
            return Gadgets(call, (restorer,))
    if call and pop:
        return Gadgets(call, (pop, NUMBERS["rt_sigreturn"], call))
    return None


# struct rt_sigframe: the return address, then struct ucontext (304 bytes with its signal mask).
_UC_FLAGS = 1 | 2 | 4  # UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
_UCONTEXT = struct.Struct("<QQ QiiQ 8Q 10Q 4H 4Q Q 64x Q")
_KEEP_ALTSTACK = 0x7000  # no valid ss_flags: the kernel leaves the alternate stack as it is
_FP_XSTATE_MAGIC1, _FP_XSTATE_MAGIC2 = 0x46505853, 0x46505845
_SW_RESERVED = 464  # struct _fpx_sw_bytes within the legacy area
_XFEATURES_AMX = 0x60000
_LEGACY_ONLY = 576  # legacy area and XSAVE header
_BEFORE_AMX = 2696  # end of PKRU: the area's size for a task that may not use AMX
FRAME_ALIGN = 64  # XRSTOR wants its area so


def xfeatures(fpu: bytes) -> int:
    """The components of the CPU state (XCR0) of the machine that an FPU image is from: the kernel notes them in it."""
    (features,) = struct.unpack_from("<Q", fpu, _SW_RESERVED)
    return int(features)


def _frame_fpu(fpu: bytes) -> bytes:
    """The FPU image of PTRACE_GETREGSET(NT_X86_XSTATE), as a signal frame holds it."""
    features = xfeatures(fpu)
    (in_use,) = struct.unpack_from("<Q", fpu, 512)
    size = len(fpu)
    if features & _XFEATURES_AMX and not in_use & _XFEATURES_AMX:
        size, features = _BEFORE_AMX, features & ~_XFEATURES_AMX
    software = struct.pack("<IIQI28x", _FP_XSTATE_MAGIC1, size + 4, features, size)
    return fpu[:_SW_RESERVED] + software + fpu[512:size] + struct.pack("<I", _FP_XSTATE_MAGIC2)


def _ucontext(regs: dict[str, int], mask: int, fpu_at: int) -> bytes:
    names = "r8 r9 r10 r11 r12 r13 r14 r15 rdi rsi rbp rbx rdx rax rcx rsp rip eflags".split()
    general = [regs[name] & _U64 for name in names]
    segments = (regs["cs"], regs["gs"], regs["fs"], regs["ss"])
    return _UCONTEXT.pack(_UC_FLAGS, 0, 0, _KEEP_ALTSTACK, 0, 0, *general, *segments, 0, 0, 0, 0, fpu_at, mask)


def _home_layout(words: int) -> tuple[int, int]:
    """Offsets of the second frame and of the FPU image for a sigreturn chain of *words* words."""
    frame = (8 * words + _UCONTEXT.size + 15) & ~15
    return frame, (2 * frame + FRAME_ALIGN - 1) & -FRAME_ALIGN


def home_size(fpu_size: int) -> int:
    """An upper bound of the bytes that :func:`home` needs."""
    return _home_layout(3)[1] + fpu_size + 4


def home(
    at: int, regs: Registers, fpu: bytes, mask: int, gadgets: Gadgets, scratch: tuple[int, int]
) -> tuple[bytes, int]:
    """The way home of a task that crtool is about to lead away from its own registers.

    Returns the bytes to lay at address *at* (aligned to 64) and the address within them from which the
    way does not unmap anything. A task whose stack pointer is *at* when it executes a `ret` unmaps
    *scratch* (address, length) and then takes up *regs*, *fpu* and *mask*, all by itself: first one
    rt_sigreturn into a frame that makes the munmap, then another into the true frame.
    """
    offset, fpu_offset = _home_layout(len(gadgets.sigreturn))
    chain = struct.pack(f"<{len(gadgets.sigreturn)}Q", *gadgets.sigreturn)
    true = regs.copy()
    true.wind_back()
    unmap = regs.copy()
    unmap.aim_at_call(gadgets.call, NUMBERS["munmap"], scratch, at + offset)
    fpu_at = at + fpu_offset
    first = chain + _ucontext(unmap.values, mask_all(), fpu_at)
    second = chain + _ucontext(true.values, mask, fpu_at)
    laid = first.ljust(offset, b"\0") + second
    return laid.ljust(fpu_offset, b"\0") + _frame_fpu(fpu), at + offset


def mask_all() -> int:
    """A signal mask that blocks everything that can be blocked."""
    return _U64
