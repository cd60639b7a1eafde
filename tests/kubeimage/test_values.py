"""The frozen dataclasses of kubeimage.values do what those of the standard library do."""

import copy
import dataclasses
import inspect
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, field
from functools import cached_property
from typing import Any, ClassVar

import pytest

from kubeimage import values


class Spanned:
    span: int = field(default=7, compare=False, repr=False, kw_only=True)


class Point(Spanned):
    """A point."""

    kind: ClassVar[str] = "point"

    x: int
    y: int = 2
    tags: dict[str, str] = field(default_factory=dict)

    @cached_property
    def sum(self) -> int:
        return self.x + self.y


class Version:
    """A version."""

    major: int
    minor: int = 0


class Options:
    """Options."""

    name: str
    deep: bool = False


class Positive:
    """A number."""

    number: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "number", abs(self.number))


class Empty:
    """Nothing."""


def _of_module(decorate: Any) -> dict[str, Any]:
    def make(cls: type, *bases: type, **options: bool) -> Any:
        body = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        made: Any = type(cls)(cls.__name__, bases, body)
        if isinstance(vars(cls).get("sum"), cached_property):
            made.sum.__set_name__(made, "sum")
        return decorate(frozen=True, **options)(made)

    spanned = make(Spanned)
    return {
        "Point": make(Point, spanned),
        "Version": make(Version, order=True),
        "Options": make(Options, kw_only=True),
        "Positive": make(Positive),
        "Empty": make(Empty),
    }


STANDARD, OURS = _of_module(dataclasses.dataclass), _of_module(values.dataclass)


@pytest.mark.parametrize(
    ("name", "look"),
    [
        pytest.param("Point", lambda cls: repr(cls(1, tags={"a": "b"}, span=3)), id="repr"),
        pytest.param("Empty", lambda cls: repr(cls()), id="repr of nothing"),
        pytest.param("Point", lambda cls: cls(1) == cls(1, 2, span=9), id="equal but for what is not compared"),
        pytest.param("Point", lambda cls: cls(1) == cls(2), id="unequal"),
        pytest.param("Version", lambda cls: cls(1) == (1, 0), id="unequal to a tuple"),
        pytest.param("Empty", lambda cls: cls() == cls(), id="nothing equals nothing"),
        pytest.param("Version", lambda cls: len({cls(1), cls(1, 0), cls(2)}), id="hash"),
        pytest.param(
            "Version", lambda cls: [cls(1) < cls(1, 1), cls(1) <= cls(1), cls(2) > cls(3), cls(2) >= cls(2)], id="order"
        ),
        pytest.param("Version", lambda cls: cls(1) < 2, id="order with another type"),
        pytest.param("Point", lambda cls: cls(1) < cls(2), id="no order"),
        pytest.param("Point", lambda cls: hash(cls(1)), id="no hash of a dict"),
        pytest.param("Point", lambda cls: cls(3).sum, id="cached property"),
        pytest.param("Point", lambda cls: cls(3).tags is cls(3).tags, id="a factory is called each time"),
        pytest.param("Positive", lambda cls: cls(-3).number, id="__post_init__"),
        pytest.param("Point", lambda cls: dataclasses.asdict(cls(1)), id="asdict"),
        pytest.param("Point", lambda cls: repr(dataclasses.replace(cls(1), y=5)), id="replace"),
        pytest.param(
            "Point", lambda cls: dataclasses.replace(cls(1, span=4), x=5).span, id="replace keeps what is not compared"
        ),
        pytest.param("Version", lambda cls: dataclasses.replace(cls(1), patch=5), id="replace what is not there"),
        pytest.param("Point", lambda cls: [one.name for one in dataclasses.fields(cls)], id="fields"),
        pytest.param("Version", dataclasses.is_dataclass, id="is_dataclass"),
        pytest.param("Version", lambda cls: repr(copy.deepcopy(cls(1))), id="deepcopy"),
        pytest.param("Point", lambda cls: cls.__match_args__, id="match"),
        pytest.param("Point", lambda cls: cls.kind, id="class variable"),
        pytest.param("Options", lambda cls: repr(cls(name="a")), id="keywords"),
        pytest.param("Options", lambda cls: cls("a"), id="keywords only"),
        pytest.param("Version", lambda cls: cls(), id="missing"),
        pytest.param("Version", lambda cls: cls(1, 2, 3), id="too many"),
        pytest.param("Version", lambda cls: cls(1, major=2), id="twice"),
        pytest.param("Version", lambda cls: cls(1, patch=2), id="unknown"),
        pytest.param("Version", lambda cls: cls(minor=1, patch=2), id="missing and unknown"),
        pytest.param("Version", lambda cls: setattr(cls(1), "major", 2), id="assign"),
        pytest.param("Version", lambda cls: setattr(cls(1), "patch", 2), id="assign something new"),
        pytest.param("Version", lambda cls: delattr(cls(1), "major"), id="delete"),
    ],
)
def test_it_does_what_the_standard_one_does(name: str, look: Any) -> None:
    def outcome(cls: Any) -> object:
        try:
            return look(cls)
        except (TypeError, FrozenInstanceError) as error:
            return type(error)

    assert outcome(OURS[name]) == outcome(STANDARD[name])


@pytest.mark.parametrize("name", ["Point", "Version", "Options", "Positive"])
def test_its_signature_names_the_fields(name: str) -> None:
    ours, standard = inspect.signature(OURS[name]), inspect.signature(STANDARD[name])

    assert [(one.name, one.kind) for one in ours.parameters.values()] == [
        (one.name, one.kind) for one in standard.parameters.values()
    ]
    assert [one.default is inspect.Parameter.empty for one in ours.parameters.values()] == [
        one.default is inspect.Parameter.empty for one in standard.parameters.values()
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(((), {}), r"Version\(\) missing required arguments: 'major'", id="missing"),
        pytest.param(((1, 2, 3), {}), r"Version\(\) takes 2 positional arguments but 3 were given", id="too many"),
        pytest.param(((1,), {"major": 2}), r"Version\(\) got multiple values for argument 'major'", id="twice"),
        pytest.param(((1,), {"patch": 2}), r"Version\(\) got an unexpected keyword argument 'patch'", id="unknown"),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(arguments: tuple[tuple[int, ...], dict[str, int]], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        OURS["Version"](*arguments[0], **arguments[1])


@values.dataclass(frozen=True)
class Pickled:
    """Of a module, so that pickle finds it."""

    number: int


def test_it_goes_through_pickle() -> None:
    assert pickle.loads(pickle.dumps(Pickled(1))) == Pickled(1)


def test_a_class_is_described_when_that_is_first_asked_for() -> None:
    @values.dataclass(frozen=True)
    class Described:
        number: int = field(default=1)

    assert isinstance(vars(Described)["number"], dataclasses.Field)
    assert Described().number == Described.number == 1


def test_threads_that_make_the_first_instances_at_once_agree() -> None:
    for _ in range(20):

        @values.dataclass(frozen=True)
        class Below:
            number: int = field(default=1)

        @values.dataclass(frozen=True)
        class Above(Below):
            text: str = field(default="")

        barrier = threading.Barrier(4)

        def make(kind: type[Any], barrier: threading.Barrier = barrier) -> Any:
            barrier.wait(10)
            return kind(2)

        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(make, [Below, Above, Below, Above]))

        assert made == [Below(2), Above(2), Below(2), Above(2)]


def test_only_frozen_ones_are_made() -> None:
    with pytest.raises(TypeError, match="frozen"):
        values.dataclass(frozen=False)
