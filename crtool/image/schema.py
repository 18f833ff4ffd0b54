"""From the type hints of a record to its columns and to the schema table that stands in the image.

The schema table says for every dataclass that can occur which fields it has, in which order and of which type,
so that an image explains itself and a reader sees at once whether it was written by a crtool that means the
same by it. Each entry is ``[class, [[field, type], …]]``; the first entry is the class of the whole record. A
class is called by module and name (``pipes.Record``), because resources like to call their record Record.

How types are written: ``int``, ``bool``, ``str``, ``bytes``, ``float``; ``Name:int`` or ``Name:str`` an enum
stored by value; ``[T]`` tuple[T, ...]; ``(A, B)`` tuple[A, B]; ``{K: T}`` dict; ``T?`` T or nil;
``module.Class`` a dataclass; ``module.A | module.B`` one of several dataclasses.
"""

from __future__ import annotations

import enum
import sys
import types
import typing
from collections.abc import Sequence
from functools import cache
from typing import Any

from crtool.image.columns import (
    Column,
    EnumColumn,
    FixedColumn,
    IntColumn,
    ListColumn,
    MapColumn,
    OptionalColumn,
    RecordColumn,
    ScalarColumn,
    UnionColumn,
)
from crtool.record import declared

__all__ = ["Schema", "schema_of"]

_PLAIN = {kind.__name__: kind for kind in (int, bool, str, bytes, float)}


def _hint(kind: type, text: Any) -> Any:
    """What the annotation *text* of a field of *kind* means.

    As typing.get_type_hints(), which takes ten times as long: for 100 classes, a tenth of a small checkpoint.
    """
    if not isinstance(text, str):
        return text
    names = vars(sys.modules[kind.__module__])
    return _PLAIN.get(text) or names.get(text) or eval(text, names)


class Schema:
    """The columns of one record type and the table that describes them."""

    def __init__(self, kind: type) -> None:
        self._records: dict[type, RecordColumn] = {}
        self._names: set[str] = set()
        self._open: list[type] = []
        self.root = self._record(kind)

    @property
    def table(self) -> list[list[Any]]:
        """What stands in the image: ``[[class, [[field, type], …]], …]``."""
        return [
            [record.name, [[name, column.name] for name, column in zip(record.fields, record.columns, strict=True)]]
            for record in self._records.values()
        ]

    @property
    def records(self) -> list[type]:
        """All record types that can occur."""
        return list(self._records)

    def _record(self, kind: type) -> RecordColumn:
        """The column of the dataclass *kind*, made once."""
        if kind in self._open:
            # Trees of unknown depth would need a limit; tables whose rows name each other by number need none.
            raise TypeError(f"{kind.__qualname__} contains itself: let records refer to each other by number")
        if kind in self._records:
            return self._records[kind]
        if not isinstance(kind, type) or (declaration := declared(kind)) is None:
            raise TypeError(f"{kind!r} is no dataclass")
        name = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
        if name in self._names:
            raise TypeError(f"two record classes are called {name}")
        self._names.add(name)
        record = self._records[kind] = RecordColumn(kind, name)
        self._open.append(kind)
        fields = []
        for field, text in declaration.items():
            if text is None:
                raise TypeError(f"{name}.{field}: only fields that are positional arguments can be stored")
            try:
                fields.append((field, self._column(_hint(kind, text))))
            except TypeError as error:
                raise TypeError(f"{name}.{field}: {error}") from None
        record.define(fields)
        self._open.pop()
        return record

    def _column(self, hint: Any) -> Column:
        """The column for any type hint that a record may have."""
        if isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        if hint is int:
            return IntColumn()
        if hint in (bool, str, bytes, float):
            return ScalarColumn(hint)
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return ListColumn(self._column(args[0]))
            return FixedColumn([self._column(arg) for arg in args])
        if origin is dict:
            if args[0] not in (int, str):
                raise TypeError("the keys of a stored dict are int or str")
            return MapColumn(self._column(args[0]), self._column(args[1]))
        if origin in (typing.Union, types.UnionType):
            return self._union(args)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._enum(hint)
        if isinstance(hint, type) and declared(hint) is not None:
            return self._record(hint)
        raise TypeError(f"{hint!r} cannot be stored")

    def _union(self, args: Sequence[Any]) -> Column:
        """X | None, A | B, A | B | None."""
        rest = [arg for arg in args if arg is not type(None)]
        column = self._column(rest[0]) if len(rest) == 1 else self._alternatives(rest)
        return column if len(rest) == len(args) else OptionalColumn(column)

    def _alternatives(self, kinds: Sequence[type]) -> UnionColumn:
        """One of several dataclasses; the tag of each is its place in the schema table."""
        records = [self._record(kind) for kind in kinds]
        order = list(self._records.values())
        return UnionColumn({order.index(record): record for record in records})

    @staticmethod
    def _enum(kind: type[enum.Enum]) -> EnumColumn:
        """An enum: what all its values are."""
        for base in (int, str):
            if all(isinstance(member.value, base) and not isinstance(member.value, bool) for member in kind):
                return EnumColumn(kind, base)
        raise TypeError(f"the values of {kind.__name__} are not all int or all str")


@cache
def schema_of(kind: type) -> Schema:
    """The schema of a record type, worked out at its first use."""
    return Schema(kind)
