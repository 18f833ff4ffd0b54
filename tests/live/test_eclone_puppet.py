"""The same request, made by a puppet: births, namespaces, and what Python itself could not survive."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from crtool.abi import clone as flag
from crtool.errors import RemoteCallError
from crtool.kernel.eclone_request import EcloneRequest
from crtool.puppet.batch import Batch
from crtool.puppet.birth import Newborn

from .forked import WALL, free_pid
from .puppets import newborn, status_of

CHLD = int(signal.SIGCHLD)


@contextmanager
def child_of(parent: Newborn, request: EcloneRequest) -> Iterator[Newborn]:
    """What *parent* has borne, as it was asked to; ended at the end."""
    batch = Batch()
    call = parent.bear(batch, request)
    parent.run(batch)
    child = Newborn.attached(parent.born.pop(), parent, thread=False)
    assert call.value in status_of(child.pid).ns_pid
    try:
        yield child
    finally:
        os.kill(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, WALL)  # as its tracer
        os.close(child.memory)
        batch = Batch()
        batch.call("wait4", call.value, 0, WALL, 0, must=False)
        parent.run(batch)


def test_a_child_with_the_pid_asked_for():
    number = free_pid()
    with newborn() as parent, child_of(parent, EcloneRequest(0, CHLD, (number,))) as child:
        assert number == child.pid
        assert parent.pid == status_of(number).ppid


def test_a_child_of_shared_memory():
    with newborn() as parent, child_of(parent, EcloneRequest(flag.CLONE_VM, CHLD, (free_pid(),))) as child:
        assert parent.mappings() == child.mappings()


@pytest.mark.parametrize("named", [True, False])
def test_the_first_of_a_new_namespace_and_its_child(named):
    number = free_pid()
    pids = (number,) if named else ()
    with newborn() as parent, child_of(parent, EcloneRequest(flag.CLONE_NEWPID, CHLD, pids)) as first:
        assert 1 == status_of(first.pid).ns_pid[-1]
        assert not named or number == first.pid
        other = free_pid()
        with child_of(first, EcloneRequest(0, CHLD, (other, 7))) as second:
            assert (other, 7) == status_of(second.pid).ns_pid[-2:]


def test_a_vector_of_status_is_the_same_birth():
    number = free_pid()
    with newborn() as parent:
        batch = Batch()
        parent.clone(batch, flag.CLONE_NEWPID, CHLD, (number, 1))
        parent.bear(batch, EcloneRequest(flag.CLONE_NEWPID, CHLD, (number,)))

        old, new = ([argument.initial() for argument in call.args if not isinstance(argument, int)] for call in batch)
        assert old == new


def test_a_pid_that_is_taken():
    with newborn() as parent:
        batch = Batch()
        parent.bear(batch, EcloneRequest(0, CHLD, (os.getpid(),)))
        with pytest.raises(RemoteCallError) as found:
            parent.run(batch)
    assert errno.EEXIST == found.value.errno
