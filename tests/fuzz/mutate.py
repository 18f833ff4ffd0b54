"""From an image that is right to one that is wrong: at the bytes, the header, the msgpack, or the meaning of a record.

Random bytes would end at the first checksum. So what is changed below it gets right checksums again, and records are
changed by their schema, most of the time into others of the right type.
"""

from __future__ import annotations

import random
from typing import Any

import msgpack

from crtool.engine.snapshot import Snapshot
from crtool.image.age import CHUNK, TAG, write_header
from crtool.image.codec import prefix
from crtool.image.columns import (
    Column,
    EnumColumn,
    FixedColumn,
    IntColumn,
    ListColumn,
    MapColumn,
    OptionalColumn,
    UnionColumn,
)
from crtool.image.header import CHECKSUM_AT, HEADER_LENGTH, LAYOUT
from crtool.image.schema import schema_of

from .assemble import Pairs, assemble, framed, packed, resealed

__all__ = ["NUMBERS", "bad_container", "bad_records", "bad_sealed", "bad_snapshot", "broken", "with_numbers"]

NUMBERS = (
    -(1 << 63), -(1 << 31), -2, -1, 0, 1, 2, 3, 7, 64, 255, 4096, 65535, 65536, (1 << 22), (1 << 31) - 1, 1 << 31,
    (1 << 32) - 1, 1 << 32, (1 << 47) - 4096, 1 << 61, (1 << 63) - 1, 1 << 63, (1 << 64) - 4096, (1 << 64) - 1,
)  # fmt: skip
BLOBS = (b"", b"\0", b"/", b"..", b"/proc/self/mem", b"/dev/null", b"a" * 300, b"\xff\xfe\n", b"/tmp/\0x", b"/" * 5000)
HEADS = (
    *(head + b"\xff\xff\xff\xff" for head in (b"\xdd", b"\xdf", b"\xc6", b"\xdb")),
    b"\xc9\xff\xff\xff\xff\x01", b"\x91" * 3000, b"\x81\x01" * 3000, b"\xc1", b"\xdc\xff\xff", b"\xd4\x01\x00",
    b"\xcf" + b"\xff" * 8,
)  # fmt: skip


def bad_container(dice: random.Random) -> bytes:
    """An image whose records nobody looks at, with something wrong in what is around them."""
    records, data = b"records", b"data" * dice.choice((0, 1000, 30000))
    way = dice.random()
    if way < 0.3:
        return with_frames(records, data, dice)
    image = assemble(records, data)
    if way < 0.6:
        return resealed(with_numbers(image, dice))
    # Most places are in the data, where all are alike.
    at = min(dice.randrange(4200), len(image) - 1) if dice.random() < 0.5 else -dice.randrange(1, 300)
    image = broken(image, dice, at % len(image))
    return resealed(image) if way < 0.8 else image


def bad_sealed(recipient: bytes, dice: random.Random) -> bytes:
    """An encrypted image with something wrong in what is around it, or in what is encrypted."""
    image = (
        bad_container(dice) if dice.random() < 0.3 else assemble(b"records", b"data" * dice.choice((0, 1000, 40000)))
    )
    head, chunks = write_header([recipient] * dice.choice((1, 1, 3)), None)
    way = dice.random()
    if way < 0.5:
        # In front of the MAC, which then is wrong, as a rule later than what it is to protect.
        head = broken(head, dice, dice.randrange(len(head)))
    sealed = bytearray()
    count = max(1, -(-len(image) // CHUNK))
    for number in range(count):
        plain = memoryview(image[number * CHUNK : (number + 1) * CHUNK])
        out = memoryview(bytearray(len(plain) + TAG))
        last = number == count - 1 if way < 0.9 else dice.random() < 0.5
        chunks.encrypt(number, plain, out, last=last)
        sealed += out
    whole = head + bytes(sealed)
    return whole if way < 0.6 else broken(whole, dice, dice.randrange(len(whole)))


def bad_records(kind: type, dice: random.Random) -> bytes:
    """Bytes that are nearly a record of *kind*."""
    column = schema_of(kind).root
    row = invented(column, dice)
    for _ in range(dice.randrange(3)):
        row = edited(column, row, dice)
    data: bytes = prefix(kind) + msgpack.packb(row, use_bin_type=True)
    for _ in range(dice.choice((0, 1, 1, 2))):
        if data:
            data = broken(data, dice, dice.randrange(len(data)))
    return data


def bad_snapshot(records: bytes, dice: random.Random) -> bytes:
    """A records section made of *records* in which something does not go together."""
    row = seed_row(records)
    for _ in range(dice.choice((1, 1, 1, 2, 4, 16))):
        row = edited(schema_of(Snapshot).root, row, dice)
    return packed(row)


def edited(column: Column, value: Any, dice: random.Random) -> Any:
    """*value*, as it is on the wire, with one thing changed somewhere in it."""
    if dice.random() < 0.9:
        match column, value:
            case OptionalColumn(), _ if value is not None:
                return edited(column.inner, value, dice)
            case FixedColumn(), list() if len(value) == len(column.columns) and value:
                at = dice.choices(range(len(value)), [weight(each) for each in value])[0]
                value[at] = edited(column.columns[at], value[at], dice)
                return value
            case UnionColumn(), list() if len(value) == 2 and value[0] in column.alternatives:
                value[1] = edited(column.alternatives[value[0]], value[1], dice)
                return value
            case ListColumn(), list() if value and dice.random() < 0.9:
                at = dice.randrange(len(value))
                value[at] = edited(column.inner, value[at], dice)
                return value
            case MapColumn(), Pairs() if value.pairs and dice.random() < 0.8:
                at = dice.randrange(len(value.pairs))
                key, member = value.pairs[at]
                value.pairs[at] = (key, edited(column.inner, member, dice))
                return value
    if dice.random() < 0.05:
        return dice.choice((None, True, [], Pairs(), "x", b"x", 1.5, -1, [[]] * 3, nested(300), nested(450)))
    if isinstance(column, ListColumn) and isinstance(value, list):
        return rearranged(column, value, dice)
    if type(value) is int and dice.random() < 0.3:
        return min(max(value + dice.choice((-4096, -1, 1, 4096)), -(1 << 63)), (1 << 64) - 1)
    return invented(column, dice)


def weight(value: Any) -> int:
    """How often a field is chosen: the more is in it."""
    return 1 + 4 * len(value) if isinstance(value, list) else 1


def rearranged(column: ListColumn, value: list[Any], dice: random.Random) -> list[Any]:
    """A list with something more, less, or in another order."""
    way = dice.randrange(6)
    if way == 0 or not value:
        value.insert(dice.randint(0, len(value)), invented(column.inner, dice))
    elif way == 1:
        del value[dice.randrange(len(value))]
    elif way == 2:
        value.append(value[dice.randrange(len(value))])
    elif way == 3:
        dice.shuffle(value)
    elif way == 4:
        value *= dice.choice((2, 3, 100 if len(value) < 10 else 2))
    else:
        value.clear()
    return value


def invented(column: Column, dice: random.Random) -> Any:
    """Any value of the type of *column*, as it is on the wire."""
    match column:
        case IntColumn():
            return dice.choice(NUMBERS) if dice.random() < 0.7 else dice.randrange(0, 12)
        case EnumColumn():
            return dice.choice(list(column.kind)).value
        case OptionalColumn():
            return None if dice.random() < 0.5 else invented(column.inner, dice)
        case ListColumn():
            return [invented(column.inner, dice) for _ in range(dice.choice((0, 0, 1, 1, 2)))]
        case MapColumn():
            return Pairs((invented(column.key, dice), invented(column.inner, dice)) for _ in range(dice.randrange(3)))
        case FixedColumn():
            return [invented(each, dice) for each in column.columns]
        case UnionColumn():
            tag = dice.choice(list(column.alternatives))
            return [tag, invented(column.alternatives[tag], dice)]
    kind = column.name
    if kind == "bool":
        return dice.random() < 0.5
    if kind == "float":
        return dice.choice((0.0, -1.0, 1e300, float("inf"), float("nan")))
    blob = dice.choice(BLOBS)
    return blob if kind == "bytes" else blob.decode("latin-1")


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def broken(image: bytes, dice: random.Random, at: int) -> bytes:
    """Bytes with a bit flipped, some taken out, put in, doubled, or a msgpack head that claims much."""
    way = dice.randrange(7)
    if way == 0:
        return image[:at] + bytes([image[at] ^ 1 << dice.randrange(8)]) + image[at + 1 :]
    if way == 1:
        return image[:at]
    if way == 2:
        return image[:at] + image[at + dice.choice((1, 2, 8, 4096)) :]
    if way == 3:
        return image[:at] + dice.choice(HEADS) + image[at:]
    if way == 4:
        head = dice.choice(HEADS)
        return image[:at] + head + image[at + len(head) :]
    if way == 5:
        return image + bytes(dice.choice((1, 16, 4096)))
    return image[:at] + image[at : at + dice.randrange(1, 64)] * 2 + image[at:]


def with_numbers(image: bytes, dice: random.Random) -> bytes:
    """A header whose numbers say something else."""
    fields = list(LAYOUT.unpack_from(image))
    for _ in range(dice.choice((1, 1, 2))):
        at = dice.choice((1, 2, 4, 5, 6, 7, 9))
        limit = 64 if at >= 6 else 32
        choices = [0, 1, 2, 3, 4095, 4096, 65536, 1 << 20, 1 << 30, 1 << 31, (1 << limit) - 4096, (1 << limit) - 1]
        if limit == 64:
            choices += [1 << 60, (1 << 61) - 4096, 1 << 61, 1 << 63, fields[at] + 4096, max(fields[at] - 4096, 0)]
        fields[at] = dice.choice(choices) % (1 << limit)
    page = LAYOUT.pack(*fields)
    assert len(page) < CHECKSUM_AT < HEADER_LENGTH
    return page + image[len(page) :]


def with_frames(records: bytes, data: bytes, dice: random.Random) -> bytes:
    """A framed image, most of whose frames do not hold what they say."""
    import lz4.block
    import zstandard

    data += bytes(-len(data) % 4096)
    frames: list[tuple[int, bytes]] = []
    for at in range(0, len(data), 65536):
        piece = data[at : at + 65536]
        codec = dice.randrange(4)
        stored = piece
        if codec == 1:
            stored = lz4.block.compress(piece, store_size=False)
        elif codec == 2:
            stored = zstandard.ZstdCompressor().compress(piece)
        if stored and dice.random() < 0.5:
            stored = broken(stored, dice, dice.randrange(len(stored)))
        frames.append((codec if dice.random() < 0.9 else dice.choice((3, 255, 1 << 31)), stored))
    image = framed(records, frames, len(data) + dice.choice((0, 0, 0, 4096, 65536, 1 << 40)))
    return resealed(with_numbers(image, dice)) if dice.random() < 0.3 else image


def seed_row(records: bytes) -> Any:
    """The record part of a records section, to be used up by :func:`bad_snapshot`."""
    head = len(prefix(Snapshot))
    return msgpack.unpackb(records[head:], raw=False, strict_map_key=False, object_pairs_hook=Pairs)
