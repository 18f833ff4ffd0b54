"""Taking up an image, for a restart and for its dry run: what of it is judged first, and as what it comes back."""

from __future__ import annotations

from collections.abc import Callable

from crtool.arch import cpu
from crtool.engine.adapt import as_caller, without_connections
from crtool.engine.references import read_snapshot
from crtool.engine.snapshot import Snapshot
from crtool.image.reader import ImageReader
from crtool.image.trust import judge_trust
from crtool.resources.policy import Tcp

__all__ = ["admit"]


def admit(reader: ImageReader, *, trust: bool, tcp: Tcp, own: bool, warn: Callable[[str], None]) -> Snapshot:
    """The records of an image that is for this machine, and from somebody who may say what runs on it.

    With *tcp* "close" without connections to the outside; with *own* the processes are the caller's. Raises ImageError
    and EnvironmentDiffers.
    """
    reader.info.require_cpu(cpu.NAME, cpu.PAGE_SIZE, reader.name)
    reader.require_packages()
    if not trust:
        for holder in (reader, *reader.ancestors()):
            judge_trust(holder.fileno(), holder.name)
    snapshot = read_snapshot(reader)
    if tcp == "close":
        snapshot = without_connections(snapshot, warn)
    return as_caller(snapshot, warn) if own else snapshot
