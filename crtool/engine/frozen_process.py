"""A process that stands still."""

from __future__ import annotations

from crtool.procfs.stat import Stat
from crtool.procfs.status import Status
from crtool.puppet.hold import HeldProcess
from crtool.record import dataclass

__all__ = ["FrozenProcess"]


@dataclass
class FrozenProcess:
    """A process of the frozen tree. *held* is None for a zombie, of which only stat and status are left."""

    pid: int
    stat: Stat
    status: Status
    held: HeldProcess | None
    dead_leader: bool = False  # the main thread has ended, others have not

    @property
    def door(self) -> int:
        """The TID through whose folder in /proc the process is looked at."""
        return self.pid if self.held is None else self.held.door

    @property
    def stop_signal(self) -> int:
        """With which job control has stopped it, 0 if it has not."""
        return 0 if self.held is None else min(thread.stop_signal for thread in self.held.threads.values())
