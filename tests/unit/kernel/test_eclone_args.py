"""Both revisions of struct clone_args, told apart by their size."""

from __future__ import annotations

import ctypes
import errno
import struct

import pytest

from crtool.kernel.eclone_args import CloneArgs, CloneArgsV12, decode, decode_pids

pytestmark = pytest.mark.quick

NEW = "<5Q2I"
OLD = "<5Q2IQ"


def refused(*args: object) -> int | None:
    with pytest.raises(OSError, match="eclone: ") as found:
        decode(*args)
    return found.value.errno


def test_the_last_revision_has_48_bytes_and_the_top_of_the_stack():
    raw = struct.pack(NEW, 0, 0x2000, 0, 3, 4, 5, 0)

    assert 48 == len(raw)
    found = decode(raw, 48, None)
    assert (0x2000, 3, 4, 5) == (found.stack + found.stack_size, found.parent_tid, found.child_tid, found.nr_pids)


def test_the_form_of_the_article_has_56_bytes_and_the_base_of_the_stack():
    raw = struct.pack(OLD, 0, 0x2000, 0x100, 3, 4, 5, 0, 0)

    assert 56 == len(raw)
    found = decode(raw, 56, None)
    assert (0x2000, 0x100, 3, 4, 5) == (found.stack, found.stack_size, found.parent_tid, found.child_tid, found.nr_pids)


def test_the_size_decides_not_the_bytes():
    raw = struct.pack(OLD, 0, 0, 0, 0, 0, 2, 0, 7)

    assert 2 == decode(raw, 48, None).nr_pids
    assert errno.EINVAL == refused(raw, 56, None)  # reserved1


def test_a_size_without_a_base_is_ignored_in_the_article_form():
    found = decode(CloneArgsV12(child_stack_size=4096), None, None)

    assert (0, 0) == (found.stack, found.stack_size)


@pytest.mark.parametrize("size", [-1, 0, 40, 47, 49, 55, 57, 64, 88])
def test_other_sizes(size):
    assert errno.EINVAL == refused(bytes(100), size, None)


@pytest.mark.parametrize(
    ("args", "number"),
    [
        (CloneArgs(reserved0=1), errno.EINVAL),
        (CloneArgs(clone_flags_high=1), errno.EINVAL),
        (CloneArgs(clone_flags_high=1 << 31), errno.EINVAL),
        (CloneArgs(child_stack_size=4096), errno.EINVAL),
        (CloneArgs(child_stack=4096, child_stack_size=4096), errno.EINVAL),
        (CloneArgsV12(reserved0=1), errno.EINVAL),
        (CloneArgsV12(reserved1=1), errno.EINVAL),
        (CloneArgsV12(clone_flags_high=2), errno.EINVAL),
    ],
)
def test_what_must_be_0(args, number):
    assert number == refused(args, None, None)


@pytest.mark.parametrize("args", [None, 0, -8, 8, 1 << 70, b"", bytes(47)])
def test_what_cannot_be_read(args):
    assert errno.EFAULT == refused(args, 48, None)


def test_the_size_is_judged_before_the_address():
    assert errno.EINVAL == refused(None, 47, None)


def test_an_address_needs_a_size():
    with pytest.raises(TypeError, match="args_size is needed"):
        decode(4096, None, None)


def test_the_structure_at_an_address():
    buffer = ctypes.create_string_buffer(CloneArgs(nr_pids=3).pack())

    assert 3 == decode(ctypes.addressof(buffer), 48, None).nr_pids


def test_nr_pids_is_the_length_of_the_array_if_it_is_not_said():
    assert 2 == decode(CloneArgs(), None, [1, 2]).nr_pids
    assert 2 == decode(CloneArgs(), None, struct.pack("<2i", 1, 2)).nr_pids
    assert 0 == decode(CloneArgs(), None, None).nr_pids
    assert 1 == decode(CloneArgs(nr_pids=1), None, [1, 2]).nr_pids


def test_pids_as_numbers_bytes_and_address():
    array = (ctypes.c_int * 3)(5, 0, -7)

    for pids in ([5, 0, -7], array, bytes(array), ctypes.addressof(array)):
        assert (5, 0, -7) == decode_pids(pids, 3)


@pytest.mark.parametrize("pids", [None, 8, [1], b"1234"])
def test_pids_that_cannot_be_read(pids):
    with pytest.raises(OSError, match="eclone: ") as found:
        decode_pids(pids, 2)

    assert errno.EFAULT == found.value.errno


def test_pids_are_ignored_if_there_are_none():
    assert () == decode_pids(None, 0)
    assert () == decode_pids([7], 0)
