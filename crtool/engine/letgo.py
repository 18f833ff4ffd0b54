"""The end of a restart: everybody is let go.

Files have been put back and cut by then, and the first whom crtool lets go runs. So nothing fails any more: what goes
wrong is tried once more, and then said as a warning. Whom crtool could not detach from the kernel lets go when crtool
ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crtool.engine.ground import Ground
from crtool.engine.prepare import Prepared
from crtool.engine.rebuild import Rebuilder
from crtool.errors import TargetDied
from crtool.puppet.thread import await_group_stop

__all__ = ["let_go", "surely"]

_ATTEMPTS = 2


def let_go(living: Sequence[Rebuilder], ground: Ground, prepared: Prepared) -> None:
    """From here on the programs run: everybody is detached, each step for all before the next for any."""
    warn = prepared.warnings.append
    surely(prepared.close_files, "files of the programs are still open in crtool", warn)
    surely(ground.release, "the keeper of the PID namespace is still held", warn)
    for process in living:
        for step in process.release():
            surely(step, f"PID {process.puppet.pid} is still held", warn)
    stopped_ones = [process for process in living if process.record.stop_signal]
    tids = [puppet.tid for process in stopped_ones for puppet in process.threads.values()]
    surely(lambda: await_group_stop(tids), "not everybody stands still yet", warn)
    surely(prepared.ipc.keep, "a segment is still attached to crtool", warn)


def surely(step: Callable[[], None], consequence: str, warn: Callable[[str], None]) -> None:
    """Takes a step that must not fail; the *consequence* if it does all the same."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            step()
        except TargetDied:  # killed by somebody, like any program
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are to go on
            if not left:
                warn(f"{consequence}: {getattr(error, 'strerror', None) or error}")
        else:
            return
