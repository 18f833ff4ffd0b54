"""What there is around a test, before and after it: it has to be the same.

Only what is ours is looked at, since others run tests on the same machine: this process, everybody below it, its own
folder of temporary files, and what :mod:`tests.surroundings` can tell from that of others.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests import below, surroundings
from tests.surroundings import TEMPORARY

__all__ = ["Census", "end", "left_in", "settled", "take"]

PATIENCE = 10.0
"""Seconds that those may take to end who are on their way: guardians, keepers, the dying."""
MOMENT = 1.0
"""Seconds that a thread may take to close its files."""
_WALL = 0x40000000  # waitpid(2): children of every kind
CACHES = ("/proc", "/dev/null")
"""What is opened once and kept: by crtool.procfs.read and by pytest."""


@dataclass(frozen=True)
class Census:
    """What this process has, and who is below it."""

    processes: frozenset[int]
    namespaces: tuple[str, ...]
    groups: bytes
    mounts: frozenset[bytes]
    descriptors: frozenset[tuple[int, str]] | None  # None: whatever they are
    names: frozenset[str]  # of files and network interfaces
    objects: frozenset[str]  # of IPC
    settings: frozenset[str]  # /proc/sys

    def left(self, before: Census) -> list[str]:
        """What there is more, or other, than *before*, in words."""
        found = [f"process {_about(pid)}" for pid in sorted(self.processes - before.processes)]
        found += [f"mount {line.decode(errors='replace')}" for line in sorted(self.mounts ^ before.mounts)]
        if self.descriptors is not None and before.descriptors is not None:
            found += [f"descriptor {fd}: {link}" for fd, link in sorted(self.descriptors - before.descriptors)]
        found += [f"file {path}" for path in sorted(self.names - before.names)]
        found += [f"object {text}" for text in sorted(self.objects - before.objects)]
        found += [f"setting {text}" for text in sorted(self.settings - before.settings)]
        if self.namespaces != before.namespaces:
            found.append(f"namespaces {self.namespaces}, not {before.namespaces}")
        if self.groups != before.groups:
            found.append(f"control groups {self.groups!r}, not {before.groups!r}")
        return found


def take(folder: bytes) -> Census:
    """What there is now. *folder*: of the temporary files of this process; mounts elsewhere are those of others."""
    return Census(
        frozenset(_everybody() - _lasting()),
        tuple(os.readlink(f"/proc/self/ns/{name}") for name in sorted(os.listdir("/proc/self/ns"))),
        Path("/proc/self/cgroup").read_bytes(),
        frozenset(
            line
            for line in Path("/proc/self/mountinfo").read_bytes().splitlines()
            if folder in line or b"crtool" in line
        ),
        frozenset(_descriptors()),
        frozenset(surroundings.names()),
        frozenset(surroundings.objects()),
        frozenset(surroundings.settings()),
    )


def settled(before: Census, folder: bytes, *, descriptors: bool) -> list[str]:
    """What is left when all have had the time to end; the dead that are ours are waited for."""
    if not descriptors:
        before = replace(before, descriptors=None)
    start = time.monotonic()
    while left := take(folder).left(before):
        if time.monotonic() > start + (PATIENCE if any(word.startswith("process") for word in left) else MOMENT):
            break
        for pid in take(folder).processes - before.processes:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        gc.collect()
        time.sleep(0.002)
    return left


def left_in(folder: Path) -> list[str]:
    """Temporary files of crtool's in the folder of a test."""
    found = []
    for place, folders, files in os.walk(folder):
        found += [os.path.join(place, name) for name in (*folders, *files) if TEMPORARY.match(name)]
        if place.count("/") - str(folder).count("/") >= 3:
            folders.clear()
    return found


def end(pids: frozenset[int]) -> None:
    """Ends processes that a test has left."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _everybody() -> set[int]:
    """All below this process."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT | _WALL)
    except ChildProcessError:
        return set()
    return {*below.parents()}


def _lasting() -> set[int]:
    """Who lives as long as this process."""
    found = set()
    for name in ("live.harness.warm", "tests.live.harness.warm"):
        if (warm := sys.modules.get(name)) is not None:
            found |= warm.zygotes()
    return found


def _descriptors() -> Iterator[tuple[int, str]]:
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            link = os.readlink(f"/proc/self/fd/{name}")
            if link not in CACHES:
                yield int(name), link


def _about(pid: int) -> str:
    with suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text().splitlines()
        words = dict(line.split(":\t", 1) for line in status if ":\t" in line)
        return f"{pid} ({words['Name']}), {words['State']}, child of {words['PPid']}, tracer {words['TracerPid']}"
    return f"{pid}, gone"
