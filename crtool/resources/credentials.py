"""Credentials of a thread: user and group ids, groups, capability sets, securebits (credentials(7),
capabilities(7)).

The kernel keeps them in struct cred, one for each thread: POSIX demands one for the process, and C libraries make it
look so, but the system calls act on the calling thread alone. Its keyrings (keyrings(7)) and its security label hang
on it, too.

We read /proc/PID/task/TID/status, as the user namespace of crtool sees it, and ask the thread for its securebits, of
which PR_SET_KEEPCAPS is one.

We rebuild them in the one order that the kernel admits: each step may use what later ones take away. Order needed:
after all that wants privileges, which is everything but signals of the thread itself and its registers; after limits,
whose hard values only CAP_SYS_RESOURCE may raise. A change of ids or a gain of capabilities clears the parent-death
signal of the thread and the dumpable flag of the process: those come after, the latter when all threads have their
credentials.

Refused, before anything is changed, is what needs a capability that crtool does not have (:func:`missing`). Keyrings,
security labels (/proc/PID/attr) and the audit's loginuid are not kept: the restored task has those of crtool.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from crtool.abi import capability as cap
from crtool.abi import prctl as pr
from crtool.errors import EnvironmentDiffers
from crtool.procfs.status import Status
from crtool.puppet.batch import Batch
from crtool.record import dataclass

__all__ = ["CredentialsRecord", "dump", "missing", "restore"]

_LOW = 0xFFFF_FFFF


@dataclass(frozen=True)
class CredentialsRecord:
    """One thread. Capability sets are bit masks, bit n for capability number n."""

    uids: tuple[int, int, int, int]  # real, effective, saved, file system: Uid of status
    gids: tuple[int, int, int, int]  # the same of groups: Gid of status
    groups: tuple[int, ...]  # supplementary, ascending: Groups of status
    inheritable: int  # CapInh
    permitted: int  # CapPrm
    effective: int  # CapEff
    bounding: int  # CapBnd
    ambient: int  # CapAmb
    securebits: int  # PR_GET_SECUREBITS, with SECBIT_KEEP_CAPS


def dump(status: Status, batch: Batch) -> Callable[[], CredentialsRecord]:
    """Adds the question that only the thread of *status* can answer; *batch* is run by it."""
    securebits = batch.call("prctl", pr.PR_GET_SECUREBITS, 0, 0, 0, 0, label="securebits")

    def record() -> CredentialsRecord:
        uid, gid, sets = status.uid, status.gid, status.capabilities
        return CredentialsRecord(
            uids=(uid.real, uid.effective, uid.saved, uid.filesystem),
            gids=(gid.real, gid.effective, gid.saved, gid.filesystem),
            groups=status.groups,
            inheritable=sets.inheritable,
            permitted=sets.permitted,
            effective=sets.effective,
            bounding=sets.bounding,
            ambient=sets.ambient,
            securebits=securebits.value,
        )

    return record


def missing(record: CredentialsRecord, born: CredentialsRecord) -> list[str]:
    """What a task with the credentials *born* lacks to take up those of *record*: phrases, [] for nothing."""
    found = []

    def require(capability: int, purpose: str) -> None:
        if not born.permitted & cap.bit(capability):
            found.append(f"{cap.name(capability)}, to {purpose}")

    if lacking := record.permitted & ~born.permitted:
        found.append(f"{cap.names(lacking)} in the permitted set")
    if lacking := record.bounding & ~born.bounding:
        found.append(f"{cap.names(lacking)} in the bounding set")
    # A set that is inherited, and may since have been cut off from the bounding set, can only be had from both.
    holds_setpcap = born.permitted & cap.bit(cap.CAP_SETPCAP)
    source = born.inheritable | (born.bounding if holds_setpcap else born.permitted & born.bounding)
    if lacking := record.inheritable & ~source:
        found.append(f"{cap.names(lacking)} in the inheritable set")
    if set(record.uids) - set(born.uids):
        require(cap.CAP_SETUID, "change user ids")
    if set(record.gids) - set(born.gids):
        require(cap.CAP_SETGID, "change group ids")
    if record.groups != born.groups:
        require(cap.CAP_SETGID, "set the supplementary groups")
    if born.bounding & ~record.bounding:
        require(cap.CAP_SETPCAP, "shrink the bounding set")
    if (record.securebits ^ born.securebits) & ~cap.SECBIT_KEEP_CAPS:
        require(cap.CAP_SETPCAP, "set the securebits")
    locked = (born.securebits & cap.SECURE_ALL_LOCKS) >> 1
    if (record.securebits ^ born.securebits) & (locked | locked << 1):
        found.append(f"securebits {record.securebits:#x}, while {born.securebits:#x} are locked here")
    elif _leaves_root(record, born) and record.permitted and not _survives(born):
        found.append("PR_SET_KEEPCAPS, which is locked here")
    if record.ambient & ~born.ambient and born.securebits & cap.SECBIT_NO_CAP_AMBIENT_RAISE:
        found.append("ambient capabilities, which are locked here")
    return found


def restore(batch: Batch, record: CredentialsRecord, born: CredentialsRecord) -> None:
    """Adds the calls that lead a thread with the credentials *born* to those of *record*; none if they are equal.

    EnvironmentDiffers, and nothing added, if something is :func:`missing`.
    """
    if lacking := missing(record, born):
        raise EnvironmentDiffers(
            "the image's credentials cannot be taken up here: " + "; ".join(lacking),
            "run crtool as root with these capabilities",
        )
    if record == born:
        return
    # The inheritable set first: nothing can be added to it that is no more in the bounding set.
    privileged = (born.permitted, born.permitted, record.inheritable)
    if privileged != (born.effective, born.permitted, born.inheritable):
        _capset(batch, privileged, "inheritable set")
    for number in cap.numbers(born.bounding & ~record.bounding):
        batch.call("prctl", pr.PR_CAPBSET_DROP, number, 0, 0, 0, label=f"bounding set without {cap.name(number)}")
    _groups(batch, record, born)
    securebits, ambient = born.securebits, born.ambient & record.inheritable
    if record.uids != born.uids:
        if _leaves_root(record, born):
            ambient = 0
            if not _survives_unaided(born):
                batch.call("prctl", pr.PR_SET_KEEPCAPS, 1, 0, 0, 0, label="capabilities through a change of user")
                securebits |= cap.SECBIT_KEEP_CAPS
        _users(batch, record, privileged)
    # Ambient before the securebits, which may forbid to raise them, and while the permitted set is still whole.
    for number in cap.numbers(ambient & ~record.ambient):
        batch.call("prctl", pr.PR_CAP_AMBIENT, pr.PR_CAP_AMBIENT_LOWER, number, 0, 0, label=cap.name(number))
    for number in cap.numbers(record.ambient & ~ambient):
        batch.call("prctl", pr.PR_CAP_AMBIENT, pr.PR_CAP_AMBIENT_RAISE, number, 0, 0, label=cap.name(number))
    if (securebits ^ record.securebits) & ~cap.SECBIT_KEEP_CAPS:
        batch.call("prctl", pr.PR_SET_SECUREBITS, record.securebits, 0, 0, 0, label="securebits")
    elif securebits != record.securebits:
        keep = 1 if record.securebits & cap.SECBIT_KEEP_CAPS else 0
        batch.call("prctl", pr.PR_SET_KEEPCAPS, keep, 0, 0, 0, label="keepcaps")
    final = (record.effective, record.permitted, record.inheritable)
    # A change of the file system user takes capabilities from the effective set, or gives some.
    if final != privileged or record.uids != born.uids:
        _capset(batch, final, "capabilities")


def _leaves_root(record: CredentialsRecord, born: CredentialsRecord) -> bool:
    """Whether none of the new ids is 0 but an old one was: then the kernel takes all capabilities."""
    return 0 in born.uids[:3] and 0 not in record.uids[:3]


def _survives_unaided(born: CredentialsRecord) -> bool:
    return bool(born.securebits & (cap.SECBIT_KEEP_CAPS | cap.SECBIT_NO_SETUID_FIXUP))


def _survives(born: CredentialsRecord) -> bool:
    """Whether the permitted set can be kept through a change of user."""
    return _survives_unaided(born) or not born.securebits & cap.SECBIT_KEEP_CAPS_LOCKED


def _capset(batch: Batch, sets: tuple[int, int, int], label: str) -> None:
    """Sets effective, permitted and inheritable."""
    low, high = (tuple(word >> shift & _LOW for word in sets) for shift in (0, 32))
    batch.call("capset", cap.CAP_HEADER, cap.CAP_DATA.pack(*low, *high), label=label)


def _groups(batch: Batch, record: CredentialsRecord, born: CredentialsRecord) -> None:
    if record.groups != born.groups:
        packed = struct.pack(f"<{len(record.groups)}I", *record.groups)
        batch.call("setgroups", len(record.groups), packed if packed else 0, label="supplementary groups")
    filesystem = born.gids[3]
    if record.gids != born.gids:
        batch.call("setresgid", *record.gids[:3], label="group ids")
        filesystem = record.gids[1]
    if record.gids[3] != filesystem:
        batch.call("setfsgid", record.gids[3], label="file system group id")


def _users(batch: Batch, record: CredentialsRecord, privileged: tuple[int, int, int]) -> None:
    """Changes the user ids, and takes back the effective set, which the kernel clears when the user ceases to be 0."""
    batch.call("setresuid", *record.uids[:3], label="user ids")
    _capset(batch, privileged, "capabilities of the new user")
    if record.uids[3] != record.uids[1]:
        batch.call("setfsuid", record.uids[3], label="file system user id")
