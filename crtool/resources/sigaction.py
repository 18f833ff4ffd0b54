"""What a process does on each of the 64 signals (sigaction(2)).

The kernel keeps handler, flags, restorer and mask for each signal, in one table for all threads.

We read the table by rt_sigaction, made by the process: /proc tells only which signals are caught or ignored. All are
asked for, since flags also stand with the default action, and SA_NOCLDWAIT has an effect there.

We rebuild it by rt_sigaction. A process that was made by crtool ignores what crtool ignores (Python ignores SIGPIPE),
so :func:`reset` has to be called in the first one before it bears anybody; the others inherit the clean table. *Order:*
the reset before any child is born or dies, since children of a process that ignores SIGCHLD leave no zombie;
:func:`restore` after the last zombie has died, for the same reason, and before signals are queued, since ignoring a
signal drops it. What is done on SIGTRAP comes last (:func:`restore_trap`), since each batch of a newborn changes it.

Lost: nothing. Two processes that share the table (CLONE_SIGHAND without CLONE_THREAD) get a table each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from crtool.abi.signals import NSIG, SIGACTION, SIGTRAP, UNBLOCKABLE
from crtool.puppet.batch import Batch
from crtool.record import dataclass

if TYPE_CHECKING:
    from crtool.puppet.birth import Newborn
    from crtool.puppet.hold import HeldProcess

__all__ = ["SigactionRecord", "dump", "reset", "restore", "restore_trap"]

_SIGSET_SIZE = 8
_SIGNALS = tuple(signal for signal in range(1, NSIG + 1) if signal not in UNBLOCKABLE)


@dataclass(frozen=True)
class SigactionRecord:
    """What is done on one signal; a signal without a record is at its default, without flags."""

    signal: int
    handler: int  # address, or SIG_DFL 0, SIG_IGN 1
    flags: int  # SA_*
    restorer: int  # address of the code that ends a handler by rt_sigreturn
    mask: int  # signals that are blocked while the handler runs; bit n−1 is signal n


def dump(process: HeldProcess, batch: Batch) -> Callable[[], tuple[SigactionRecord, ...]]:
    """Adds the questions; the answer leaves out what is at its default."""
    table = batch.buffer(SIGACTION.size * NSIG)
    batch.series(NSIG, "rt_sigaction", 1, 0, table, _SIGSET_SIZE, steps=(1, 0, SIGACTION.size, 0))

    def records() -> tuple[SigactionRecord, ...]:
        raw = table.read()
        if raw.count(0) == len(raw):
            return ()
        return tuple(
            SigactionRecord(signal, *action)
            for signal, action in enumerate(SIGACTION.iter_unpack(raw), 1)
            if any(action)
        )

    return records


def reset(batch: Batch) -> None:
    """Puts every signal to its default."""
    default = batch.data(bytes(SIGACTION.size))
    for signal in _SIGNALS:
        batch.call("rt_sigaction", signal, default, 0, _SIGSET_SIZE, label="default action")


def restore(batch: Batch, records: Sequence[SigactionRecord]) -> None:
    """Adds the calls for a process in which all signals are at their default."""
    for record in records:
        if record.signal != SIGTRAP:
            label = f"action of signal {record.signal}"
            batch.call("rt_sigaction", record.signal, _packed(record), 0, _SIGSET_SIZE, label=label)


def restore_trap(puppet: Newborn, records: Sequence[SigactionRecord]) -> None:
    """Gives SIGTRAP its action, when *puppet* will run no batch any more."""
    for record in records:
        if record.signal == SIGTRAP:
            puppet.call_quietly("rt_sigaction", SIGTRAP, _packed(record), 0, _SIGSET_SIZE)


def _packed(record: SigactionRecord) -> bytes:
    return SIGACTION.pack(record.handler, record.flags, record.restorer, record.mask)
