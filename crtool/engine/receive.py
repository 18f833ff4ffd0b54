"""The other end of ``crtool migrate``: a restart that waits for a last word before it lets anybody run."""

from __future__ import annotations

import dataclasses
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress

from crtool.engine.migrate_wire import GO, PROTOCOL, Incoming, say
from crtool.engine.restart import restart
from crtool.engine.results import RestartResult
from crtool.engine.where import ClockPolicy
from crtool.errors import CrtoolError, EnvironmentDiffers, InternalError
from crtool.kernel.interruption import nothing
from crtool.used_up import used_up

__all__ = ["receive"]

_FREE = 3  # the first descriptor that is no standard stream


def receive(
    *, pidns: bool | None = None, clock: ClockPolicy = "auto", done: Callable[[], None] = nothing
) -> int:
    """Restarts the image that comes through standard input as frames; returns an exit status.

    Everything is said on standard output, see :mod:`crtool.engine.migrate_wire`. The restored processes must not hold
    the connection open, so /dev/null takes the place of the standard streams. *done* is called when they run.
    """
    source, answers = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FREE) for fd in (0, 1))
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    with suppress(PermissionError):  # it leads a session already
        os.setsid()  # whatever becomes of the one of the connection
    incoming = Incoming(source)

    def ready(pid: int) -> None:
        say(answers, "ready", pid)
        if incoming.word() != GO:
            raise EnvironmentDiffers("the connection broke before the last word was said", "see the other end")

    def running(result: RestartResult) -> None:
        with suppress(CrtoolError):  # it runs, whether that can be said or not
            say(answers, "running", dataclasses.asdict(result))

    try:
        say(answers, "hello", PROTOCOL)
        restart(incoming.image, detach=True, pidns=pidns, clock=clock, ready=ready, running=running, done=done)
    except CrtoolError as error:
        return _fail(answers, used_up(error) or error)
    except Exception as error:  # noqa: BLE001 - nobody would see a trace
        return _fail(answers, used_up(error) or InternalError(f"unexpected {type(error).__name__}: {error}"))
    return 0


def _fail(answers: int, error: CrtoolError) -> int:
    with suppress(CrtoolError):
        said = {"status": error.status, "message": error.message, "remedy": error.remedy}
        say(answers, "failed", said)
    return error.status
