"""What ``crtool restart --dry-run`` prints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from crtool.cli.text import count, printable

if TYPE_CHECKING:
    from crtool import DryRunResult

__all__ = ["lines"]


def lines(result: DryRunResult) -> Iterator[str]:
    """A table of two columns: what is granted or touched, and an instance of it on each line."""
    for title, entries in _rows(result):
        for index, entry in enumerate(entries or ("none",)):
            yield f"{'' if index else title:18} {printable(entry)}"


def _rows(result: DryRunResult) -> Iterator[tuple[str, tuple[str, ...]]]:
    made = [
        name for name, wanted in (("PID", result.pidns), ("user", result.userns), ("time", result.timens)) if wanted
    ]
    why = f" ({result.reason})" if result.reason else ""
    yield "processes", (count(result.processes, "process"),)
    yield "PIDs taken", ("those of a new namespace",) if result.pidns else tuple(map(str, result.pids))
    yield "namespaces made", (*(f"{name}{why if name == 'PID' else ''}" for name in made), *result.namespaces)
    yield "user ids", tuple(map(str, result.users))
    yield "group ids", tuple(map(str, result.groups))
    yield "capabilities", result.capabilities
    yield "setuid programs", result.setuid
    yield "security label", (f"{result.label or 'none'}, that of crtool",)
    yield "seccomp", (f"filters on {result.seccomp} of {result.threads} threads",)
    yield "no_new_privs", (f"on {result.no_new_privs} of {result.threads} threads",)
    yield "above crtool's", result.raised
    yield "opened to write", result.written
    yield "truncated", result.truncated
    yield "replaced", result.replaced
    yield "made and unlinked", result.deleted
    yield "sockets bound", result.bound
    yield "System V IPC", (
        *(f"{each}, made" for each in result.ipc_made),
        *(f"{each}, there already: set" for each in result.ipc_changed),
    )
    yield "signalled", tuple(f"PID {pid}" for pid in result.told)
