"""Records to bytes and back: the one place that knows msgpack.

A record is a frozen dataclass; its type hints are the contract (:mod:`crtool.image.schema` lists what
they may be). The bytes are one msgpack array of two: the schema table, and the record itself as an
array of its fields. An image that was written by the same schema begins with the same bytes, so that
the table costs a comparison; with any other table the first difference is named.

What is read is not trusted. Before any object is made, msgpack's parser walks over the whole input without
keeping anything: a length that claims more than is there ends that walk, so no later allocation goes by such a
length. msgpack refuses nesting beyond its own fixed limit. Everything after that is checked against the hints;
whatever does not fit raises ImageError with the path of the field.

Policy: str is UTF-8, strictly; bytes are bin; maps must have unique keys; extension types are refused.
Source: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import msgpack  # type: ignore[import-untyped]

from crtool.errors import ImageError, InternalError
from crtool.image.columns import Mismatch
from crtool.image.schema import Schema, schema_of

__all__ = ["pack", "prepare", "unpack"]

Record = TypeVar("Record")

# fixarray of two: schema table, record.
PAIR = b"\x92"

REMEDY = "use another copy of the image, or the version of crtool that wrote it"


def pack(record: object) -> bytes:
    """The bytes of *record*, a dataclass; equal records give equal bytes.

    InternalError with the field's path if a value is not what its hint declares.
    """
    kind: type = type(record)
    schema = schema_of(kind)
    try:
        with collector_paused():
            packed: bytes = msgpack.packb(schema.root.encode([record])[0], use_bin_type=True)
    except Mismatch as mismatch:
        raise InternalError(f"record {kind.__name__}: {described(mismatch)}") from None
    except (ValueError, OverflowError) as error:
        raise InternalError(f"record {kind.__name__} cannot be stored: {error}") from None
    return prefix(kind) + packed


def prepare(kind: type) -> None:
    """Does beforehand, for somebody who will be in a hurry, whatever :func:`pack` does once for a *kind*."""
    prefix(kind)


def unpack(data: bytes | memoryview, kind: type[Record]) -> Record:
    """The record that *data* holds, which is not trusted: ImageError if it is anything but exactly a *kind*."""
    root: type = kind
    schema = schema_of(root)
    head = prefix(root)
    view = memoryview(data)
    require_complete(view)
    with collector_paused():
        if view[: len(head)] == head:
            row = parse(view[len(head) :])
        else:
            row = without_schema(parse(view), schema)
        try:
            made: Record = schema.root.decode([row])[0]
        except Mismatch as mismatch:
            raise ImageError(f"the records of the image are wrong: {described(mismatch)}", REMEDY) from None
    return made


@contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection within the block: records hold no cycles, and walking over half a million
    new objects again and again would double the time of a large image (measured: 230 ms instead of 100 ms)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@cache
def prefix(kind: type) -> bytes:
    """What every image begins its records with whose root record is a *kind*."""
    table: bytes = msgpack.packb(schema_of(kind).table)
    return PAIR + table


def described(mismatch: Mismatch) -> str:
    """``processes[3].mask: int expected, not nil``."""
    path = mismatch.path.removeprefix(".")
    return f"{path}: {mismatch.message}" if path else mismatch.message


def require_complete(view: memoryview) -> None:
    """Walks over one msgpack object, which must be all of *view*, and makes nothing of it.

    A list header that claims a billion elements would be believed by the unpacker, which makes the list before
    it looks for the elements, and nested headers would do that once for each level.
    """
    walker = msgpack.Unpacker(max_buffer_size=max(1, len(view)))
    walker.feed(view)
    try:
        walker.skip()
    except msgpack.OutOfData:
        raise ImageError("the records of the image are wrong: they end in the middle of a value", REMEDY) from None
    except (ValueError, msgpack.UnpackException) as error:
        raise unparsable(error) from None
    rest = len(view) - walker.tell()
    if rest:
        raise ImageError(f"the records of the image are wrong: {rest} bytes follow their end", REMEDY)


def parse(view: memoryview) -> Any:
    """One msgpack object: arrays as lists, maps as tuples of pairs."""
    try:
        return msgpack.unpackb(view, raw=False, use_list=True, strict_map_key=False, object_pairs_hook=tuple)
    except (ValueError, OverflowError, msgpack.UnpackException) as error:
        raise unparsable(error) from None


def unparsable(error: Exception) -> ImageError:
    """An error of the parser, in one line."""
    if isinstance(error, msgpack.StackError):
        reason = "they are nested too deeply"
    elif isinstance(error, UnicodeDecodeError):
        reason = "a text is not UTF-8"
    else:
        reason = f"not msgpack ({type(error).__name__})"
    return ImageError(f"the records of the image are wrong: {reason}", REMEDY)


def without_schema(pair: Any, schema: Schema) -> Any:
    """The record part of *pair* if its schema table says, in whatever encoding, what *schema* says."""
    if type(pair) is not list or len(pair) != 2:
        raise ImageError("the records of the image are wrong: they are not a schema table and a record", REMEDY)
    theirs, row = pair
    ours = schema.table
    if theirs != ours:
        raise ImageError(f"the records of the image are of another kind: {difference(theirs, ours)}", REMEDY)
    return row


def difference(theirs: Any, ours: list[list[Any]]) -> str:
    """The first thing in which the schema table of an image is not ours."""
    if not is_table(theirs):
        return "their schema table is malformed"
    for (name, fields), (our_name, our_fields) in zip(theirs, ours, strict=False):
        if name != our_name:
            return f"class {name!r:.60} where {our_name} is expected"
        known, declared = dict(our_fields), dict(fields)
        if len(declared) != len(fields):
            return f"{name} has a field twice"
        for field in declared:
            if field not in known:
                return f"{name} has a field {field!r:.60}, which this crtool does not know"
        for field, our_type in our_fields:
            if field not in declared:
                return f"{name} has no field {field!r}"
            if declared[field] != our_type:
                return f"{name}.{field} is {declared[field]!r:.60}, not {our_type!r}"
        if fields != our_fields:
            return f"the fields of {name} are in another order"
    return f"{len(theirs)} classes instead of {len(ours)}"


def is_table(table: Any) -> bool:
    """Whether *table* is ``[[str, [[str, str], …]], …]``."""
    if type(table) is not list or not all(type(entry) is list and len(entry) == 2 for entry in table):
        return False
    return all(
        type(name) is str
        and type(fields) is list
        and all(type(field) is list and len(field) == 2 and set(map(type, field)) == {str} for field in fields)
        for name, fields in table
    )
