"""Frozen dataclasses that cost little to define.

`dataclasses.dataclass(frozen=True)` writes Python text for each class and compiles it, 0.6 ms a class, which was half
of what importing the runtime took. Here all classes share their methods (0.02 ms a class); `dataclasses.fields`,
`replace` and `asdict` know them all the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, TypeVar, dataclass_transform

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True, field_specifiers=(dataclasses.field,))
def record(cls: Class) -> Class:
    """Make `cls` what `dataclasses.dataclass(frozen=True)` would: its annotations are the fields."""
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else dataclass would have `inspect` find a signature
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    made.__init__ = _initialise_and_check if hasattr(made, "__post_init__") else _initialise
    made.__repr__, made.__eq__, made.__hash__ = _describe, _equal, _hash
    made.__setattr__, made.__delattr__ = _refuse_to_set, _refuse_to_delete
    return made


def _initialise(self: Any, *values: Any, **named: Any) -> None:
    names = self.__match_args__
    if named or len(values) != len(names):
        values = _complete(type(self), values, named)
    self.__dict__.update(zip(names, values, strict=True))


def _initialise_and_check(self: Any, *values: Any, **named: Any) -> None:
    _initialise(self, *values, **named)
    self.__post_init__()


def _complete(cls: type, values: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values of all fields, with the defaults of those that are not given. Raises TypeError as a function would."""
    fields = dataclasses.fields(cls)
    given = dict(zip((field.name for field in fields), values, strict=False))
    unknown = [name for name in named if name in given or name not in cls.__match_args__]  # pyright: ignore
    if unknown or len(values) > len(fields):
        raise TypeError(f"{cls.__name__} got {unknown or len(values)}, which it does not take or has already")
    given |= named
    for field in fields:
        if field.name not in given:
            if field.default_factory is not dataclasses.MISSING:
                given[field.name] = field.default_factory()
            elif field.default is not dataclasses.MISSING:
                given[field.name] = field.default
            else:
                raise TypeError(f"{cls.__name__} needs {field.name!r}")
    return tuple([given[field.name] for field in fields])


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__match_args__])


def _describe(self: Any) -> str:
    fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({fields})"


def _equal(self: Any, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _refuse_to_set(self: Any, name: str, value: Any) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
