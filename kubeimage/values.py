"""Frozen dataclasses that cost next to nothing to import: nothing of theirs is compiled.

The standard decorator writes and compiles the source of six methods a class, which for the classes of a cached build
took a fifth of its time. This one leaves the description of a class to it, so that ``dataclasses.fields``, ``replace``
and ``asdict`` do what they do, and gives every class the same few methods, which read that description. A class is
described when that is first asked for: most of those that a command imports never have an instance.

Source: decision 013.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError
from threading import RLock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - says that it is given on
    from inspect import Signature
else:

    def dataclass(*, frozen: bool, order: bool = False, kw_only: bool = False) -> Callable[[type], type]:
        """Make a class a dataclass; ``frozen`` must be said, since nothing else is on offer."""
        if not frozen:
            raise TypeError("the dataclasses of kubeimage.values are frozen")

        def decorate(cls: type) -> type:
            cls.__signature__ = _LazySignature()
            for name in _DESCRIPTION:
                setattr(cls, name, _Undescribed(cls, name, kw_only))
            for name, method in (_METHODS | _ORDER if order else _METHODS).items():
                if name not in vars(cls):
                    setattr(cls, name, method)
            return cls

        return decorate


_DESCRIPTION = ("__shape__", "__dataclass_fields__", "__dataclass_params__", "__match_args__")
_DESCRIBING = RLock()


class _Undescribed:
    """Stands in a class for a part of its description, which is made when any part of it is looked up."""

    def __init__(self, cls: Any, name: str, kw_only: bool) -> None:
        self.cls, self.name, self.kw_only = cls, name, kw_only

    def __get__(self, instance: object, owner: type) -> object:
        # Two threads may make the first instances of a class. One class may stand on another, hence the RLock.
        with _DESCRIBING:
            if isinstance(vars(self.cls)["__shape__"], _Undescribed):
                del self.cls.__match_args__
                dataclasses.dataclass(self.cls, init=False, repr=False, eq=False, kw_only=self.kw_only)
                self.cls.__shape__ = _Shape(self.cls)
        return getattr(owner, self.name)


class _Shape:
    """What the methods of one class go by."""

    def __init__(self, cls: Any) -> None:
        fields: tuple[Field[Any], ...] = dataclasses.fields(cls)
        compared = [field.name for field in fields if field.compare]
        self.names = frozenset(field.name for field in fields)
        self.positional = tuple(field.name for field in fields if not field.kw_only)
        self.defaults = {field.name: field.default for field in fields if field.default is not MISSING}
        self.factories = [(one.name, one.default_factory) for one in fields if one.default_factory is not MISSING]
        self.shown = [field.name for field in fields if field.repr]
        self.key: Callable[[Any], Any] = operator.attrgetter(*compared) if compared else lambda _: ()
        self.finish: Callable[[Any], None] | None = getattr(cls, "__post_init__", None)

    def mistake(self, values: tuple[Any, ...], named: dict[str, Any]) -> str:
        """Say what is wrong with arguments that do not fit."""
        if len(values) > len(self.positional):
            return f"takes {len(self.positional)} positional arguments but {len(values)} were given"
        given = self.positional[: len(values)]
        if twice := [name for name in given if name in named]:
            return f"got multiple values for argument {twice[0]!r}"
        if unknown := [name for name in named if name not in self.names]:
            return f"got an unexpected keyword argument {unknown[0]!r}"
        missing = self.names.difference(given, named, self.defaults, [name for name, _ in self.factories])
        return f"missing required arguments: {', '.join(map(repr, sorted(missing)))}"


def _init(self: Any, *values: Any, **named: Any) -> None:
    shape: _Shape = self.__shape__
    state = self.__dict__
    state.update(shape.defaults)
    state.update(zip(shape.positional, values))  # noqa: B905 - the keyword takes time, and the lengths are compared below
    for name, make in shape.factories:
        if name not in named and name not in state:
            state[name] = make()
    fits = len(values) <= len(shape.positional)
    if named:
        state.update(named)
        fits &= named.keys() <= shape.names and named.keys().isdisjoint(shape.positional[: len(values)])
    if not fits or len(state) != len(shape.names):
        raise TypeError(f"{type(self).__name__}() {shape.mistake(values, named)}")
    if shape.finish is not None:
        shape.finish(self)


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__shape__.shown)
    return f"{type(self).__qualname__}({shown})"


def _hash(self: Any) -> int:
    return hash(self.__shape__.key(self))


def _comparison(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def method(self: Any, other: Any) -> bool:
        key = self.__shape__.key
        return compare(key(self), key(other)) if type(other) is type(self) else NotImplemented

    return method


def _refuse_to_assign(_: Any, name: str, __: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


_METHODS = {
    "__init__": _init,
    "__repr__": _repr,
    "__eq__": _comparison(operator.eq),
    "__hash__": _hash,
    "__setattr__": _refuse_to_assign,
    "__delattr__": _refuse_to_delete,
}
_ORDER = {
    "__lt__": _comparison(operator.lt),
    "__le__": _comparison(operator.le),
    "__gt__": _comparison(operator.gt),
    "__ge__": _comparison(operator.ge),
}


class _LazySignature:
    """What ``inspect.signature`` says of a class: its fields, as they are written."""

    def __get__(self, instance: object, owner: type) -> Signature:
        from inspect import Parameter, Signature

        def parameter(field: Field[Any]) -> Parameter:
            kind = Parameter.KEYWORD_ONLY if field.kw_only else Parameter.POSITIONAL_OR_KEYWORD
            preset = field.default if field.default_factory is MISSING else field.default_factory
            default = Parameter.empty if preset is MISSING else preset
            return Parameter(field.name, kind, default=default, annotation=field.type)

        fields: tuple[Field[Any], ...] = dataclasses.fields(owner)
        return Signature([parameter(field) for field in sorted(fields, key=lambda one: bool(one.kw_only))])
