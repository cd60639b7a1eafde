"""An image as pytest collects it: one item a check, called ``REF::oci-valid`` and so on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from harness.asking.images import IMAGE_MARKER, ImageSubject
from harness.cases.ocicase import ImageCase
from harness.checks.anyimage import IMAGE_CHECKS, ImageCheck
from harness.checks.dive import read_dive_rules
from harness.checks.failed import CheckFailedError
from harness.items.report import cause_of, failure_of, failure_repr
from harness.run import IMAGE_SETTINGS, opened_images
from kubeimage.errors import KubeimageError, UsageError
from kubeimage.report import format_error


def image_items(session: pytest.Session, chosen: dict[str, frozenset[str]]) -> Iterator[pytest.Item]:
    """Yield the items of the run's images; ``chosen`` are names of checks, by image, where not all are wanted.

    Raises: pytest.UsageError for a check that is not there.
    """
    config = session.config
    settings = config.stash[IMAGE_SETTINGS]
    checks = image_checks(config)
    for name in sorted(settings.skip - checks.keys()):
        raise pytest.UsageError(f"--oci-image-skip={name}: there is no such check, but {', '.join(checks)}")
    for name in dict.fromkeys((*settings.images, *chosen)):
        for check in sorted(chosen.get(name, frozenset()) - checks.keys()):
            raise pytest.UsageError(f"{name}::{check}: there is no such check, but {', '.join(checks)}")
        collector = ImageCollector.from_parent(session, name=name, nodeid=name, only=chosen.get(name))
        yield from session.genitems(collector)
    if settings.cst:
        from harness.items.structure import structure_items

        yield from structure_items(session, [*settings.images, *(name for name in chosen if not chosen[name])])


def image_checks(config: pytest.Config) -> dict[str, ImageCheck]:
    """Return the checks that each image gets, by name.

    Raises: pytest.UsageError for a file of dive's rules that cannot be followed.
    """
    path = config.stash[IMAGE_SETTINGS].dive_ci
    try:
        rules = read_dive_rules(path) if path is not None else ()
    except UsageError as error:
        raise pytest.UsageError(f"--dive-ci: {error.message}") from error
    return {**IMAGE_CHECKS, **{rule.key: rule.check for rule in rules}}


class ImageCollector(pytest.Collector):
    """An image. Its node id is its name."""

    def __init__(self, *, only: frozenset[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.only = only

    def collect(self) -> Iterator[ImageItem]:
        """Yield an item for each check."""
        skip = self.config.stash[IMAGE_SETTINGS].skip
        for name, check in image_checks(self.config).items():
            if name not in skip and (not self.only or name in self.only):
                yield ImageItem.from_parent(self, name=name, check=check)

    @property
    def case(self) -> ImageCase:
        """What the checks are given."""
        platform = self.config.stash[IMAGE_SETTINGS].platform
        return opened_images(self.config).case(ImageSubject(self.name, platform))


class ImageItem(pytest.Item):
    """A check of an image."""

    parent: ImageCollector

    def __init__(self, *, check: ImageCheck, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_check = check
        self.add_marker(getattr(pytest.mark, IMAGE_MARKER))

    def runtest(self) -> None:
        """Check; an image that cannot be read is told of once."""
        case = self.parent.case
        try:
            self.image_check(case)
        except CheckFailedError as error:
            raise failure_of(error) from error
        except KubeimageError as error:
            if case.reporter not in (None, self.name):
                raise pytest.skip.Exception(
                    f"{case.name}::{case.reporter} says why", _use_item_location=True
                ) from error
            case.reporter = self.name
            raise failure_of(error) from error

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong as a compiler does; with ``--full-trace``, as Python does."""
        error = cause_of(excinfo.value)
        if self.config.getoption("fulltrace") or not isinstance(error, KubeimageError):
            return super().repr_failure(excinfo, style)
        details = error.details if isinstance(error, CheckFailedError) else ()
        first, *others = format_error(error).splitlines()
        return failure_repr("\n".join((first, *details, *others)), error, self.path)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return the root of the run, its first line, and the heading of a failure."""
        return self.path, 0, f"{self.parent.nodeid} :: {self.name}"
