"""What discovery says: images, each with its place and the rule that found it, and what was passed over, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from kubeimage.discovery.references import familiar
from kubeimage.errors import Diagnostic, ImageNameError, Location
from kubeimage.image.reference import Reference

T = TypeVar("T")

COMMENT = "in a comment"
"""Why a name was passed over that stands in a comment."""
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


class Unreadable(NamedTuple):
    """A text that stands where an image's name certainly stands, and is none.

    Shape: ``near`` is the name that was probably meant.
    Units: ``line`` counts from 1 in the file; 0 where nobody knows.
    """

    text: str
    place: Place
    line: int
    reason: str
    near: str | None = None

    def __str__(self) -> str:
        at = f":{self.line}" if self.line else ""
        near = f"; did you mean {self.near}?" if self.near else ""
        return f"{self.place.file}{at}: {self.text!r} is no image's name: {self.reason} ({self.place.path}){near}"

    def diagnostic(self) -> Diagnostic:
        """Return what is wrong, where, and what to do."""
        what = f"{self.text!r} is no image's name: {self.reason} ({self.place.path})"
        leave = f"leave it out: --ignore-image {self.text!r}"
        hint = f"did you mean {self.near}? Or {leave}" if self.near else f"mend it, or {leave}"
        return Diagnostic(ImageNameError.code, what, Location(self.place.file, max(self.line, 1)), hint)


class KubeVersion(NamedTuple):
    """The Kubernetes versions that a chart asks for."""

    chart: str
    constraint: str


class Findings(NamedTuple):
    """All that was found, in the order of the files.

    Shape: ``charts`` are the identities of those that were rendered, or that people want passed over. ``unreadable``
           is what must be mended; ``warnings`` are of files that are not what they seem to be.
    """

    found: tuple[Found, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    kube_versions: tuple[KubeVersion, ...] = ()
    charts: tuple[str, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[Reference, ...]:
        """The images, each once, sorted."""
        return tuple(sorted({found.image for found in self.found}, key=str))

    @property
    def guesses(self) -> frozenset[Reference]:
        """The images that nothing names for certain."""
        certain = {found.image for found in self.found if found.certain}
        return frozenset({found.image for found in self.found} - certain)

    @property
    def left_names(self) -> tuple[Skipped, ...]:
        """The texts that read as names and are not among the images, each once, sorted.

        Shape: a name in a comment names nothing, and is not among them; nor are files that were passed over.
        """
        known = {*map(str, self.images), *(familiar(image) for image in self.images)}
        left = {one.text: one for one in self.skipped if one.reason != COMMENT and one.text != one.place.file}
        return tuple(left[text] for text in sorted(left.keys() - known))

    def check(self) -> None:
        """Find out whether all that certainly is an image's name can be read.

        Raises: ImageNameError with all that cannot.
        """
        if self.unreadable:
            raise ImageNameError([one.diagnostic() for one in self.unreadable])


class Notebook:
    """Findings while they are gathered."""

    def __init__(self) -> None:
        self.found: list[Found] = []
        self.skipped: list[Skipped] = []
        self.kube_versions: list[KubeVersion] = []
        self.charts: list[str] = []
        self.unreadable: list[Unreadable] = []
        self.warnings: list[str] = []

    def add(self, findings: Findings) -> None:
        """Take over what somebody else has found."""
        self.found += findings.found
        self.skipped += findings.skipped
        self.kube_versions += findings.kube_versions
        self.charts += findings.charts
        self.unreadable += findings.unreadable
        self.warnings += findings.warnings

    def close(self) -> Findings:
        """Return all of it, each finding once."""
        return Findings(
            _once(self.found),
            _once(self.skipped),
            _once(self.kube_versions),
            _once(self.charts),
            _once(self.unreadable),
            _once(self.warnings),
        )


def joined(one: Findings, other: Findings) -> Findings:
    """Return the findings of both, each once."""
    notes = Notebook()
    notes.add(one)
    notes.add(other)
    return notes.close()


def passed_over(path: str, reason: str) -> Findings:
    """Return the findings of a file that was not looked into."""
    return Findings(skipped=(Skipped(path, Place(path), reason),))


def _once(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
