"""What moves on a terminal: the progress bar of long work. The only user of rich."""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

from crtool.kernel.interruption import whole

if TYPE_CHECKING:
    import rich.progress

    from crtool import Progress

__all__ = ["ProgressBar", "can_move"]

# Seconds of work until a bar appears: shorter work would only flicker.
DELAY = 0.5
# Seconds between two drawings. We draw ourselves: rich's own thread would compete with the work for the interpreter,
# and a process that forks and traces has no use for a second thread.
INTERVAL = 0.1
# Columns that a line with bytes, rate and time left needs. Where there are fewer, a percentage has to do.
NARROW = 70


def can_move() -> bool:
    """Whether standard error is a terminal on which a line can be drawn over."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class ProgressBar:
    """A callback for the Python API that draws a bar on standard error: bytes, rate, time left.

    The bar vanishes when its stage is done, and at the end of the block: the terminal may belong to a restored program
    from then on. *preload* imports rich at once, rather than while somebody stands still and waits.
    """

    def __init__(self, *, enabled: bool, preload: bool = False) -> None:
        self._enabled = enabled and can_move()
        self._start = time.monotonic()
        self._drawn = 0.0
        self._stage = ""
        self._heard = self._start
        self.seconds: dict[str, float] = {}  # by stage
        self.amounts: dict[str, int] = {}  # bytes by stage, of all files together
        self._bar: rich.progress.Progress | None = None
        self._task: rich.progress.TaskID | None = None
        if self._enabled and preload:
            self._bar = _new_bar()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def __call__(self, progress: Progress) -> None:
        """Takes the news of how far the work is."""
        now = time.monotonic()
        self.seconds[progress.stage] = self.seconds.get(progress.stage, 0.0) + now - self._heard
        self._heard = now
        if progress.done >= progress.total:
            self.amounts[progress.stage] = self.amounts.get(progress.stage, 0) + progress.total
        if not self._enabled:
            return
        if progress.stage != self._stage:
            self._end()
            self._stage = progress.stage
        if progress.done >= progress.total:
            self._end()
        elif now - self._start >= DELAY and now - self._drawn >= INTERVAL:
            self._drawn = now
            self._draw(progress)

    @whole  # or nobody would know what is on the screen
    def _draw(self, progress: Progress) -> None:
        if self._bar is None:
            self._bar = _new_bar()
        if self._task is None:
            self._task = self._bar.add_task(progress.stage, total=progress.total, completed=progress.done)
            self._bar.start()
        else:
            self._bar.update(self._task, total=progress.total, completed=progress.done)
        self._bar.refresh()

    @whole
    def _end(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None


def _new_bar() -> rich.progress.Progress:
    from rich.console import Console  # noqa: PLC0415 - 50 ms, and seldom needed
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    amounts = [DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn()]
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(None if console.width < NARROW else 40),
        *(amounts if console.width >= NARROW else [TaskProgressColumn()]),
        console=console,
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
