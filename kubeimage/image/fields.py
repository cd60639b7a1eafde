"""Fields of JSON from elsewhere, each of the kind that it should be; what is not is said in JSON's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from kubeimage.image.canonical import JsonObject

T = TypeVar("T")

_WORDS: dict[type[Any], str] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def word_for(value: Any) -> str:
    """Return what JSON calls a value of this kind."""
    return _WORDS.get(type(value), "something else")


def expect(value: Any, kind: type[T], what: str) -> T:
    """Return ``value``, which is ``what``.

    Raises: ValueError where it is of another kind.
    """
    # To JSON true is no number.
    if type(value) is not kind:
        raise ValueError(f"{what} is {word_for(value)} where {_WORDS[kind]} is expected")
    return value


def required(value: JsonObject, key: str, kind: type[T]) -> T:
    """Return a field.

    Raises: ValueError where it is missing or of another kind.
    """
    if key not in value:
        raise ValueError(f"{key!r} is missing")
    return expect(value[key], kind, repr(key))


def optional(value: JsonObject, key: str, kind: type[T]) -> T:
    """Return a field, an empty one where it is missing, null or empty in whichever way.

    Raises: ValueError where it is of another kind.
    """
    found = value.get(key)
    return expect(found, kind, repr(key)) if found else kind()


def objects(values: list[Any], what: str) -> list[JsonObject]:
    """Return a list's items, each of them an object.

    Raises: ValueError where one is none.
    """
    return [expect(one, dict, f"an item of {what!r}") for one in values]


def texts(values: list[Any], what: str) -> list[str]:
    """Return a list's items, each of them a text.

    Raises: ValueError where one is none.
    """
    return [expect(one, str, f"an item of {what!r}") for one in values]


def strings(value: Mapping[str, Any]) -> dict[str, str]:
    """Return an object's values as texts, whatever they are."""
    return {str(key): str(item) for key, item in value.items()}
