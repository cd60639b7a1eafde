"""What discovery says: images, each with its place and the rule that found it, and what was passed over, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from kubeimage.image.reference import Reference

T = TypeVar("T")

NOT_RENDERED = "a chart, which was not rendered"
"""Why a chart was passed over where nobody wants it rendered."""


class Place(NamedTuple):
    """Where a name stands.

    Shape: ``path`` is the way to it in the document, as in ``spec.containers[0].image``, or ``line 7``.
    Units: ``document`` counts from 1.
    """

    file: str
    document: int = 1
    path: str = ""

    def __str__(self) -> str:
        number = f" (document {self.document})" if self.document > 1 else ""
        return f"{self.file}{number}: {self.path}" if self.path else f"{self.file}{number}"


class Found(NamedTuple):
    """An image that something names. Shape: ``certain`` is False for what a rule of thumb found."""

    image: Reference
    place: Place
    rule: str
    certain: bool = True


class Skipped(NamedTuple):
    """What was passed over. Shape: ``text`` is the name, or the file's where all of it was passed over."""

    text: str
    place: Place
    reason: str


class KubeVersion(NamedTuple):
    """The Kubernetes versions that a chart asks for."""

    chart: str
    constraint: str


class Findings(NamedTuple):
    """All that was found, in the order of the files.

    Shape: ``charts`` are the identities of those that were rendered, or that people want passed over.
    """

    found: tuple[Found, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    kube_versions: tuple[KubeVersion, ...] = ()
    charts: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[Reference, ...]:
        """The images, each once, sorted."""
        return tuple(sorted({found.image for found in self.found}, key=str))


class Notebook:
    """Findings while they are gathered."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.skipped: list[Skipped] = []
        self.kube_versions: list[KubeVersion] = []
        self.charts: list[str] = []

    def add(self, findings: Findings) -> None:
        """Take over what somebody else has found."""
        self.found += findings.found
        self.skipped += findings.skipped
        self.kube_versions += findings.kube_versions
        self.charts += findings.charts

    def close(self) -> Findings:
        """Give all of it, each finding once."""
        return Findings(_once(self.found), _once(self.skipped), _once(self.kube_versions), _once(self.charts))


def passed_over(path: str, reason: str) -> Findings:
    """Give the findings of a file that was not looked into."""
    return Findings(skipped=(Skipped(path, Place(path), reason),))


def _once(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
