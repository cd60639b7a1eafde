"""One image under test, wherever it lies: opened when first asked for, and once a run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property

from harness.asking.imageoptions import ImageSettings
from harness.asking.images import ImageSubject
from harness.images.backends import Place
from harness.images.image import OciImage
from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.opening import OpenImage, open_image
from kubeimage.errors import KubeimageError
from kubeimage.image.platform import Platform
from kubeimage.settings import read_settings


class OpenedImages:
    """The images of one run, which stay open until it ends.

    Shape: ``root`` None is the store's usual place. ``place`` is where programs of images are run.
    """

    def __init__(self, settings: ImageSettings, root: str | None, place: Callable[[], Place]) -> None:
        self.settings = settings
        self.place = place
        self._root = root
        self._stack = ExitStack()
        self._cases: dict[ImageSubject, ImageCase] = {}

    def case(self, subject: ImageSubject) -> ImageCase:
        """Return the case of an image: one a run."""
        if subject not in self._cases:
            self._cases[subject] = ImageCase(subject, self)
        return self._cases[subject]

    @cached_property
    def backends(self) -> Backends:
        """What images are opened with."""
        settings = read_settings().with_insecure(self.settings.insecure)
        return self._stack.enter_context(open_backends(self._root, settings, access="read"))

    def close(self) -> None:
        """Close all of them."""
        self._stack.close()


class ImageCase:
    """An image under test. Shape: ``reporter`` is the check that has said why it cannot be opened."""

    def __init__(self, subject: ImageSubject, opened: OpenedImages) -> None:
        self.name = subject.name
        self.settings = opened.settings
        self.reporter: str | None = None
        self._subject = subject
        self._images = opened
        self._failure: KubeimageError | None = None

    @property
    def opened(self) -> OpenImage:
        """The image as it was opened.

        Raises: KubeimageError, the same one each time.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._opened
        except KubeimageError as error:
            self._failure = error
            raise

    @property
    def image(self) -> OciImage:
        """The image to assert on.

        Raises: as ``opened``.
        """
        opened = self.opened
        try:
            return self._image(opened)
        except KubeimageError as error:
            self._failure = error
            raise

    @cached_property
    def _opened(self) -> OpenImage:
        platform = Platform.parse(self._subject.platform) if self._subject.platform else None
        return open_image(self.name, self._images.backends, platform=platform)

    def _image(self, opened: OpenImage) -> OciImage:
        if self._made is None:
            made = OciImage(self.name, opened, self._images.place)
            # Who asserts on it is to meet no error of reading on the way.
            len(made.rootfs)
            self._made = made
        return self._made

    _made: OciImage | None = None
