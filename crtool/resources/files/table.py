"""File tables: which descriptor stands for which open file description.

The kernel keeps a table for each process, or one for several with CLONE_FILES; in it, each descriptor refers to an
open file description, which other descriptors, also of other processes, may refer to as well, and has the flag
FD_CLOEXEC.

We list /proc/PID/fd, read fdinfo, and find equal descriptions by kcmp(2), since nothing else tells two opens of one
file apart (:class:`crtool.kernel.process.Identities`).

We rebuild a table by dup3(2) from the descriptions, which the puppets have inherited from crtool at numbers above all
of the image, and close what is left above.

Nothing is lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from crtool.puppet.batch import Batch
from crtool.record import dataclass
from crtool.resources.files.locks import LockRecord

__all__ = ["DescriptorRecord", "TableRecord", "close_above", "restore"]

_LAST = 0xFFFF_FFFF


@dataclass(frozen=True)
class DescriptorRecord:
    """One descriptor."""

    fd: int
    description: int  # index into the image's open file descriptions
    cloexec: bool


@dataclass(frozen=True)
class TableRecord:
    """One file table, by ascending numbers."""

    descriptors: tuple[DescriptorRecord, ...]
    locks: tuple[LockRecord, ...]  # of its owner, and those of descriptions that were found here first


def restore(batch: Batch, record: TableRecord, number: Callable[[int], int], base: int) -> None:
    """Adds the calls that build the table in a puppet, from descriptors at numbers from *base* on.

    *number* gives the puppet's descriptor for a description; all of *record* is below *base*. What the puppet
    has below it and the record has not is closed; :func:`close_above` closes the rest when nothing is needed any more.
    """
    for descriptor in record.descriptors:
        flags = os.O_CLOEXEC if descriptor.cloexec else 0
        batch.call("dup3", number(descriptor.description), descriptor.fd, flags, label=f"fd {descriptor.fd}")
    first = 0
    for descriptor in record.descriptors:
        if descriptor.fd > first:
            batch.call("close_range", first, descriptor.fd - 1, 0)
        first = descriptor.fd + 1
    if base > first:
        batch.call("close_range", first, base - 1, 0)


def close_above(batch: Batch, base: int) -> None:
    """Adds the call that closes everything from *base* on."""
    batch.call("close_range", base, _LAST, 0)
