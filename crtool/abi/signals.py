"""Signals: numbers and sizes (include/uapi/asm-generic/signal.h, siginfo.h). Same on all 64-bit ports."""

from __future__ import annotations

import struct

SIGHUP = 1
SIGINT = 2
SIGTRAP = 5
SIGKILL = 9
SIGSEGV = 11
SIGALRM = 14
SIGTERM = 15
SIGCHLD = 17
SIGCONT = 18
SIGSTOP = 19
SIGTSTP = 20
SIGTTIN = 21
SIGTTOU = 22
SIGURG = 23
SIGWINCH = 28
SIGRTMIN = 32  # as the kernel counts; C libraries keep the first ones to themselves
NSIG = 64

ALL_SIGNALS = (1 << NSIG) - 1
STOP_SIGNALS = frozenset({SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU})

SIG_BLOCK = 0
SIG_UNBLOCK = 1
SIG_SETMASK = 2

SI_USER = 0
SI_QUEUE = -1
SI_TIMER = -2
SI_TKILL = -6
SI_KERNEL = 0x80

SIGINFO_SIZE = 128
SIGINFO_TIMER_ID = 16  # offset of si_tid in an SI_TIMER siginfo; si_overrun, si_value and si_sys_private follow
SIGINFO_SYS_PRIVATE = 32

SIG_DFL = 0
SIG_IGN = 1

SYNCHRONOUS = frozenset({4, 5, 7, 8, 11, 31})
"""SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV and SIGSYS, which what a thread executes can bring about."""

# Signals that can be neither handled nor blocked.
UNBLOCKABLE = frozenset({SIGKILL, SIGSTOP})

# struct kernel_sigaction: handler, flags, restorer, mask. Not the struct sigaction of the C library.
SIGACTION = struct.Struct("<QQQQ")

SS_ONSTACK = 1
SS_DISABLE = 2
STACK_T = struct.Struct("<Qi4xQ")  # stack_t: ss_sp, ss_flags, ss_size


def bit(signo: int) -> int:
    """The bit of signal *signo* in a 64-bit signal set."""
    return 1 << (signo - 1)
