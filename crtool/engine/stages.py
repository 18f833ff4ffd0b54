"""The stages of both stories, each with a paragraph: what is done, who does it, and why at this point."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from crtool import faults

__all__ = ["Clock", "Stage"]


class Stage(Enum):
    """A stretch of a checkpoint or a restart."""

    PREFLIGHT = "preflight"
    """Checkpoint. The tree is looked at and nothing is touched: all obstacles are collected at once. Everything that
    can be imported or prepared is, so that it does not have to be later, while the target stands still."""

    FREEZE = "freeze"
    """Checkpoint. Every thread of every process is seized and interrupted, again and again until a pass over the tree
    finds nobody new: who is stopped cannot fork. The target stands still from the first stop on."""

    COLLECT = "collect"
    """Checkpoint. What the kernel keeps of each process becomes records: by ptrace and /proc where crtool can ask
    itself, by
    one batch per process and one per thread where only the task can. Afterwards all tasks are at home again."""

    MEMORY = "memory"
    """Checkpoint. The records are written, all of them, and then the data that they speak of, in the same order:
    contents of deleted files and shared memory first, since a restart needs them first, then pages by process."""

    BURY = "bury"
    """Checkpoint. Where the tree went on while its twins were copied: they are dead now, and only their parents can
    wait for them. Each is stopped once more for that, alone, for about a millisecond."""

    COMMIT = "commit"
    """Checkpoint. The image is synced and gets its name. Only behind this may a target be killed or left stopped. One
    that is to go on does not wait for the disk: it has been let go before."""

    LET_GO = "let go"
    """Checkpoint. Every thread is detached; or the tree is killed or left stopped, if that was asked for. This is done
    whatever happened before."""

    READ = "read"
    """Restart. Header, records and trailer are read and checked before anything is built, and up to 16 MiB of data with
    them. More data is verified while it is used, and that of a pipe as it comes: before anybody is released."""

    PREPARE = "prepare"
    """Restart. Whatever the image needs of this machine is compared with what is here. Open file descriptions are
    made, once each, in crtool itself, at numbers above all of the image, for the births to inherit."""

    BIRTHS = "births"
    """Restart. The forest grows as planned: every process is born by its own parent, with its own PID; sessions are
    made before groups; ghosts and placeholders have died at the end. Who bears somebody with whom it shares pages
    copy-on-write has its memory by then."""

    FILES = "files"
    """Restart. Each process puts the descriptions it inherited where they belong, and takes up its root, folder and
    umask.
    """

    SPACE = "space"
    """Restart. Each process maps its memory and fills it from the image, by itself, but for what it has inherited. Then
    its threads are born, which needs no memory, but would have had to be taken along."""

    STATE = "state"
    """Restart. Each thread, then each process, takes up what belongs to it: signals, timers, limits. Last come those
    that take rights away: credentials, no_new_privs, seccomp. Zombies die here, when nothing can be sent to anybody."""

    RELEASE = "release"
    """Restart. Scratch mappings go, registers come. When nothing is left that may fail, what others see appears:
    sockets and files under their names, with what they held. Then all are detached, and the program runs."""


class Clock:
    """How long each stage took, in seconds."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        """Measures the block as (part of) *stage*."""
        with self.measured(stage):
            faults.point(f"{stage.value} begin")
            yield
            faults.point(f"{stage.value} end")

    @contextmanager
    def measured(self, stage: Stage) -> Iterator[None]:
        """The same of a block in which nothing may come between."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage.value] = self.seconds.get(stage.value, 0.0) + time.monotonic() - start

    @property
    def wall(self) -> float:
        """Seconds since the clock was made."""
        return time.monotonic() - self.started
