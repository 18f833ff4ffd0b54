"""Frozen dataclasses that cost little to define.

crtool has more than a hundred record classes, and a restart imports nearly all of them: with the standard library's
decorator, which compiles six methods for each class, that takes three times as long as starting Python. This one
compiles a class's ``__init__`` when its first instance is made, and gives all classes the same ``__eq__``,
``__hash__``, ``__repr__`` and ``__setattr__``. Everything else is the standard library's: ``fields()``, ``replace()``
and type checkers see a ``@dataclass(frozen=True)``. What uses ``field()`` is handed to the standard library as it is.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

__all__ = ["compile_init", "dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False) -> Any:
        """As dataclasses.dataclass, of which only *frozen* is supported."""
        if cls is None:
            return lambda cls: dataclass(cls, frozen=frozen)
        if not frozen or any(isinstance(value, dataclasses.Field) for value in vars(cls).values()):
            return dataclasses.dataclass(frozen=frozen)(cls)
        cls = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
        cls.__init__ = _compile_and_call
        cls.__eq__, cls.__hash__, cls.__repr__ = _equal, _hash, _show
        cls.__setattr__, cls.__delattr__ = _refuse_setting, _refuse_deleting
        return cls


def _compile_and_call(self: Any, *args: Any, **kwargs: Any) -> None:
    """The ``__init__`` of a class without instances: makes the real one, puts it in its own place, and calls it."""
    cls = type(self)
    compile_init(cls)
    cls.__init__(self, *args, **kwargs)


def compile_init(cls: Any) -> None:
    """Makes the real ``__init__`` of a class that has no instances yet."""
    if cls.__init__ is not _compile_and_call:
        return
    fields = dataclasses.fields(cls)
    defaults = {f"_{field.name}": field.default for field in fields if field.default is not dataclasses.MISSING}
    names = [f"{field.name}=_{field.name}" if f"_{field.name}" in defaults else field.name for field in fields]
    # The instance's dictionary directly: __setattr__ refuses.
    body = [f"    values[{field.name!r}] = {field.name}" for field in fields]
    if hasattr(cls, "__post_init__"):
        body.append("    self.__post_init__()")
    source = f"def __init__(self, {', '.join(names)}):\n    values = self.__dict__\n" + "\n".join(body)
    scope: dict[str, Any] = {}
    exec(source, defaults, scope)
    cls.__init__ = scope["__init__"]


def _values(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in record.__dataclass_fields__)


def _equal(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash(_values(self))


def _show(self: Any) -> str:
    parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__dataclass_fields__)
    return f"{type(self).__qualname__}({parts})"


def _refuse_setting(self: Any, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deleting(self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
