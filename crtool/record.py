"""Dataclasses that cost little to define.

crtool has more than a hundred record classes, and a restart imports nearly all of them: with the standard library's
decorator, which compiles six methods for each class, that takes three times as long as starting Python. This one
compiles a class's ``__init__`` when it has a few instances, which is when that begins to pay, and gives all classes the
same ``__eq__`` and ``__repr__``, frozen ones the same ``__hash__`` and ``__setattr__``. Everything else is the standard
library's: ``fields()``, ``asdict()`` and type checkers see a ``@dataclass``. Of ``field()``, only ``default_factory``
is known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["compile_init", "dataclass", "declared", "replace"]

Record = TypeVar("Record")

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False) -> Any:
        """As dataclasses.dataclass, of which only *frozen* is supported."""
        if cls is None:
            return lambda cls: dataclass(cls, frozen=frozen)
        cls.__match_args__ = tuple(_annotations(cls))
        cls.__dataclass_fields__ = _Later(cls)
        cls.__init__ = _fill
        cls.__eq__, cls.__hash__, cls.__repr__ = _equal, _hash if frozen else None, _show
        if frozen:
            cls.__setattr__, cls.__delattr__ = _refuse_setting, _refuse_deleting
        return cls


class _Later:
    """In the place of what ``fields()``, ``replace()`` and ``asdict()`` look for: made when they do.

    To make it for all classes takes longer than most that a small checkpoint does.
    """

    def __init__(self, cls: type) -> None:
        self._cls = cls

    def __get__(self, instance: object, owner: type) -> Any:
        if self._cls.__dict__.get("__dataclass_fields__") is self:
            del self._cls.__dataclass_fields__
            factories = {name: value for name, value in vars(self._cls).items() if _is_made(value)}
            dataclasses.dataclass(init=False, repr=False, eq=False)(self._cls)
            for name, factory in factories.items():  # the standard library has taken them away
                setattr(self._cls, name, factory)
        return owner.__dataclass_fields__  # type: ignore[attr-defined]


def _annotations(cls: type) -> dict[str, Any]:
    """Those of its bases first."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found |= getattr(base, "__annotations__", {})
    return found


def declared(cls: type) -> dict[str, Any] | None:
    """The fields of a dataclass with their annotations, in order; None of any other class.

    The annotation is None of a field that is no positional argument.
    """
    fields = cls.__dict__.get("__dataclass_fields__")
    if isinstance(fields, _Later):
        return _annotations(cls)
    if not dataclasses.is_dataclass(cls):
        return None
    return {field.name: field.type if field.init and not field.kw_only else None for field in dataclasses.fields(cls)}


def replace(record: Record, **changes: Any) -> Record:
    """As dataclasses.replace, which would first have to know more of the class than anybody else asks for."""
    kind: Any = type(record)
    made: Record = kind(**{name: getattr(record, name) for name in kind.__match_args__} | changes)
    return made


_FEW = 16  # instances that are made in the time in which a constructor is compiled
_made: dict[type, int] = {}  # instances of a class that were made by _fill()


def _fill(self: Any, *args: Any, **kwargs: Any) -> None:
    """The ``__init__`` of a class with few instances. When there are more, or if it is called wrongly, the real one."""
    cls = type(self)
    names = cls.__match_args__
    _made[cls] = made = _made.get(cls, 0) + 1
    values = self.__dict__
    values.update(zip(names, args, strict=False))
    values.update(kwargs)
    given = len(args) + len(kwargs)
    if given < len(names):
        rest = {name: _default(cls, name) for name in names[len(args) :] if name not in kwargs and hasattr(cls, name)}
        values.update(rest)
        given += len(rest)
    if made > _FEW or given != len(names) or (kwargs and values.keys() != set(names)):
        compile_init(cls)
        cls.__init__(self, *args, **kwargs)
    elif hasattr(cls, "__post_init__"):
        self.__post_init__()


def _default(cls: type, name: str) -> Any:
    """What a field is that nothing is said about."""
    value = getattr(cls, name)
    return value.default_factory() if _is_made(value) else value


def _is_made(default: Any) -> bool:
    """Whether each instance gets one of its own."""
    return isinstance(default, dataclasses.Field)


def compile_init(cls: Any) -> None:
    """Makes the real ``__init__`` of a class that does not have it yet."""
    if cls.__init__ is not _fill:
        return
    defaults = {f"_{name}": getattr(cls, name) for name in cls.__match_args__ if hasattr(cls, name)}
    names = [f"{name}=_{name}" if f"_{name}" in defaults else name for name in cls.__match_args__]
    # A frozen one refuses to be set. Its dictionary does not, but takes time: Python makes it when it is asked for.
    frozen = cls.__setattr__ is _refuse_setting
    body = ["    values = self.__dict__"] if frozen else []
    for name in cls.__match_args__:
        place = f"values[{name!r}]" if frozen else f"self.{name}"
        given = name
        if _is_made(defaults.get(f"_{name}")):
            given = f"{name} if {name} is not _{name} else _{name}.default_factory()"
        body.append(f"    {place} = {given}")
    if hasattr(cls, "__post_init__"):
        body.append("    self.__post_init__()")
    source = f"def __init__(self, {', '.join(names)}):\n" + "\n".join(body)
    scope: dict[str, Any] = {}
    exec(source, defaults, scope)
    cls.__init__ = scope["__init__"]


@cache
def _values_of(cls: Any) -> Callable[[Any], Any]:
    """Gets all values of an instance, faster than one by one, since tens of thousands may be compared.

    With the class, or a single one would be no tuple.
    """
    return attrgetter(*cls.__match_args__, "__class__")


def _equal(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    kind: type = type(self)
    values_of = _values_of(kind)
    return values_of(self) == values_of(other)


def _hash(self: Any) -> int:
    kind: type = type(self)
    return hash(_values_of(kind)(self))


def _show(self: Any) -> str:
    parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({parts})"


def _refuse_setting(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
