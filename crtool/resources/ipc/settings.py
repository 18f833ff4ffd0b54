"""Limits of an IPC namespace: its sysctls (ipc_namespaces(7), proc(5)).

The kernel keeps in each IPC namespace how large and how many its objects may be, and whether segments go with their
last process.

We read /proc/sys, which shows the namespace of whoever opens a file there. What is as in a new namespace is not noted.

We write them anew: before the objects are made only where that allows more, at last as they were.

Lost: where segments go with their last process (kernel.shm_rmid_forced), one that nobody has attached goes with crtool.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache

from crtool.errors import EnvironmentDiffers
from crtool.kernel import sysvipc
from crtool.record import dataclass

__all__ = ["SettingRecord", "dump", "raise_limits", "restore"]

_FORCED = "kernel.shm_rmid_forced"
_NAMES = (
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    _FORCED, "fs.mqueue.msg_default", "fs.mqueue.msg_max", "fs.mqueue.msgsize_default", "fs.mqueue.msgsize_max",
    "fs.mqueue.queues_max",
)  # fmt: skip


@dataclass(frozen=True)
class SettingRecord:
    """A sysctl."""

    name: str
    values: tuple[int, ...]


def dump() -> tuple[SettingRecord, ...]:
    """Those of the namespace that crtool is in which are other than in a new one."""
    new = _new(os.getpid())
    return tuple(SettingRecord(name, values) for name, values in _all().items() if values != new.get(name))


@cache
def _new(_pid: int) -> Mapping[str, tuple[int, ...]]:
    with sysvipc.anew():
        return _all()


def _all() -> dict[str, tuple[int, ...]]:
    return {name: values for name in _NAMES if (values := _read(name))}


def _path(name: str) -> str:
    return f"/proc/sys/{name.replace('.', '/')}"


def _read(name: str) -> tuple[int, ...]:
    try:
        with open(_path(name), encoding="ascii") as file:
            return tuple(map(int, file.read().split()))
    except FileNotFoundError:  # a kernel without POSIX message queues
        return ()


def raise_limits(records: Sequence[SettingRecord]) -> None:
    """Lets there be as much as either now or in the image."""
    for record in records:
        if record.name != _FORCED:
            _write(record.name, tuple(map(max, record.values, _read(record.name))))


def restore(records: Sequence[SettingRecord]) -> None:
    """Sets them, when all objects are there and attached."""
    for record in records:
        _write(record.name, record.values)


def _write(name: str, values: tuple[int, ...]) -> None:
    if name not in _NAMES or values == _read(name):
        return
    try:
        with open(_path(name), "w", encoding="ascii") as file:
            file.write("\t".join(map(str, values)))
    except OSError as error:
        shown = " ".join(map(str, values))
        cause = f"the sysctl {name} of an IPC namespace cannot be {shown}: {error.strerror}"
        raise EnvironmentDiffers(cause, "restart it on a kernel that allows that") from None
