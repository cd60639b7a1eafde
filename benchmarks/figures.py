"""What a measurement comes to: memory beside its limit, and lines that grow."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.plots import Point, plot

Series = dict[str, list[Point]]


class Memory(NamedTuple):
    """The largest sum of PSS over a command's processes. Units: MB."""

    work: str
    pss: float
    target: float

    def __str__(self) -> str:
        return f"| {self.work} | {self.pss:.0f} | {self.target:g} | {'yes' if self.pss <= self.target else 'no'} |"


class Figure(NamedTuple):
    """How something grows. Shape: ``name`` is that of its file; a point of ``series`` is (how much work, figure)."""

    name: str
    title: str
    across: str
    up: str
    series: Series

    @property
    def svg(self) -> str:
        """The plot."""
        return plot(self.title, self.across, self.up, self.series)

    def __str__(self) -> str:
        works = sorted({point[0] for line in self.series.values() for point in line})
        head = f"| {self.across} | {' | '.join(f'{work:,.0f}' for work in works)} |"
        lines = [head, "| --- " * (len(works) + 1) + "|"]
        for name, line in self.series.items():
            known = dict(line)
            cells = (f"{known[work]:.3f}" if work in known else "" for work in works)
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return "\n".join(lines)
