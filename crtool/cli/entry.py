"""Where the command ``crtool`` begins: with a handler for SIGINT, before anything is imported that takes time.

Python turns SIGINT into a KeyboardInterrupt, which on the way out of an import shows a trace of it, or is lost in a
callback. So nothing is imported here that Python's own start has not: of signals only what is built in.
"""

from __future__ import annotations

import os
from _signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal  # type: ignore[import-not-found]

TYPE_CHECKING = False  # typing.TYPE_CHECKING, without the import
if TYPE_CHECKING:
    from types import FrameType
    from typing import NoReturn

__all__ = ["interrupted", "run"]


def run() -> NoReturn:
    """The command ``crtool``."""
    if getsignal(SIGINT) is default_int_handler:  # else it is ignored (nohup(1))
        signal(SIGINT, interrupted)
    from crtool.cli.main import run as go  # noqa: PLC0415 - takes long, for which the handler stands by

    go()


def interrupted(number: int, _frame: FrameType | None) -> None:
    """Ends crtool by SIGINT at once: nothing has been done yet that would have to be cleaned up."""
    try:
        os.write(2, b"crtool: interrupted by SIGINT\n")
    except OSError:
        pass  # nobody is there to be told
    signal(number, SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # still here: PID 1 of a namespace does not die by the default action of a signal
