"""The exit statuses: one table, made from the classes in :mod:`crtool.errors`.

Help, manual and ``docs/exit-statuses.md`` are generated from it. 120 to 127 are crtool's own, so that a program that
``restart`` waits for can be told from crtool: few programs end with those.
"""

from __future__ import annotations

from crtool.errors import CrtoolError
from crtool.record import dataclass

__all__ = ["ANSWERS", "Row", "first_line", "table"]


@dataclass(frozen=True)
class Row:
    """One exit status and what it says."""

    status: str  # a number, or "128+N"
    meaning: str
    errors: tuple[str, ...] = ()  # classes of crtool.errors that end in it


_DONE = Row("0", "done; or the restored program's own status, when restart waited for it")
_SIGNAL = Row("128+N", "ended by signal N: crtool itself, or the restored program when restart waited for it")

ANSWERS = {
    "check": (
        Row("0", "everything is good"),
        Row("1", "a checkpoint is possible, with warnings"),
        Row("2", "a checkpoint is impossible"),
    ),
    "diff": (Row("0", "the images are alike"), Row("1", "the images differ")),
}
"""Verbs that answer with their exit status, as diff(1) does; their own errors are in the table of all verbs."""


def first_line(error: type[CrtoolError]) -> str:
    """What the docstring of an error class says about its status."""
    return (error.__doc__ or "").strip().splitlines()[0]


def table() -> tuple[Row, ...]:
    """All exit statuses, in order."""
    own = [
        Row(str(error.status), first_line(error), tuple(_names(error)))
        for error in sorted(_below(CrtoolError), key=lambda error: error.status)
    ]
    return (_DONE, *own, _SIGNAL)


def _names(error: type[CrtoolError]) -> list[str]:
    return [error.__name__, *(name for below in _below(error) for name in _names(below))]


def _below(error: type[CrtoolError]) -> list[type[CrtoolError]]:
    """The direct subclasses that are public; modules have more special ones, with the status of their base."""
    return [below for below in error.__subclasses__() if below.__module__ == CrtoolError.__module__]
