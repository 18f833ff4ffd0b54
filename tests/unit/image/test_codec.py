"""Records become bytes and come back equal; whatever is not exactly a record is refused with its path."""

from __future__ import annotations

import enum
import gc
import time
import tracemalloc
from dataclasses import dataclass
from typing import NewType, Optional

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crtool.errors import ImageError, InternalError
from crtool.image.codec import pack, prefix, unpack
from crtool.image.schema import schema_of

Address = NewType("Address", int)


class Kind(enum.IntEnum):
    ANONYMOUS = 1
    FILE = 2


class Clock(str, enum.Enum):
    REALTIME = "realtime"
    MONOTONIC = "monotonic"


@dataclass(frozen=True)
class Pipe:
    size: int


@dataclass(frozen=True)
class Regular:
    path: bytes
    offset: int


@dataclass(frozen=True)
class Nothing:
    pass


@dataclass(frozen=True)
class Thread:
    tid: int
    mask: int
    registers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Process:
    pid: int
    threads: tuple[Thread, ...]
    files: dict[int, Pipe | Regular | Nothing]
    cwd: bytes | None = None


@dataclass(frozen=True)
class Everything:
    number: int
    flag: bool
    text: str
    raw: bytes
    real: float
    address: Address
    maybe: Optional[int]  # noqa: UP045 - the old way of writing it must work too
    kind: Kind
    clock: Clock
    many: tuple[int, ...]
    pair: tuple[int, bytes]
    nested: tuple[tuple[tuple[int, str], ...], ...]
    by_number: dict[int, tuple[int, ...]]
    by_name: dict[str, Kind | None]
    file: Pipe | Regular | None
    nothing: Nothing


@dataclass(frozen=True)
class Image:
    processes: tuple[Process, ...]


@dataclass(frozen=True)
class Positive:
    number: int

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError("a positive number expected")


@dataclass(frozen=True)
class Positives:
    all: tuple[Positive, ...]


numbers = st.integers(-(2**63), 2**64 - 1)
files = st.one_of(st.builds(Pipe, numbers), st.builds(Regular, st.binary(max_size=9), numbers))
everything = st.builds(
    Everything,
    number=numbers,
    flag=st.booleans(),
    text=st.text(max_size=9),
    raw=st.binary(max_size=9),
    real=st.floats(allow_nan=False),
    address=numbers,
    maybe=st.none() | numbers,
    kind=st.sampled_from(Kind),
    clock=st.sampled_from(Clock),
    many=st.lists(numbers, max_size=5).map(tuple),
    pair=st.tuples(numbers, st.binary(max_size=9)),
    nested=st.lists(st.lists(st.tuples(numbers, st.text(max_size=3)), max_size=3).map(tuple), max_size=3).map(tuple),
    by_number=st.dictionaries(numbers, st.lists(numbers, max_size=2).map(tuple), max_size=3),
    by_name=st.dictionaries(st.text(max_size=3), st.none() | st.sampled_from(Kind), max_size=3),
    file=st.none() | files,
    nothing=st.builds(Nothing),
)

SAMPLE = Image(
    (
        Process(1, (Thread(1, 0), Thread(2, 7, (1, 2))), {0: Pipe(65536)}, b"/"),
        Process(2, (), {}),
        Process(3, (Thread(3, 2**64 - 1, (5,)),), {1: Regular(b"/x", 4), 2: Nothing(), 3: Pipe(1)}),
    )
)


def body(record: object) -> object:
    """The record part of what is stored, as plain lists that a test can spoil."""
    kind: type = type(record)
    return msgpack.unpackb(pack(record)[len(prefix(kind)) :], strict_map_key=False)


def stored(kind: type, value: object) -> bytes:
    """Bytes with the schema table of *kind* and anything as record."""
    packed: bytes = msgpack.packb(value)
    return prefix(kind) + packed


@settings(max_examples=200, deadline=None)
@given(everything)
def test_whatever_is_packed_comes_back_equal(record: Everything) -> None:
    assert unpack(pack(record), Everything) == record


def test_types_come_back_exactly() -> None:
    record = Everything(
        1, True, "ä", b"\xff", 1.0, Address(5), None, Kind.FILE, Clock.REALTIME, (), (1, b""), (((1, "x"),), ()),
        {-1: (2,)}, {"a": None}, Regular(b"", 0), Nothing(),
    )  # fmt: skip

    got = unpack(pack(record), Everything)

    assert got == record
    assert (type(got.flag), type(got.kind), type(got.clock), type(got.real)) == (bool, Kind, Clock, float)


def test_equal_records_give_equal_bytes_and_a_tree_is_a_few_bytes_per_field() -> None:
    assert pack(SAMPLE) == pack(unpack(pack(SAMPLE), Image))
    assert len(pack(SAMPLE)) - len(prefix(Image)) < 80


def test_the_schema_table_explains_the_record() -> None:
    table = dict(schema_of(Image).table)

    assert next(iter(table)) == "test_codec.Image"
    assert table["test_codec.Process"] == [
        ["pid", "int"],
        ["threads", "[test_codec.Thread]"],
        ["files", "{int: test_codec.Pipe | test_codec.Regular | test_codec.Nothing}"],
        ["cwd", "bytes?"],
    ]


def test_members_of_an_int_enum_are_taken_as_numbers() -> None:
    got = unpack(pack(Pipe(Kind.FILE)), Pipe)

    assert got == Pipe(2)
    assert type(got.size) is int


def spoil(change: object) -> object:
    """The sample's stored form with a change applied to its list of processes."""
    whole = body(SAMPLE)
    change(whole[0])  # type: ignore[operator, index]
    return whole


def set_mask(value: object) -> object:
    def change(processes: list) -> None:  # type: ignore[type-arg]
        processes[2][1][0][1] = value

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (set_mask("x"), "processes[2].threads[0].mask: int expected, not str"),
        (set_mask(True), "processes[2].threads[0].mask: int expected, not bool"),
        (set_mask(1.5), "processes[2].threads[0].mask: int expected, not float"),
        (set_mask(None), "processes[2].threads[0].mask: int expected, not nil"),
        (set_mask([1]), "processes[2].threads[0].mask: int expected, not an array"),
        (set_mask({1: 2}), "processes[2].threads[0].mask: int expected, not a map or tuple"),
        (set_mask(msgpack.ExtType(5, b"")), "processes[2].threads[0].mask: int expected, not ExtType"),
        (lambda p: p[0][1][1][2].append(b""), "processes[0].threads[1].registers[2]: int expected, not bytes"),
        (lambda p: p[0][1][1].append(0), "processes[0].threads[1]: 4 fields instead of 3"),
        (lambda p: p[0][1][1].pop(), "processes[0].threads[1]: 2 fields instead of 3"),
        (lambda p: p[2][2].update({3: [99, []]}), "processes[2].files[3]: class 99 is none of"),
        (lambda p: p[2][2].update({3: [True, []]}), "processes[2].files[3]: int expected, not bool"),
        (lambda p: p[2][2].update({3: [p[2][2][3][0], ["no"]]}), "processes[2].files[3].size: int expected, not str"),
        (lambda p: p[2][2].update({3: [1]}), "processes[2].files[3]: 1 fields instead of a class and a record"),
        (lambda p: p[2][2].update({"a": p[2][2][1]}), "processes[2].files"),
        (lambda p: p[1].__setitem__(2, []), "processes[1].files: map expected, not an array"),
        (lambda p: p[1].__setitem__(1, {}), "processes[1].threads: array expected, not a map or tuple"),
        (lambda p: p[1].__setitem__(3, "/"), "processes[1].cwd: bytes expected, not str"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(change: object, complaint: str) -> None:
    with pytest.raises(ImageError) as caught:
        unpack(stored(Image, spoil(change)), Image)

    assert complaint in caught.value.message
    assert caught.value.status == 123
    assert "\n" not in caught.value.message


def test_a_key_that_comes_twice_is_refused() -> None:
    whole = msgpack.packb([7, [], {}, None]).replace(b"\x80", b"\x82" + 2 * (b"\x05" + msgpack.packb([1, [3]])))

    with pytest.raises(ImageError, match="files"):
        unpack(prefix(Process) + whole, Process)


def test_an_unknown_enum_value_is_refused() -> None:
    assert body(Holder(Kind.FILE)) == [2]
    with pytest.raises(ImageError, match="kind: no Kind has this value"):
        unpack(stored(Holder, [3]), Holder)
    with pytest.raises(ImageError, match="kind: int expected, not bool"):
        unpack(stored(Holder, [True]), Holder)


@dataclass(frozen=True)
class Holder:
    kind: Kind


def test_a_record_can_check_itself() -> None:
    with pytest.raises(ImageError, match=r"all\[1\]: a positive number expected"):
        unpack(stored(Positives, [[[3], [0]]]), Positives)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda t: t[1][1].append(["more", "int"]), "test_codec.Process has a field 'more', which this crtool"),
        (lambda t: t[1][1].pop(), "test_codec.Process has no field 'cwd'"),
        (lambda t: t[1][1].append(["pid", "int"]), "test_codec.Process has a field twice"),
        (lambda t: t[1][1][0].__setitem__(1, "str"), "test_codec.Process.pid is 'str', not 'int'"),
        (lambda t: t[1][1].reverse(), "the fields of test_codec.Process are in another order"),
        (lambda t: t[1].__setitem__(0, "x.Y"), "class 'x.Y' where test_codec.Process is expected"),
        (lambda t: t.pop(), "classes instead of"),
        (lambda t: t.append(5), "schema table is malformed"),
        (lambda t: t[1][1].append([1, 2]), "schema table is malformed"),
    ],
)
def test_another_schema_is_refused_with_the_first_difference(change: object, complaint: str) -> None:
    table = msgpack.unpackb(msgpack.packb(schema_of(Image).table))
    change(table)  # type: ignore[operator]

    with pytest.raises(ImageError) as caught:
        unpack(msgpack.packb([table, body(SAMPLE)]), Image)

    assert complaint in caught.value.message


def test_the_same_schema_in_another_encoding_is_read() -> None:
    assert unpack(b"\xdc\x00\x02" + pack(SAMPLE)[1:], Image) == SAMPLE


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        (Process(1, [], {}), "threads: tuple expected, not an array"),  # type: ignore[arg-type]
        (Image((Process(1, (Thread(1, None),), {}),)), r"processes\[0\].threads\[0\].mask: int"),  # type: ignore[arg-type]
        (Pipe(2**64), "size: number beyond"),
        (Pipe(-(2**63) - 1), "size: number beyond"),
        (Pipe(True), "size: int expected, not bool"),
        (Process(1, (), {1: Thread(1, 2)}), r"files\[1\]: .* expected, not Thread"),  # type: ignore[dict-item]
        (Process(1, (), {"a": Pipe(1)}), "files"),  # type: ignore[dict-item]
    ],
)
def test_a_record_that_lies_about_its_types_is_not_stored(record: object, complaint: str) -> None:
    with pytest.raises(InternalError, match=complaint):
        pack(record)


def test_text_that_is_no_text_is_not_stored() -> None:
    with pytest.raises(InternalError, match="cannot be stored"):
        pack(Named("\udcff"))


@dataclass(frozen=True)
class Named:
    text: str


@dataclass(frozen=True)
class Chain:
    next: Chain | None


@dataclass(frozen=True)
class WithList:
    items: list[int]


@dataclass(frozen=True)
class Mixed:
    value: int | str


@pytest.mark.parametrize("kind", [Chain, WithList, Mixed, int])
def test_types_that_cannot_be_stored_are_refused_at_once(kind: type) -> None:
    with pytest.raises(TypeError):
        schema_of(kind)


HOSTILE = {
    "nothing": b"",
    "cut": pack(SAMPLE)[:-1],
    "followed": pack(SAMPLE) + b"\0",
    "array of 2^32": b"\xdd\xff\xff\xff\xff" * 200,
    "arrays that claim all": b"\xdd\x00\x0f\xff\xff" * 200 + bytes(1 << 20),
    "map of 2^32": b"\xdf\xff\xff\xff\xff",
    "bytes of 2^32": b"\xc6\xff\xff\xff\xff" + bytes(100),
    "text of 2^32": b"\xdb\xff\xff\xff\xff",
    "extension of 2^32": b"\x92\xc0\xc9\xff\xff\xff\xff" + bytes(100),
    "deep": b"\x91" * 100_000 + b"\xc0",
    "reserved byte": b"\xc1",
    "no UTF-8": b"\x92\xc0\xa1\xff",
    "bad timestamp": b"\x92\xc0\xd7\xff" + b"\xff" * 8,
    "deep key": prefix(Image) + b"\x91\x81" + b"\x91" * 300 + b"\xc0\xc0",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_bytes_are_refused_without_large_allocations(data: bytes) -> None:
    schema_of(Image)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError):
            unpack(data, Image)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 3 * len(data) + 500_000


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_record_or_an_image_error(data: bytes, with_schema: bool) -> None:
    try:
        got = unpack(prefix(Image) + data if with_schema else data, Image)
    except ImageError as error:
        assert "\n" not in error.message
    else:
        assert isinstance(got, Image)


leaves = st.none() | st.booleans() | numbers | st.floats() | st.text(max_size=3) | st.binary(max_size=3)
keys = numbers | st.text(max_size=3) | st.booleans()
trees = st.recursive(leaves, lambda t: st.lists(t, max_size=4) | st.dictionaries(keys, t, max_size=3), max_leaves=12)


@settings(max_examples=300, deadline=None)
@given(trees, st.integers(0, 2), st.integers(0, 3))
def test_any_tree_in_any_place_is_a_record_or_an_image_error(tree: object, process: int, field: int) -> None:
    whole = body(SAMPLE)
    whole[0][process][field] = tree  # type: ignore[index]

    try:
        got = unpack(stored(Image, whole), Image)
    except ImageError as error:
        assert error.message.startswith("the records of the image are wrong: processes[")
    else:
        assert isinstance(got, Image)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(pack(SAMPLE)) - 1), st.integers(1, 255))
def test_a_changed_byte_gives_a_record_or_an_image_error(place: int, change: int) -> None:
    data = bytearray(pack(SAMPLE))
    data[place] ^= change

    try:
        assert isinstance(unpack(bytes(data), Image), Image)
    except ImageError:
        pass


@dataclass(frozen=True)
class Mapping:
    start: int
    end: int
    protection: int
    flags: int
    offset: int
    inode: int
    path: bytes | None
    device: tuple[int, int]
    segments: tuple[tuple[int, int], ...]
    name: str
    locked: bool
    advice: int


@dataclass(frozen=True)
class Space:
    mappings: tuple[Mapping, ...]


def test_twenty_thousand_mappings_are_quick(capsys: pytest.CaptureFixture[str]) -> None:
    base = 0x7F00_0000_0000
    space = Space(
        tuple(
            Mapping(
                base + i * 8192, base + i * 8192 + 4096, 3, i, i * 4096, i, b"/usr/lib/libx.so" if i % 2 else None,
                (8, 1), ((i, 4096),), "", False, 0,
            )
            for i in range(20_000)
        )
    )  # fmt: skip

    start = time.perf_counter()
    data = pack(space)
    middle = time.perf_counter()
    got = unpack(data, Space)
    end = time.perf_counter()

    assert got == space
    assert gc.isenabled()
    with capsys.disabled():
        print(f"\n20,000 mappings: pack {(middle - start) * 1e3:.0f} ms, unpack {(end - middle) * 1e3:.0f} ms")
