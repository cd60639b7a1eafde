"""``--image-build``'s commands as items: ``image-build::reproducible``."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from harness.checks.failed import CheckFailedError
from harness.items.report import cause_of, failure_of, failure_repr
from harness.rebuild.builds import OUT, BuildFailedError, Rebuilt, build_twice
from harness.rebuild.differ import find_difference
from harness.rebuild.outcome import NoImageError, name_of_image
from harness.run import IMAGE_SETTINGS
from kubeimage.api.backends import open_backends
from kubeimage.api.opening import open_image
from kubeimage.errors import KubeimageError
from kubeimage.report import format_error

PROPERTY = "image_build"


def rebuild_items(session: pytest.Session) -> Iterator[pytest.Item]:
    """Yield an item for each command.

    Raises: pytest.UsageError for a command that does not say where its image is to go.
    """
    settings = session.config.stash[IMAGE_SETTINGS]
    for number, command in enumerate(settings.builds, 1):
        if OUT not in command:
            raise pytest.UsageError(
                f"--image-build={command}: it does not say where the image goes: write {OUT} where the command takes "
                "the path of an archive or a folder"
            )
        name = "image-build" if len(settings.builds) == 1 else f"image-build-{number}"
        collector = RebuildCollector.from_parent(session, name=name, nodeid=name, command=command)
        yield from session.genitems(collector)


class RebuildCollector(pytest.Collector):
    """A builder's command."""

    def __init__(self, *, command: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = command

    def collect(self) -> Iterator[RebuildItem]:
        """Yield its one item."""
        yield RebuildItem.from_parent(self, name="reproducible")


class RebuildItem(pytest.Item):
    """Whether two builds give one image."""

    parent: RebuildCollector

    def runtest(self) -> None:
        """Build twice, and compare."""
        settings = self.config.stash[IMAGE_SETTINGS]
        folder = tempfile.mkdtemp(prefix="kubeimage-build-")
        # Another user builds there.
        os.chmod(folder, 0o711)  # noqa: S103
        try:
            self._judge(settings.build_context or str(self.config.invocation_params.dir), folder)
        except KubeimageError as error:
            raise failure_of(error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _judge(self, context: str, folder: str) -> None:
        """Raise what is wrong.

        Raises: CheckFailedError; KubeimageError where an image cannot be read.
        """
        try:
            built = build_twice(self.parent.command, context, folder)
            names = [name_of_image(one.out) for one in (built.first, built.second)]
        except BuildFailedError as error:
            raise self._failed(str(error), error.lines) from None
        except NoImageError as error:
            raise self._failed(str(error)) from None
        except OSError as error:
            raise self._failed(f"the context cannot be copied: {error.strerror}: {error.filename}") from None
        self.user_properties.append((PROPERTY, "\n".join(_told(self.parent.command, built))))
        with open_backends(os.path.join(folder, "store"), access="read") as backends:
            one, two = (open_image(name, backends) for name in names)
            found = find_difference(one, two)
        if found is not None:
            raise self._failed("two builds gave two images", (*found.lines(), *_unvaried(built)))

    def _failed(self, message: str, details: tuple[str, ...] = ()) -> CheckFailedError:
        return CheckFailedError(f"{message}: {self.parent.command}", details=details)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong as a compiler does; with ``--full-trace``, as Python does."""
        error = cause_of(excinfo.value)
        if self.config.getoption("fulltrace") or not isinstance(error, KubeimageError):
            return super().repr_failure(excinfo, style)
        first, *others = format_error(error).splitlines()
        details = [f"  {one}" for one in error.details] if isinstance(error, CheckFailedError) else []
        return failure_repr("\n".join((first, *details, *others)), error, self.path)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return the root of the run, its first line, and the heading of a failure."""
        return self.path, 0, f"{self.parent.nodeid} :: {self.name}"


def _told(command: str, built: Rebuilt) -> Iterator[str]:
    yield f"{command}: built twice, in {built.first.seconds:.1f} s and {built.second.seconds:.1f} s"
    yield f"  with another {', '.join(built.varied)}"
    yield from (f"  {line}" for line in _unvaried(built))


def _unvaried(built: Rebuilt) -> tuple[str, ...]:
    return tuple(f"not varied: {name}: {why}" for name, why in built.unvaried.items())
