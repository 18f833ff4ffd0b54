"""Changes of a real image after which crtool failed, or would have: those that the fuzzing has found, and their kin.

Kept as changes and not as bytes, so that they mean the same when the records have got other fields: where in the
records, by fields and indices, and the new value. "*" is the first that has the rest of the way.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from crtool.engine.snapshot import IpcRecord

__all__ = ["FOUND", "changed"]

_HUGE = (1 << 64) - 1

FOUND: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "made in a year that no clock shows": (("host", "created"), 1e300),
    "made at no time": (("host", "created"), float("nan")),
    "no processes": (("processes",), ()),
    "a process without numbers": (("processes", 0, "pids"), ()),
    "a process that is its own parent, with the number 0": (("processes", 1, "pids"), (0,)),
    "a process without threads": (("processes", 0, "threads"), ()),
    "a process without state": (("processes", 0, "state"), None),
    "memory that is not there": (("processes", 0, "memory"), 99),
    "memory of a negative number": (("processes", 0, "memory"), -99),
    "a program that is not there": (("memories", 0, "exe"), 99),
    "a mapped file that is not there": (("memories", 0, "mappings", 0, "inode"), 99),
    "a mapping that ends before it begins": (("memories", 0, "mappings", 0, "end"), 1),
    "pages beyond the data area": (("memories", 0, "data"), 1 << 62),
    "arguments that end before they begin": (("memories", 0, "bounds", "arg_end"), 1),
    "an environment without end": (("memories", 0, "bounds", "env_end"), _HUGE),
    "a file table that is not there": (("processes", 0, "threads", 0, "files"), 99),
    "a root folder that is not there": (("processes", 0, "threads", 0, "fs"), 99),
    "an open file that is not there": (("files", "tables", 0, "descriptors", 0, "description"), _HUGE),
    "a descriptor that no process can have": (("files", "tables", 0, "descriptors", 0, "fd"), _HUGE),
    "a path with a NUL": (("files", "inodes", "*", "path"), b"/a\0b"),
    "a file of a negative type": (("files", "inodes", "*", "mode"), -1),
    "content before the data area": (("files", "inodes", "*", "content", "data"), -4096),
    "a file behind an open file that is not there": (("files", "descriptions", "*", "inode"), 99),
    "a pipe that is not there": (("files", "descriptions", "*", "pipe"), 99),
    "a timer that no kernel has": (("processes", 0, "state", "itimers", 0, "which"), 8),
    "an address without a host": (("files", "descriptions", "*", "local"), b"/"),
    "an address of no family": (("files", "descriptions", "*", "local"), b"a" * 20),
    "a root in the IPC namespace of somebody else": (("ipc",), IpcRecord(False, (), (), (), (), member=6)),
    "a program that keeps its own number of a group of nobody": (("processes", 0, "pgid"), _HUGE),
}


def changed(record: Any, way: tuple[str | int, ...], value: Any) -> Any:
    """*record* with *value* at the end of *way*; LookupError if there is no such way."""
    if not way:
        return value
    step, rest = way[0], way[1:]
    if step == "*":
        for index, each in enumerate(record):
            try:
                return (*record[:index], changed(each, rest, value), *record[index + 1 :])
            except LookupError:
                continue
        raise LookupError(way)
    if isinstance(step, int):
        return (*record[:step], changed(record[step], rest, value), *record[step + 1 :])
    if not is_dataclass(record) or step not in {field.name for field in fields(record)}:
        raise LookupError(way)
    return replace(record, **{step: changed(getattr(record, step), rest, value)})  # type: ignore[type-var]
