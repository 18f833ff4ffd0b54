"""Values of one declared type, converted many at a time.

A record type is a tree of type hints; each node of it becomes a *column*, which converts all values
of that node in the whole record at once: the 20,000 mappings of a process are twelve columns of
20,000 values, checked and moved by loops that run in C (``map``, ``zip``, ``set``), not 240,000 Python calls.

``encode`` goes from Python values to what msgpack can pack, ``decode`` comes back. What is decoded is
not trusted: a column holds exactly what its hint says or :class:`Mismatch` is raised. On the wire
an array arrives as ``list`` and a map as ``tuple`` of pairs (so that duplicate keys can be seen), and a
``tuple`` and a ``dict`` can therefore not be taken for one another.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain, islice
from operator import attrgetter, itemgetter
from typing import Any

__all__ = [
    "Column",
    "EnumColumn",
    "FixedColumn",
    "IntColumn",
    "ListColumn",
    "MapColumn",
    "Mismatch",
    "OptionalColumn",
    "RecordColumn",
    "ScalarColumn",
    "UnionColumn",
]

# What msgpack holds: a signed or an unsigned 64-bit number.
INT_MIN, INT_MAX = -(1 << 63), (1 << 64) - 1

Values = Sequence[Any]


class Mismatch(Exception):
    """The value at *index* of a column is not what its hint says; *path* leads on from there."""

    def __init__(self, index: int, message: str, path: str = "") -> None:
        super().__init__(message)
        self.index = index
        self.message = message
        self.path = path

    def moved(self, index: int, step: str = "") -> Mismatch:
        """The same trouble as the column one level up sees it: at *index* there, by *step* down to here."""
        return Mismatch(index, self.message, step + self.path)


def require(values: Values, kind: type, name: str) -> None:
    """Every value is exactly a *kind*, no subclass: ``True`` is no int, an ExtType is no tuple."""
    if set(map(type, values)) <= {kind}:
        return
    index = next(index for index, value in enumerate(values) if type(value) is not kind)
    raise Mismatch(index, f"{name} expected, not {wire_name(values[index])}")


def wire_name(value: object) -> str:
    """A value that does not belong where it is, for a message: never its content, which may be long or secret."""
    kind = type(value)
    return {type(None): "nil", list: "an array", tuple: "a map or tuple", dict: "a map"}.get(kind, kind.__name__)


class Column(ABC):
    """Base of all columns. *name* is how the schema table of the image writes the type."""

    name: str

    @abstractmethod
    def encode(self, values: Values) -> Values:
        """Python values → values that msgpack packs."""

    @abstractmethod
    def decode(self, values: Values) -> Values:
        """What msgpack unpacked → Python values."""


class ScalarColumn(Column):
    """bool, str, bytes, float: stored as they are."""

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.name = kind.__name__

    def encode(self, values: Values) -> Values:
        require(values, self.kind, self.name)
        return values

    decode = encode


class IntColumn(ScalarColumn):
    """int, −2⁶³…2⁶⁴−1. Members of an IntEnum are taken where an int is declared, and come back as plain numbers."""

    def __init__(self) -> None:
        super().__init__(int)

    def encode(self, values: Values) -> Values:
        if not set(map(type, values)) <= {int}:
            numbers = [int(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in values]
            require(numbers, int, "int")
            values = numbers
        if values and not (INT_MIN <= min(values) and max(values) <= INT_MAX):
            index = next(index for index, value in enumerate(values) if not INT_MIN <= value <= INT_MAX)
            raise Mismatch(index, "number beyond −2⁶³…2⁶⁴−1")
        return values

    def decode(self, values: Values) -> Values:
        require(values, int, "int")
        return values


class EnumColumn(Column):
    """An enum whose values are all int or all str: stored by value."""

    def __init__(self, kind: type[enum.Enum], base: type) -> None:
        self.kind = kind
        self.base = base
        self.name = f"{kind.__name__}:{base.__name__}"
        self._members = {member.value: member for member in kind}
        self._values = {member: member.value for member in kind}

    def encode(self, values: Values) -> Values:
        require(values, self.kind, self.kind.__name__)
        return [*map(self._values.__getitem__, values)]

    def decode(self, values: Values) -> Values:
        require(values, self.base, self.base.__name__)
        try:
            return [*map(self._members.__getitem__, values)]
        except KeyError:
            index = next(index for index, value in enumerate(values) if value not in self._members)
            raise Mismatch(index, f"no {self.kind.__name__} has this value") from None


class OptionalColumn(Column):
    """X | None: nil, or as X."""

    def __init__(self, inner: Column) -> None:
        self.inner = inner
        self.name = f"({inner.name})?" if isinstance(inner, UnionColumn) else f"{inner.name}?"

    def encode(self, values: Values) -> Values:
        return self._present(values, self.inner.encode)

    def decode(self, values: Values) -> Values:
        return self._present(values, self.inner.decode)

    @staticmethod
    def _present(values: Values, convert: Callable[[Values], Values]) -> Values:
        """Converts what is not None and leaves the rest."""
        if type(None) not in set(map(type, values)):
            return convert(values)
        places = [index for index, value in enumerate(values) if value is not None]
        try:
            converted = convert([values[place] for place in places])
        except Mismatch as mismatch:
            raise mismatch.moved(places[mismatch.index]) from None
        result: list[Any] = [None] * len(values)
        for place, value in zip(places, converted, strict=True):
            result[place] = value
        return result


class ListColumn(Column):
    """tuple[T, …]: an array of any length."""

    def __init__(self, inner: Column) -> None:
        self.inner = inner
        self.name = f"[{inner.name}]"

    def encode(self, values: Values) -> Values:
        require(values, tuple, "tuple")
        return spread(values, self.inner.encode, list)

    def decode(self, values: Values) -> Values:
        require(values, list, "array")
        return spread(values, self.inner.decode, tuple)


def spread(
    groups: Sequence[Sequence[Any]], convert: Callable[[Values], Values], gather: Callable[[Iterable[Any]], Any]
) -> list[Any]:
    """Converts the members of all *groups* in one go and gives them back to their groups."""
    try:
        converted = convert(list(chain.from_iterable(groups)))
    except Mismatch as mismatch:
        ends = [*accumulate(map(len, groups))]
        group = bisect_right(ends, mismatch.index)
        member = mismatch.index - (ends[group] - len(groups[group]))
        raise mismatch.moved(group, f"[{member}]") from None
    stream = iter(converted)
    return [gather(islice(stream, length)) for length in map(len, groups)]


class MapColumn(Column):
    """dict[int or str, T]: a map, in the order in which the dict stands; a key that comes twice is refused."""

    def __init__(self, key: Column, inner: Column) -> None:
        self.key = key
        self.inner = inner
        self.name = f"{{{key.name}: {inner.name}}}"

    def encode(self, values: Values) -> Values:
        require(values, dict, "dict")
        keys = spread([*map(tuple, values)], self.key.encode, tuple)
        members = self._members([tuple(value.values()) for value in values], keys, self.inner.encode)
        return [dict(zip(key, member, strict=True)) for key, member in zip(keys, members, strict=True)]

    def decode(self, values: Values) -> Values:
        require(values, tuple, "map")
        keys = spread([[*map(itemgetter(0), value)] for value in values], self.key.decode, tuple)
        members = self._members([[*map(itemgetter(1), value)] for value in values], keys, self.inner.decode)
        result = [dict(zip(key, member, strict=True)) for key, member in zip(keys, members, strict=True)]
        for index, (key, made) in enumerate(zip(keys, result, strict=True)):
            if len(made) != len(key):
                raise Mismatch(index, "a key comes twice")
        return result

    @staticmethod
    def _members(groups: Values, keys: Values, convert: Callable[[Values], Values]) -> Values:
        """The values of the maps; trouble is named by key, not by position."""
        try:
            return spread(groups, convert, tuple)
        except Mismatch as mismatch:
            position, _, rest = mismatch.path[1:].partition("]")
            key = keys[mismatch.index][int(position)]
            raise Mismatch(mismatch.index, mismatch.message, f"[{key!r:.40}]{rest}") from None


class FixedColumn(Column):
    """tuple[A, B]: an array with one column for each position."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.name = f"({', '.join(column.name for column in self.columns)})"

    def encode(self, values: Values) -> Values:
        require(values, tuple, "tuple")
        self._require_length(values)
        fields = [self._convert(i, c.encode, map(itemgetter(i), values)) for i, c in enumerate(self.columns)]
        return self._rows(values, fields)

    def decode(self, values: Values) -> Values:
        require(values, list, "array")
        self._require_length(values)
        fields = [self._convert(i, c.decode, map(itemgetter(i), values)) for i, c in enumerate(self.columns)]
        return self._rows(values, fields)

    @staticmethod
    def _rows(values: Values, fields: list[Values]) -> Values:
        return [*zip(*fields, strict=True)] if fields else [()] * len(values)

    def _require_length(self, values: Values) -> None:
        expected = len(self.columns)
        if not set(map(len, values)) <= {expected}:
            index = next(index for index, value in enumerate(values) if len(value) != expected)
            raise Mismatch(index, f"{len(values[index])} fields instead of {expected}")

    def _step(self, position: int) -> str:
        return f"[{position}]"

    def _convert(self, position: int, convert: Callable[[Values], Values], values: Iterable[Any]) -> Values:
        try:
            return convert([*values])
        except Mismatch as mismatch:
            raise mismatch.moved(mismatch.index, self._step(position)) from None


class RecordColumn(FixedColumn):
    """A dataclass: an array with its fields in the order in which they are declared."""

    def __init__(self, kind: type, name: str) -> None:
        self.kind = kind
        self.name = name
        self.fields: tuple[str, ...] = ()
        self.columns = ()

    def define(self, fields: Sequence[tuple[str, Column]]) -> None:
        """Says what the fields are: later than the construction, because the name is needed before."""
        self.fields = tuple(name for name, _ in fields)
        self.columns = tuple(column for _, column in fields)

    def encode(self, values: Values) -> Values:
        require(values, self.kind, self.name)
        fields = [
            self._convert(i, c.encode, map(attrgetter(self.fields[i]), values)) for i, c in enumerate(self.columns)
        ]
        return self._rows(values, fields)

    def decode(self, values: Values) -> Values:
        rows = super().decode(values)
        made = []
        try:
            for row in rows:
                made.append(self.kind(*row))
        except ValueError as error:
            raise Mismatch(len(made), str(error)) from None
        return made

    def _step(self, position: int) -> str:
        return f".{self.fields[position]}"


class UnionColumn(Column):
    """A | B, all dataclasses: an array of two, the class's place in the schema table and the record."""

    def __init__(self, alternatives: dict[int, RecordColumn]) -> None:
        self.alternatives = alternatives
        self.name = " | ".join(column.name for column in alternatives.values())
        self._tags = {column.kind: tag for tag, column in alternatives.items()}

    def encode(self, values: Values) -> Values:
        tags = [*map(self._tags.get, map(type, values))]
        if None in tags:
            index = tags.index(None)
            raise Mismatch(index, f"{self.name} expected, not {wire_name(values[index])}")
        rows = self._by_class(tags, values, {tag: c.encode for tag, c in self.alternatives.items()})
        return [*zip(tags, rows, strict=True)]

    def decode(self, values: Values) -> Values:
        require(values, list, "array")
        if not set(map(len, values)) <= {2}:
            index = next(index for index, value in enumerate(values) if len(value) != 2)
            raise Mismatch(index, f"{len(values[index])} fields instead of a class and a record")
        tags = [*map(itemgetter(0), values)]
        require(tags, int, "int")
        for index, tag in enumerate(tags):
            if tag not in self.alternatives:
                raise Mismatch(index, f"class {tag} is none of {self.name}")
        rows = [*map(itemgetter(1), values)]
        return self._by_class(tags, rows, {tag: c.decode for tag, c in self.alternatives.items()})

    @staticmethod
    def _by_class(tags: Values, values: Values, converters: dict[int, Callable[[Values], Values]]) -> list[Any]:
        """Each value converted by the column of its class, in the order in which they came."""
        result: list[Any] = [None] * len(values)
        for tag, convert in converters.items():
            places = [index for index, other in enumerate(tags) if other == tag]
            if not places:
                continue
            chosen = [values[place] for place in places]
            try:
                converted = convert(chosen)
            except Mismatch as mismatch:
                raise mismatch.moved(places[mismatch.index]) from None
            for place, value in zip(places, converted, strict=True):
                result[place] = value
        return result
