"""Type information, made by hand."""

import struct

import pytest

from crtool.kernel.btf import Member, Types

INT, STRUCT, UNION, ENUM, CONST, FUNC, PROTO, ENUM64 = 1, 4, 5, 6, 10, 12, 13, 19


def blob(*types, names=("outer", "inner", "first", "second", "third", "deep")):
    """*types*: name, kind, third word, what follows, how many that are; all in the order of their IDs."""
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    packed = b""
    for name, kind, word, rest, count, *flag in types:
        packed += struct.pack("<III", strings.find(f"\0{name}\0".encode()) + 1 if name else 0,
                              kind << 24 | count | (flag[0] << 31 if flag else 0), word)  # fmt: skip
        for part in rest:
            if isinstance(part, tuple):
                member, kind_id, bits = part
                part = struct.pack("<III", strings.find(f"\0{member}\0".encode()) + 1 if member else 0, kind_id, bits)
            packed += part
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(packed), len(packed), len(strings)) + packed + strings


NUMBER = ("first", INT, 4, [bytes(4)], 0)
DATA = blob(
    NUMBER,  # 1
    ("", ENUM, 4, [bytes(8)] * 3, 3),
    ("", PROTO, 1, [bytes(8)] * 2, 2),
    ("", ENUM64, 8, [bytes(12)], 1),
    ("", STRUCT, 16, [("deep", 1, 64)], 1),  # 5
    ("", UNION, 16, [("second", 1, 0), ("", 5, 0)], 2),
    ("", CONST, 6, [], 0),
    ("outer", STRUCT, 40, [("first", 1, 0), ("", 7, 128), ("third", 1, 4 << 24 | 256)], 3, 1),
)


@pytest.mark.parametrize(("member", "offset"), [("first", 0), ("second", 16), ("deep", 24), ("third", 32)])
def test_members_are_found_also_in_what_has_no_name(member, offset):
    assert offset == Types(DATA, ["outer"]).offset("outer", member)


def test_size():
    assert 40 == Types(DATA, ["outer"]).size("outer")


@pytest.mark.parametrize(("name", "member"), [("outer", "fourth"), ("outer", "fir"), ("inner", "first")])
def test_what_is_not_there(name, member):
    with pytest.raises(KeyError):
        Types(DATA, ["outer", "inner"]).offset(name, member)


def test_a_kind_that_nobody_knows():
    with pytest.raises(KeyError, match="kind 25"):
        Types(blob(("", 25, 0, [], 0)), ["outer"])


NESTED = blob(
    NUMBER,  # 1
    ("inner", STRUCT, 8, [("first", 1, 0), ("deep", 1, 32)], 2),
    ("", CONST, 2, [], 0),
    ("", STRUCT, 8, [("second", 3, 0)], 1),
    ("outer", STRUCT, 16, [("first", 1, 0), ("third", 1, 3 << 24 | 34), ("", 4, 64)], 3, 1),  # 5
    ("deep", FUNC, 0, [], 0),
)


def test_members_of_members_and_bit_fields():
    types = Types(NESTED, ["outer", "deep"])
    assert Member(0, 0, 0) == types.member("outer", "first")
    assert Member(4, 2, 3) == types.member("outer", "third")
    assert Member(12, 0, 0) == types.member("outer", "second.deep")
    assert {"first", "second", "third"} == types.members("outer")
    assert 6 == types.function("deep")


@pytest.mark.parametrize("path", ["deep", "first.deep", "second.third"])
def test_what_is_not_there_within(path):
    with pytest.raises(KeyError):
        Types(NESTED, ["outer"]).member("outer", path)


@pytest.mark.parametrize("member", ["first", "second", "deep", "third"])
def test_what_is_searched_for_is_where_it_is_found_by_going_through_all(member):
    wanted = ["outer", "inner"]
    assert Types(DATA, wanted).offset("outer", member) == Types(DATA, wanted, whole=False).offset("outer", member)
    with pytest.raises(KeyError):
        Types(DATA, wanted, whole=False).offset("inner", member)
