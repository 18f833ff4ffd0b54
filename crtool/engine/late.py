"""What open files need when all processes and threads are born.

Some can only be made now, since they refer to processes of the tree or are made by them. They are made here, each once,
and handed to every process that had them; so what was shared is shared again. Until then the file tables
hold another file in their places. Rings of io_uring to which one thread alone may submit are completed by it. At last
the epoll instances get their entries.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from crtool.engine.prepare import Prepared
from crtool.engine.rebuild import Rebuilder
from crtool.engine.snapshot import ThreadRecord
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn
from crtool.resources.files import anonymous, epoll, uring, uring_fixed
from crtool.resources.files.anonymous import Born
from crtool.resources.files.epoll import EpollRecord
from crtool.resources.files.table import DescriptorRecord
from crtool.resources.files.uring import UringRecord
from crtool.resources.files.uring_fixed import RegisteredRecord

__all__ = ["complete_files"]


def complete_files(living: Sequence[Rebuilder], puppets: Mapping[int, Newborn], prepared: Prepared) -> None:
    """Makes what could not be made before, puts it into the file tables of *living*, and fills the epoll instances.

    *puppets*: of all processes, also those that will be zombies.
    """
    keepers = dict(_keepers(living))
    born = _born(living, puppets, prepared)
    files = prepared.snapshot.files
    needs = [{descriptor.description for descriptor in record.descriptors} for record in files.tables]
    instances: list[tuple[EpollRecord, int]] = []
    for index, record in enumerate(files.descriptions):
        if isinstance(record, EpollRecord) and record.entries:
            needs[record.table].update(entry.description for entry in record.entries)
            instances.append((record, index))
    registrars = dict(_registrars(living, prepared))
    for registered, thread in registrars.values():
        needs[thread.files].update(uring_fixed.mentioned(registered))
    local = {
        index: prepared.keep_late(
            prepared.open_mounted(index)
            if prepared.is_mounted(files.descriptions[index])
            else anonymous.restore_late(files.descriptions[index], born)
        )
        for index in prepared.late
    }
    handed: dict[int, dict[int, int]] = {}
    for table, puppet in keepers.items():
        wanted = sorted(needs[table] & local.keys())
        handed[table] = _hand_over(puppet, prepared, wanted, [local[index] for index in wanted])
        _put_in_place(puppet, files.tables[table].descriptors, handed[table])
    threads = {tid: puppet for process in living for tid, puppet in process.threads.items()}
    for index, record in enumerate(files.descriptions):
        if isinstance(record, UringRecord) and record.issuer:
            uring.complete(record, prepared.description(index), threads[record.issuer])
    for index, (registered, thread) in registrars.items():
        fd, number = prepared.description(index), partial(_number, prepared, handed[thread.files])
        uring_fixed.restore(registered, fd, threads[thread.tid], number)
        for each in registered.numbers:
            uring_fixed.restore_number(each, fd, threads[each.tid])
    for record, index in instances:
        descriptors = files.tables[record.table].descriptors
        fd = prepared.description(index)  # not its own number: by that one it may watch another file
        number = partial(_number, prepared, handed[record.table])
        epoll.add_entries(keepers[record.table], record, fd, descriptors, number, prepared.base)


def _registrars(
    living: Sequence[Rebuilder], prepared: Prepared
) -> Iterator[tuple[int, tuple[RegisteredRecord, ThreadRecord]]]:
    """By description, what is registered with a ring, and the thread that registers it again."""
    threads = {thread.tid: thread for process in living for thread in process.record.threads}
    mains = {process.record.pids[0]: process.record.threads[0] for process in living}
    for index, record in enumerate(prepared.snapshot.files.descriptions):
        if isinstance(record, UringRecord) and record.registered is not None:
            thread = threads[record.issuer] if record.issuer else mains[record.registered.holder]
            yield index, (record.registered, thread)


def _born(living: Sequence[Rebuilder], puppets: Mapping[int, Newborn], prepared: Prepared) -> Born:
    tasks = {pid: puppet.tid for pid, puppet in puppets.items()}
    for process in living:
        tasks.update({tid: puppet.tid for tid, puppet in process.threads.items()})
    return Born(puppets.__getitem__, tasks.get, prepared.path, {}, {}, prepared.ipc.inside)


def _number(prepared: Prepared, handed: Mapping[int, int], description: int) -> int:
    """The descriptor, from the base on, of an open file in a puppet that was *handed* some of them."""
    return handed[description] if description in handed else prepared.description(description)


def _keepers(living: Sequence[Rebuilder]) -> Iterator[tuple[int, Newborn]]:
    """A task for each file table; the first that has it, which is the one that made it."""
    for process in reversed(living):
        for thread in reversed(process.record.threads):
            yield thread.files, process.threads[thread.tid]


def _hand_over(puppet: Newborn, prepared: Prepared, wanted: Sequence[int], fds: Sequence[int]) -> dict[int, int]:
    """By description, its number in *puppet*, from the base on."""
    if not wanted:
        return {}
    received = prepared.hand_over(puppet, fds)
    batch = Batch()
    high = [batch.call("fcntl", number, 0, prepared.base, label="open file") for number in received]
    for number in received:
        batch.call("close", number)
    puppet.run(batch)
    return dict(zip(wanted, (call.value for call in high), strict=True))


def _put_in_place(puppet: Newborn, descriptors: Sequence[DescriptorRecord], handed: Mapping[int, int]) -> None:
    batch = Batch()
    for descriptor in descriptors:
        if descriptor.description in handed:
            flags = os.O_CLOEXEC if descriptor.cloexec else 0
            batch.call("dup3", handed[descriptor.description], descriptor.fd, flags, label=f"fd {descriptor.fd}")
    if len(batch):
        puppet.run(batch)
