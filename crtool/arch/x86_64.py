"""x86-64: the batch runner, the gadgets, and the signal frame; the registers are next door.

Sources: arch/x86/include/uapi/asm/{sigcontext,ucontext}.h, arch/x86/include/asm/user_64.h,
arch/x86/kernel/{signal,signal_64,fpu/signal}.c, Intel SDM vol. 1 chapter 13 (XSAVE).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

from crtool.abi.syscalls_x86_64 import NUMBERS
from crtool.arch.x86_64_registers import CODE_BEFORE_CALL, Registers
from crtool.arch.x86_64_timeouts import is_limited, shorten
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
    "Pieces",
    "Registers",
    "find_pieces",
    "gadgets",
    "home",
    "home_size",
    "is_limited",
    "shorten",
    "way_out",
    "xfeatures",
]

NAME = "x86_64"
ELF_MACHINE = 62  # EM_X86_64
AUDIT_ARCH = 0xC000003E
PAGE_SIZE = 4096
_U64 = 0xFFFF_FFFF_FFFF_FFFF
TASK_SIZE = 0x7FFF_FFFF_F000  # the end of user addresses with 4-level page tables

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


# The whole life of the first process of a PID namespace. It ignores SIGCHLD, so the kernel reaps for it.
# while (poll(pollfd, 1, -1) <= 0);                 b807000000 4889df be01000000 4883caff 0f05 4885c0 7ee8
# while (wait4(-1, 0, __WALL, 0) != -ECHILD);       b83d000000 4883cfff 31f6 ba00000040 4d31d2 0f05 4883f8f6 75e5
# exit_group(0)                                     b8e7000000 31ff 0f05
KEEPER = bytes.fromhex(
    "b8070000004889dfbe010000004883caff0f054885c07ee8"
    "b83d0000004883cfff31f6ba000000404d31d20f054883f8f675e5b8e700000031ff0f05"
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


@dataclass(frozen=True)
class Pieces:
    """Where in some code the pieces of :class:`Gadgets` lie: offsets, -1 for what it has not."""

    call: int
    restorer: int
    pop: int


_CALL = re.compile(rb"\x0f\x05(?:\x31[\xc9\xd2\xf6\xff]|\x45\x31[\xc0\xc9\xd2\xdb])*\xc3")
_RESTORER = re.compile(rb"(?:\x48\xc7\xc0\x0f\x00\x00\x00|\xb8\x0f\x00\x00\x00)\x0f\x05")
_POP = re.compile(rb"\x58\xc3")


def find_pieces(code: bytes) -> Pieces:
    """What *code* has that gadgets can be made of."""
    restorer = _RESTORER.search(code)
    found = (_CALL.search(code), restorer, None if restorer else _POP.search(code))
    return Pieces(*(match.start() if match else -1 for match in found))


def gadgets(code: Iterable[tuple[int, Pieces]]) -> Gadgets | None:
    """Puts gadgets together from pieces, each with the address of its code; None where some are missing."""
    call = restorer = pop = 0
    for address, pieces in code:
        if not call and pieces.call >= 0:
            call = address + pieces.call
        if not restorer and pieces.restorer >= 0:
            restorer = address + pieces.restorer
        if not pop and pieces.pop >= 0:
            pop = address + pieces.pop
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


def way_out(at: int, regs: Registers, gadgets: Gadgets) -> bytes:
    """The end of a task that is born to stand still: bytes to lay at *at*, where its stack pointer will be.

    Should it ever run by itself, the first `ret` leads it by an rt_sigreturn into exit_group.
    """
    last = regs.copy()
    last.aim_at_call(gadgets.call, NUMBERS["exit_group"], (0,), at)
    return struct.pack(f"<{len(gadgets.sigreturn)}Q", *gadgets.sigreturn) + _ucontext(last.values, mask_all(), 0)


def mask_all() -> int:
    """A signal mask that blocks everything that can be blocked."""
    return _U64
