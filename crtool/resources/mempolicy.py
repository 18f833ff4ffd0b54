"""From which NUMA nodes a thread gets new memory: set_mempolicy(2).

The kernel keeps a mode with its nodes for each thread; mappings may have policies of their own (mbind(2)), which are
not the business of this module.

We ask the thread by get_mempolicy(2), and read from /proc/PID/task/TID/status which nodes its cpuset allows.

We rebuild it by set_mempolicy(2), made by the thread itself; no privilege is needed. Order needed: none, but pages
that are touched before lie where they lie.

Lost are nodes that do not exist here, with a warning (:func:`lost`), and what mbind(2) has set.
"""

from __future__ import annotations

from collections.abc import Callable

from crtool.abi.mempolicy import MAX_NUMNODES, MPOL_DEFAULT, MPOL_F_RELATIVE_NODES
from crtool.procfs.status import Status
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["MempolicyRecord", "dump", "lost", "restore"]

_MASK_SIZE = MAX_NUMNODES // 8
# The kernel takes "the number of bits" to be one more than it uses.
_MASK_BITS = MAX_NUMNODES + 1


@dataclass(frozen=True)
class MempolicyRecord:
    """One thread."""

    mode: int  # MPOL_* with its MPOL_F_* flags; 0 also on a kernel without NUMA
    nodes: tuple[int, ...]  # node numbers, ascending
    allowed: tuple[int, ...]  # nodes that it may use at all: Mems_allowed_list


def dump(status: Status, batch: Batch) -> Callable[[], MempolicyRecord]:
    """Adds the question that only the thread of *status* can answer; *batch* is run by it."""
    mode, mask = batch.buffer(4), batch.buffer(_MASK_SIZE)
    call = batch.call("get_mempolicy", mode, mask, _MASK_BITS, 0, 0, must=False, label="memory policy")

    def record() -> MempolicyRecord:
        allowed = tuple(sorted(status.mems_allowed or ()))
        if not call.ok:
            return MempolicyRecord(MPOL_DEFAULT, (), allowed)
        bits = int.from_bytes(mask.read(), "little")
        nodes = tuple(node for node in range(bits.bit_length()) if bits >> node & 1)
        return MempolicyRecord(int.from_bytes(mode.read(), "little"), nodes, allowed)

    return record


def lost(record: MempolicyRecord, born: MempolicyRecord) -> tuple[str, ...]:
    """Warnings about nodes of *record* that a thread with the policy *born* may not use."""
    if gone := sorted(set(record.nodes) - set(_possible(record, born))):
        return (
            f"memory of NUMA nodes {', '.join(map(str, gone))} was preferred or demanded; they are not usable here",
        )
    return ()


def restore(batch: Batch, record: MempolicyRecord, born: MempolicyRecord) -> None:
    """Adds the call, unless the thread has been born with this policy."""
    nodes = _possible(record, born)
    mode = record.mode if nodes or not record.nodes else MPOL_DEFAULT
    if (mode, nodes) == (born.mode, born.nodes):
        return
    bits = sum(1 << node for node in nodes)
    mask = bits.to_bytes(_MASK_SIZE, "little") if nodes else 0
    batch.call("set_mempolicy", mode, mask, _MASK_BITS if nodes else 0, label="memory policy")


def _possible(record: MempolicyRecord, born: MempolicyRecord) -> tuple[int, ...]:
    """The nodes of *record* that are usable here; relative ones always are."""
    if record.mode & MPOL_F_RELATIVE_NODES:
        return record.nodes
    return tuple(node for node in record.nodes if node in born.allowed)
