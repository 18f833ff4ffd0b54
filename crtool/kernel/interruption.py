"""What ends a work early, a signal or an alarm, comes as an exception: but not in the middle of what has to be whole.

A thread of a target that is in a call of crtool's, or half on its way home, cannot be brought home in an orderly way:
who is interrupted there has to leave that to the end of crtool. So within :data:`whole` the exception is put off.

For the main thread only, as are signal handlers.
"""

from __future__ import annotations

from contextlib import ContextDecorator
from types import TracebackType
from typing import TYPE_CHECKING

from crtool.errors import EnvironmentDiffers

if TYPE_CHECKING:
    from threading import Thread

__all__ = ["forget", "interrupt", "is_put_off", "nothing", "start", "whole"]


class _State:
    """What is under way."""

    depth = 0  # of blocks
    waiting: BaseException | None = None


class _Whole(ContextDecorator):
    """A block, or a function, that is not interrupted. They may be nested."""

    def __enter__(self) -> None:
        _State.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _State.depth -= 1
        if _State.depth == 0 and _State.waiting is not None:
            waiting, _State.waiting = _State.waiting, None
            raise waiting


whole = _Whole()


def interrupt(error: BaseException, *, at_once: bool = False) -> None:
    """For signal handlers: raises *error*, or, within :data:`whole`, has it raised at the end of that.

    *at_once*: what has to be whole seems not to end.
    """
    if _State.depth == 0 or at_once:
        _State.waiting = None
        raise error
    _State.waiting = error


def start(thread: Thread) -> None:
    """Starts *thread*. Python waits there for a sign of life, and an exception would leave locks in disorder.

    EnvironmentDiffers if the machine gives none.
    """
    with whole:
        try:
            thread.start()
        except RuntimeError as error:  # all that Python says of pthread_create(3)
            if thread.ident is not None:
                raise
            raise EnvironmentDiffers(
                "no thread can be started: no memory is left, or a limit on it or on processes is reached",
                "free some; limits are those of the control group, ulimit -v, ulimit -d and ulimit -u",
            ) from error


def is_put_off() -> bool:
    """Whether something waits for the end of a block."""
    return _State.waiting is not None


def forget() -> None:
    """What waits for the end of a block has come too late: the work is done."""
    _State.waiting = None


def nothing() -> None:
    """For whoever need not hear that a work is done."""
