"""Images that leave a store and come back: saved and loaded, pushed and pulled."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, multiple, precondition, rule

from harness import model
from harness.fakes.registry import FakeRegistry
from harness.stateful.agreement import read_image
from harness.stateful.places import MachinePlace
from kubeimage.api.archives import ARCHIVE_FORMATS, ArchiveFormat, save_image
from kubeimage.api.backends import open_backends
from kubeimage.api.distribution import pull_image, push_image
from kubeimage.api.loading import load_images
from kubeimage.api.upkeep import check_store
from kubeimage.errors import KubeimageError
from kubeimage.image.reference import Reference
from kubeimage.layer.compression import Coding
from kubeimage.settings import HostSettings, Settings

NAMES = ("one:1", "two:1", "two:2")
NO_IMAGE, NOT_THERE = "E0501", "E0803"
_TAGS = ("1", "2")
_ABSENT = "absent:1"


class Archive(NamedTuple):
    """A file, and the image in it."""

    path: str
    name: str
    image: model.Image


class TravelMachine(RuleBasedStateMachine):
    """Saves, loads, pushes and pulls, where the store has files; another machine makes the images."""

    archives = Bundle("archives")

    def __init__(self, place: MachinePlace) -> None:
        super().__init__()
        self.place = place
        self.names: dict[str, model.Image] = {}
        self.remote: dict[str, model.Image] = {}
        self._registry: FakeRegistry | None = None
        self._numbers = itertools.count()

    @precondition(lambda self: self.place.root is not None and self.names)
    @rule(
        target=archives,
        data=st.data(),
        form=st.sampled_from(ARCHIVE_FORMATS),
        kind=st.sampled_from((None, "none", "gzip", "zstd")),
    )
    def save(self, data: st.DataObject, form: ArchiveFormat, kind: str | None) -> object:
        """Write an image into a file that can be loaded elsewhere; where there is no image, no file is left."""
        name = data.draw(st.sampled_from([*sorted(self.names), _ABSENT]))
        path = self._path("archive.tar")
        # A docker-archive holds layers as they are.
        coding = Coding.parse(kind) if kind is not None and form != "docker-archive" else None
        with open_backends(self.place.root, access="read") as backends:
            error = error_of(lambda: save_image(name, path, backends, form=form, coding=coding))
        assert error == (None if name in self.names else NO_IMAGE)
        assert os.path.exists(path) == (error is None)
        if error is not None:
            return multiple()
        archive = Archive(path, name, self.names[name])
        elsewhere = self._path("store")
        self._load(archive, None, elsewhere)
        self._look_elsewhere(elsewhere, Reference.parse(name), archive.image)
        return archive

    @rule(archive=archives, name=st.none() | st.sampled_from(NAMES))
    def load(self, archive: Archive, name: str | None) -> None:
        """Bring an image back, under its own name or another one."""
        assert self.place.root is not None
        self._load(archive, name, self.place.root)
        self.names[name or archive.name] = archive.image

    @precondition(lambda self: self.place.root is not None and self.names)
    @rule(data=st.data(), tag=st.sampled_from(_TAGS))
    def push(self, data: st.DataObject, tag: str) -> None:
        """Send an image to a registry, from where it can be pulled elsewhere; its name is taken away again."""
        source = data.draw(st.sampled_from(sorted(self.names)))
        reference, root = self._remote(tag), self.place.root
        assert root is not None
        with self.place.open({}) as (backends, _):
            backends.images.tag(Reference.parse(source), reference)
        with open_backends(root, self._settings(), access="read") as backends:
            push_image(reference, backends)
        with self.place.open({}) as (backends, _):
            backends.images.remove(reference)
        self.remote[tag] = self.names[source]
        elsewhere = self._path("store")
        with open_backends(elsewhere, self._settings()) as backends:
            pull_image(reference, backends, platforms="all")
        self._look_elsewhere(elsewhere, reference, self.remote[tag])

    @precondition(lambda self: self._registry is not None)
    @rule(tag=st.sampled_from(_TAGS), name=st.sampled_from(NAMES))
    def pull(self, tag: str, name: str) -> None:
        """Fetch an image, and give it a name like the others."""
        reference, root = self._remote(tag), self.place.root
        assert root is not None
        with open_backends(root, self._settings()) as backends:
            error = error_of(lambda: pull_image(reference, backends, platforms="all"))
        assert error == (None if tag in self.remote else NOT_THERE)
        if error is None:
            with self.place.open({}) as (backends, _):
                backends.images.tag(reference, Reference.parse(name))
                backends.images.remove(reference)
            self.names[name] = self.remote[tag]

    def teardown(self) -> None:
        """Remove all."""
        if self._registry is not None:
            self._registry.stop()
        self.place.close()

    def _load(self, archive: Archive, name: str | None, root: str) -> None:
        references = [Reference.parse(name)] if name is not None else []
        with open_backends(root) as backends:
            (loaded,) = load_images(archive.path, backends, references=references)
        assert [one.familiar() for one in loaded.references] == [name or archive.name]

    def _look_elsewhere(self, root: str, name: Reference, expected: model.Image) -> None:
        """Compare an image in a store that had nothing of it, and remove that store."""
        with open_backends(root, mount="copy", isolation="none", access="look") as backends:
            image = backends.images.get(name)
            assert image is not None
            assert read_image(image, backends.layers) == expected
            assert [one for one in check_store(backends) if one.damage] == []
        shutil.rmtree(root)

    def _path(self, name: str) -> str:
        """Return a path beside the store that is not there yet."""
        folder = f"{self.place.root}-{next(self._numbers)}"
        os.mkdir(folder)
        return os.path.join(folder, name)

    def _remote(self, tag: str) -> Reference:
        if self._registry is None:
            self._registry = FakeRegistry().start()
        return Reference(self._registry.host, "travel/app", tag)

    def _settings(self) -> Settings:
        assert self._registry is not None
        return Settings(hosts={self._registry.host: HostSettings(plain_http=True)})


def error_of(action: Callable[[], object]) -> str | None:
    """Do something, and give the code of the error that it ends with."""
    try:
        action()
    except KubeimageError as error:
        return error.code
    return None
