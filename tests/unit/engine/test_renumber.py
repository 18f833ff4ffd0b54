"""The numbers of an image whose tree lives in another PID namespace than crtool."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from crtool.abi.mount import MS_PRIVATE
from crtool.engine.renumber import numbers_in_base, renumbered
from crtool.engine.snapshot import AbsentRecord, FilesRecord, HostRecord, ProcessRecord, Snapshot
from crtool.procfs.status import Status, parse
from crtool.procfs.timens import NONE
from crtool.resources.files.owners import OwnerRecord
from crtool.resources.namespaces.mounts import MountsRecord, ProcRecord
from crtool.resources.namespaces.uts import UtsRecord

SAMPLE = parse((Path(__file__).parents[1] / "procfs" / "samples" / "status").read_bytes())


def status(pids: tuple[int, ...], group: tuple[int, ...], session: tuple[int, ...]) -> Status:
    return replace(SAMPLE, ns_pid=pids, ns_tgid=pids, ns_pgid=group, ns_sid=session)


def zombie(pids: tuple[int, ...], ppid: int, pgid: int, sid: int, namespace: int = 0) -> ProcessRecord:
    return ProcessRecord(pids, namespace, ppid, pgid, sid, 17, True, 0, b"x", 0, False, False, -1, -1, (), None)


def test_every_number_is_changed_and_strangers_are_0():
    table = numbers_in_base(
        [
            status((900, 30), (900, 30), (80, 0)),
            status((901, 31), (901, 31), (80, 0)),
            status((902, 32, 1), (900, 30, 0), (80, 0, 0)),
        ],
        1,
    )
    files = FilesRecord((), (), (), None, "", (), (OwnerRecord(901, 3, 1, 77, 0, 0),), (), ())
    host = HostRecord("6.18", 0.0, 7, 832, 0, 0, NONE)
    processes = (
        zombie((900, 30), 5, 900, 80),
        zombie((901, 31), 900, 901, 80),
        zombie((902, 32, 1), 901, 900, 80, namespace=902),
    )
    absent = (AbsentRecord((900, 30, 7), 902),)
    namespaces = (
        UtsRecord((900, 901), b"here", b""),
        MountsRecord((901, 902), MS_PRIVATE, (ProcRecord(b"/proc", 902, 902, 0),)),
    )
    found = renumbered(Snapshot(host, 900, (80,), absent, namespaces, processes, (), files), table, 1)

    assert 30 == found.root
    assert () == found.outside
    assert [((30,), 0, 30, 0), ((31,), 30, 31, 0), ((32, 1), 31, 30, 0)] == [
        (record.pids, record.ppid, record.pgid, record.sid) for record in found.processes
    ]
    assert [0, 0, 32] == [record.namespace for record in found.processes]
    assert (
        UtsRecord((30, 31), b"here", b""),
        MountsRecord((31, 32), MS_PRIVATE, (ProcRecord(b"/proc", 32, 32, 0),)),
    ) == found.namespaces
    assert (AbsentRecord((30, 7), 32),) == found.absent
    assert (OwnerRecord(31, 3, 1, 0, 0, 0),) == found.files.owners


def test_pitfall_18_two_that_have_swapped_their_numbers_stay_two():
    """All numbers are changed at once: whoever changed them one by one, in place, would make both the same."""
    files = FilesRecord((), (), (), None, "", (), (), (), ())
    host = HostRecord("6.18", 0.0, 7, 832, 0, 0, NONE)
    processes = (zombie((5, 6), 1, 5, 5), zombie((6, 5), 5, 6, 5), zombie((7, 7), 6, 6, 5))
    table = numbers_in_base([status(pids, pids, pids) for pids in ((5, 6), (6, 5), (7, 7))], 1)
    found = renumbered(Snapshot(host, 5, (), (), (), processes, (), files), table, 1)

    assert [((6,), 0, 6, 6), ((5,), 6, 5, 6), ((7,), 5, 5, 6)] == [
        (record.pids, record.ppid, record.pgid, record.sid) for record in found.processes
    ]
