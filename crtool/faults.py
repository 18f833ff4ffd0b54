"""Faults on purpose: what crtool's own tests inject, to show that a target is unharmed and a restart leaves nothing.

Every stage, every batch, and every step of holding and letting go passes a *point*, that has a name and, as it may be
passed several times, a number: ``collect begin 1``, ``batch 7``. Nothing happens there unless somebody asks for it:

    CRTOOL_FAULT=list=FILE                     writes the names of all points that are passed to FILE, a line each
    CRTOOL_FAULT='batch 7=FAULT'               makes FAULT happen at that point

A fault is the name of a signal, for crtool itself (``SIGKILL``) or for a process or thread (``SIGKILL@1234``);
``exception``; or the name of an error number. Of these ``EIO`` and ``ENOSPC`` are what the next write to the image, or
the next batch of a puppet, ends with, all others what the next system call through :mod:`crtool.kernel.syscall` does.

Tests call :func:`arm` instead, which also takes a function.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable

__all__ = [
    "Fault",
    "action",
    "arm",
    "disarm",
    "fail_call",
    "fail_transfer",
    "obey_environment",
    "pending",
    "point",
]

VARIABLE = "CRTOOL_FAULT"
_TRANSFERS = ("EIO", "ENOSPC")


class Fault(Exception):
    """The exception that is raised at a point, which nobody foresees."""


class _Armed:
    """What is to happen."""

    hook: Callable[[str], None] | None = None
    call_error = transfer_error = 0


def point(name: str) -> None:
    """A point is passed."""
    if _Armed.hook is not None:
        _Armed.hook(name)


def fail_call() -> None:
    """Called before each system call that goes through the one door; raises OSError if one is to fail."""
    if _Armed.call_error:
        number, _Armed.call_error = _Armed.call_error, 0
        raise OSError(number, os.strerror(number))


def fail_transfer() -> int:
    """The error number that the next write to the image, or batch of a puppet, is to end with; mostly 0."""
    number, _Armed.transfer_error = _Armed.transfer_error, 0
    return number


def arm(where: str, fault: str | Callable[[str], None]) -> None:
    """Makes *fault* happen at the point *where*, once; at every point if that is empty and *fault* a function.

    The counts of all points begin anew.
    """
    act = fault if callable(fault) else action(fault)
    passed: dict[str, int] = {}

    def hook(name: str) -> None:
        passed[name] = passed.get(name, 0) + 1
        numbered = f"{name} {passed[name]}"
        if where in ("", numbered):
            act(numbered)

    _Armed.hook = staticmethod(hook)
    _Armed.call_error = _Armed.transfer_error = 0


def pending() -> bool:
    """Whether an error is to come that no call, and no transfer, has met yet."""
    return bool(_Armed.call_error or _Armed.transfer_error)


def disarm() -> None:
    """Nothing happens any more in this process, which is not the one that was meant."""
    _Armed.hook = None
    _Armed.call_error = _Armed.transfer_error = 0


def action(fault: str) -> Callable[[str], None]:
    """What is done at a point to make a fault happen that is given as text."""

    def act(where: str) -> None:
        if fault == "exception":
            raise Fault(f"at {where}")
        if fault.startswith("SIG"):
            name, _, pid = fault.partition("@")
            os.kill(int(pid) if pid else os.getpid(), signal.Signals[name])
        elif fault in _TRANSFERS:
            _Armed.transfer_error = getattr(errno, fault)
        else:
            _Armed.call_error = getattr(errno, fault)

    return act


def obey_environment() -> None:
    """Does what CRTOOL_FAULT asks for, if it is set: at the import, and when a process gets another environment."""
    instruction = os.environ.get(VARIABLE)
    if not instruction:
        return
    where, _, fault = instruction.partition("=")
    if where != "list":
        arm(where, fault)
        return

    def note(name: str) -> None:
        with open(fault, "a", encoding="utf-8") as file:
            file.write(f"{name}\n")

    arm("", note)


obey_environment()
