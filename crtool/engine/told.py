"""Who is told of a restart by a signal: the hook for programs that have to do something anew, like seeding a random
number generator, when there may be a second of them.

The signal is queued before anybody runs, so that a handler runs before any other instruction of the thread that gets
it. It is for those who are prepared: who catch it, or block it in all threads and will ask for it (sigwait(3),
signalfd(2)). All others would be ended by it, or would never hear it.
"""

from __future__ import annotations

import signal

from crtool.abi.signals import SIG_DFL, SIG_IGN, UNBLOCKABLE, bit
from crtool.engine.snapshot import ProcessRecord, Snapshot
from crtool.errors import EnvironmentDiffers, UsageError

__all__ = ["listeners"]


def listeners(snapshot: Snapshot, number: int) -> frozenset[int]:
    """The outermost PIDs of those who are prepared for signal *number*, none for 0.

    UsageError for a signal that nobody can catch, EnvironmentDiffers if nobody in the image does.
    """
    if not number:
        return frozenset()
    if number in UNBLOCKABLE:
        raise UsageError(f"{_name(number)} cannot be caught", "choose SIGUSR1, SIGUSR2 or a real-time signal")
    found = frozenset(record.pids[0] for record in snapshot.processes if _is_prepared(record, number))
    if not found:
        raise EnvironmentDiffers(
            f"no process of the image catches {_name(number)}", "leave it out; crtool show --signals has what they do"
        )
    return found


def _is_prepared(record: ProcessRecord, number: int) -> bool:
    if record.state is None:
        return False
    handler = next((action.handler for action in record.state.actions if action.signal == number), SIG_DFL)
    if handler == SIG_IGN:
        return False
    return handler != SIG_DFL or all(thread.mask & bit(number) for thread in record.threads)


def _name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
