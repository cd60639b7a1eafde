"""Plots as SVG: how a figure grows with its work, on logarithmic axes, in text that a diff can show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

Point = tuple[float, float]

WIDTH, HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 170, 40, 50
# Told apart by people who see no red or no green as well.
_FONT = 'font-family="sans-serif" font-size="12"'
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")


class Axis(NamedTuple):
    """A logarithmic axis. Units: ``start`` and ``end`` in the figure's unit, ``first`` and ``last`` in pixels."""

    start: float
    end: float
    first: float
    last: float

    @classmethod
    def around(cls, values: Iterable[float], first: float, last: float) -> Axis:
        """Return an axis from the power of ten below the least value to the one above the largest."""
        logs = [math.log10(value) for value in values]
        start, end = math.floor(min(logs)), math.ceil(max(logs))
        return cls(10.0**start, 10.0 ** (end if end > start else start + 1), first, last)

    def place(self, value: float) -> float:
        """Return where a value is, in pixels."""
        share = math.log10(value / self.start) / math.log10(self.end / self.start)
        return self.first + share * (self.last - self.first)

    @property
    def ticks(self) -> list[float]:
        """The powers of ten on it."""
        return [10.0**power for power in range(round(math.log10(self.start)), round(math.log10(self.end)) + 1)]


def plot(title: str, across: str, up: str, series: Mapping[str, Sequence[Point]]) -> str:
    """Return an SVG with a line for each of ``series``; what is 0 or less has no place on it.

    Shape: ``across`` and ``up`` name the axes, with their units.
    """
    lines = {name: [point for point in points if min(point) > 0] for name, points in series.items()}
    points = [point for line in lines.values() for point in line]
    if not points:
        raise ValueError(f"{title}: there is nothing to plot")
    x = Axis.around((point[0] for point in points), _LEFT, WIDTH - _RIGHT)
    y = Axis.around((point[1] for point in points), HEIGHT - _BOTTOM, _TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {_FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(_LEFT, 22, title, weight="bold"),
        *_grid(x, y),
        _text((x.first + x.last) / 2, HEIGHT - 12, across, anchor="middle"),
        f'<g transform="rotate(-90 18 {(y.first + y.last) / 2:.0f})">',
        _text(18, (y.first + y.last) / 2, up, anchor="middle"),
        "</g>",
    ]
    for number, (name, line) in enumerate(lines.items()):
        parts += _line(name, line, x, y, number)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _grid(x: Axis, y: Axis) -> Iterable[str]:
    for value in x.ticks:
        at = x.place(value)
        yield f'<path d="M{at:.1f} {y.first}V{y.last}" stroke="#ddd"/>'
        yield _text(at, y.first + 16, _number(value), anchor="middle")
    for value in y.ticks:
        at = y.place(value)
        yield f'<path d="M{x.first} {at:.1f}H{x.last}" stroke="#ddd"/>'
        yield _text(x.first - 6, at + 4, _number(value), anchor="end")


def _line(name: str, line: Sequence[Point], x: Axis, y: Axis, number: int) -> Iterable[str]:
    color = _COLORS[number % len(_COLORS)]
    places = [(x.place(across), y.place(up)) for across, up in line]
    path = "L".join(f"{across:.1f} {up:.1f}" for across, up in places)
    if places:
        yield f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>'
    for across, up in places:
        yield f'<circle cx="{across:.1f}" cy="{up:.1f}" r="3" fill="{color}"/>'
    row = _TOP + 10 + 18 * number
    yield f'<path d="M{x.last + 12} {row - 4}h14" stroke="{color}" stroke-width="2"/>'
    yield _text(x.last + 32, row, name)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _number(value: float) -> str:
    """Write a power of ten.

    >>> [_number(value) for value in (0.01, 1.0, 10000.0)]
    ['0.01', '1', '10,000']
    """
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
