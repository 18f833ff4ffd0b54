"""The one place where PIDs are turned round, and the words of clone3."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crtool.abi.clone import CLONE_NEWPID, CLONE_PARENT, CLONE_THREAD, CLONE_VM
from crtool.kernel.eclone_request import EcloneRequest, set_tid

pytestmark = pytest.mark.quick

FIXED = st.lists(st.integers(1, 1 << 22), max_size=32)
ANY = st.lists(st.integers(0, 5), max_size=32)


@given(FIXED)
def test_pitfall_01_turned_round_twice_is_the_same(pids):
    assert tuple(pids) == set_tid(set_tid(pids))


@given(FIXED, st.booleans())
def test_pitfall_01_length_and_prefix(pids, new):
    numbers = set_tid(pids, new_pid_namespace=new)

    assert len(numbers) == len(pids) + (new and bool(pids))
    assert (1, *reversed(pids)) == numbers if new and pids else tuple(reversed(pids)) == numbers


@given(ANY)
def test_only_what_stands_outside_of_the_first_fixed_pid_is_left_out(pids):
    numbers = set_tid(pids)

    assert not numbers or numbers[-1] != 0
    assert pids == [0] * (len(pids) - len(numbers)) + list(reversed(numbers))


@given(ANY)
def test_holes_are_the_zeros_that_are_left(pids):
    request = EcloneRequest(0, pids=tuple(pids))

    assert set_tid(pids).count(0) == len(request.holes)
    filled = request.filled([900 + place for place in range(len(request.holes))])
    assert () == filled.holes
    assert all(now == before for now, before in zip(filled.pids, pids, strict=True) if before)


@pytest.mark.parametrize(
    ("pids", "flags", "expected"),
    [
        ((0, 77, 99), 0, (99, 77)),  # the worked example of docs/eclone.md
        ((0, 77, 99), CLONE_NEWPID, (1, 99, 77)),
        ((7,), 0, (7,)),
        ((0, 0, 0), 0, ()),
        ((0, 0), CLONE_NEWPID, ()),
        ((), CLONE_NEWPID, ()),
        ((), 0, ()),
    ],
)
def test_set_tid(pids, flags, expected):
    assert expected == EcloneRequest(flags, pids=pids).clone3().set_tid


@pytest.mark.parametrize(("pids", "holes"), [((77, 0), (1,)), ((77, 0, 5), (1,)), ((0, 7, 0, 0), (2, 3)), ((0, 7), ())])
def test_pitfall_02_an_inner_zero_cannot_be_said(pids, holes):
    request = EcloneRequest(0, pids=pids)

    assert holes == request.holes
    if holes:
        with pytest.raises(ValueError, match="below one that is fixed"):
            request.clone3()


@pytest.mark.parametrize(
    ("flags", "vector", "pids"),
    [(0, (5, 6), (5, 6)), (CLONE_NEWPID, (5, 1), (5,)), (CLONE_NEWPID, (1,), ()), (CLONE_NEWPID, (), ()), (0, (), ())],
)
def test_a_vector_of_status_has_the_implicit_1(flags, vector, pids):
    assert pids == EcloneRequest.of_vector(flags, 17, vector).pids


def test_a_vector_of_a_new_namespace_ends_with_1():
    with pytest.raises(ValueError, match="is 1, not 6"):
        EcloneRequest.of_vector(CLONE_NEWPID, 17, (5, 6))


@pytest.mark.parametrize(("flags", "signal"), [(0, 17), (CLONE_VM, 17), (CLONE_PARENT, 0), (CLONE_THREAD, 0)])
def test_siblings_and_threads_have_no_exit_signal(flags, signal):
    assert signal == EcloneRequest(flags, 17).clone3().exit_signal


def test_struct_clone_args():
    request = EcloneRequest(
        0x2100, 17, (3, 4), stack=0x1000, stack_size=0x200, parent_tid=0x30, child_tid=0x40, tls=0x50
    )

    words = struct.unpack("<11Q", request.clone3().pack(0xABC))

    # flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
    assert (0x2100, 0, 0x40, 0x30, 17, 0x1000, 0x200, 0x50, 0xABC, 2, 0) == words


def test_an_array_without_entries_has_no_address():
    assert (0, 0) == struct.unpack("<11Q", EcloneRequest(0).clone3().pack(0xABC))[8:10]
