"""Waiting for a command as its parent, with signals passed on to it, from before its birth to its end.

All of them are blocked and taken out of the queue one by one (sigwaitinfo(2)): none can arrive between the birth and
the waiting, and each comes with the word of who has sent it. What the terminal sends goes to the whole group in the
foreground, the command included, and must not reach it twice.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress

from crtool.errors import TargetError
from crtool.procfs import read, status

__all__ = ["PASSED_ON", "attend", "sent_by_somebody", "signals_held"]

# What ends a program by default, and a user or a supervisor sends.
_ENDING = frozenset(
    (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
)
PASSED_ON = _ENDING | {signal.SIGWINCH, signal.SIGCONT}
_SI_USER = 0  # si_code of signals that processes send is this or less; the kernel's own are above


@contextmanager
def signals_held(more: Set[int] = frozenset()) -> Iterator[set[signal.Signals]]:
    """Keeps in the queue what :func:`attend` passes on, SIGCHLD, and the signals *more*; gives the mask as it was."""
    ignored = signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    if ignored:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or nobody could wait for the child
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD, *more})
    try:
        yield {number for number in before if isinstance(number, signal.Signals)}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if ignored:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def attend(pid: int, *, first_of_namespace: bool) -> int:
    """Waits until child *pid* has ended; returns its wait status. Within :func:`signals_held`.

    The first process of a PID namespace does not get a signal that it does not handle. One that would end any other
    program then ends it too, by SIGKILL, and is given as its end.
    """
    reason = None
    while True:
        found, raw = os.waitpid(pid, os.WNOHANG)
        if found:
            return int(reason) if reason and os.WIFSIGNALED(raw) and os.WTERMSIG(raw) == signal.SIGKILL else raw
        info = signal.sigwaitinfo({*PASSED_ON, signal.SIGCHLD})
        if info.si_signo == signal.SIGCHLD:
            continue
        with suppress(ProcessLookupError):
            if first_of_namespace and info.si_signo in _ENDING and not _handles(pid, info.si_signo):
                reason = info.si_signo
                os.kill(pid, signal.SIGKILL)
            elif sent_by_somebody(info) or os.getpgid(pid) != os.getpgrp():
                os.kill(pid, info.si_signo)


def sent_by_somebody(info: signal.struct_siginfo) -> bool:
    """Whether a signal comes from a process, and not from the terminal, which sends it to the whole group."""
    return info.si_code <= _SI_USER


def _handles(pid: int, number: int) -> bool:
    """Whether a process catches, ignores, or blocks (to read it later) a signal."""
    try:
        known = status.later(read.read(pid, "status"))
    except TargetError:
        return True  # it ends by itself just now
    return bool((known.caught | known.ignored | known.blocked) >> (number - 1) & 1)
