"""UTS namespaces: the names of the machine (uts_namespaces(7)).

The kernel keeps in each a host name and a NIS domain name.

We read both from within: /proc/sys/kernel shows those of its reader.

We rebuild it by unshare(2), sethostname(2) and setdomainname(2).

Nothing is lost.
"""

from __future__ import annotations

from pathlib import Path

from crtool.abi.clone import CLONE_NEWUTS
from crtool.kernel.within import within
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["FLAG", "UtsRecord", "dump", "restore"]

FLAG = CLONE_NEWUTS


@dataclass(frozen=True)
class UtsRecord:
    """A UTS namespace."""

    members: tuple[int, ...]  # PIDs of the processes that live in it, as of ProcessRecord.pids[0]
    host: bytes  # nodename of uname(2)
    domain: bytes  # domainname of uname(2)


def dump(door: int, members: tuple[int, ...]) -> UtsRecord:
    """The namespace of thread *door*."""
    names = within(door, FLAG, lambda: b"\0".join(_name(name) for name in ("hostname", "domainname")))
    host, domain = names.split(b"\0")
    return UtsRecord(members, host, domain)


def _name(which: str) -> bytes:
    return Path(f"/proc/sys/kernel/{which}").read_bytes().removesuffix(b"\n")


def restore(batch: Batch, record: UtsRecord) -> None:
    """Adds the calls that give a new namespace its names."""
    batch.call("sethostname", record.host or 0, len(record.host), label="host name")
    batch.call("setdomainname", record.domain or 0, len(record.domain), label="domain name")
