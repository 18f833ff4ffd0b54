"""Signals: numbers and sizes (include/uapi/asm-generic/signal.h, siginfo.h). Same on all 64-bit ports."""

from __future__ import annotations

SIGHUP = 1
SIGINT = 2
SIGTRAP = 5
SIGKILL = 9
SIGSEGV = 11
SIGTERM = 15
SIGCHLD = 17
SIGCONT = 18
SIGSTOP = 19
SIGTSTP = 20
SIGTTIN = 21
SIGTTOU = 22
SIGURG = 23
SIGWINCH = 28
NSIG = 64

ALL_SIGNALS = (1 << NSIG) - 1
STOP_SIGNALS = frozenset({SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU})

SIG_BLOCK = 0
SIG_UNBLOCK = 1
SIG_SETMASK = 2

SI_USER = 0
SI_TIMER = -2
SI_TKILL = -6

SIGINFO_SIZE = 128


def bit(signo: int) -> int:
    """The bit of signal *signo* in a 64-bit signal set."""
    return 1 << (signo - 1)
