"""What belongs to one run of pytest: its settings, and its workshop."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.asking.imageoptions import ImageSettings
from harness.asking.options import Settings

if TYPE_CHECKING:
    from harness.asking.subjects import Subject
    from harness.cases.case import Case
    from harness.cases.ocicase import OpenedImages
    from harness.cases.workshop import Workshop
    from harness.images.backends import Place

SETTINGS = pytest.StashKey[Settings]()
NAMED = pytest.StashKey[dict[str, frozenset[str]]]()
WORKSHOP = pytest.StashKey["Workshop"]()
IMAGE_SETTINGS = pytest.StashKey[ImageSettings]()
OPENED_IMAGES = pytest.StashKey["OpenedImages"]()
KNOWN_CHECKS = pytest.StashKey[dict[str, None]]()
_CASES = pytest.StashKey["dict[Subject, Case]"]()


def workshop_of(config: pytest.Config) -> Workshop:
    """Return the run's workshop, made when it is first needed."""
    if WORKSHOP not in config.stash:
        from harness.cases.workshop import Workshop

        config.stash[WORKSHOP] = Workshop(
            config.stash[SETTINGS],
            _folder(config),
            lambda path: _hook_for(config, path).pytest_kubefile_backends(config=config, path=path),
        )
    return config.stash[WORKSHOP]


def remove_workshop(config: pytest.Config) -> None:
    """Remove the run's workshop, be it this process's or that of xdist workers."""
    has_workers = config.getoption("dist", "no") != "no"
    if WORKSHOP in config.stash or (has_workers and os.path.exists(_folder(config))):
        workshop_of(config).close()


def case_of(config: pytest.Config, subject: Subject) -> Case:
    """Return the case of a Kubefile: one a run, so that it is parsed and built once."""
    from harness.cases.case import Case

    cases = config.stash.setdefault(_CASES, {})
    if subject not in cases:
        cases[subject] = Case(workshop_of(config), subject, shown_path(config, subject.path))
    return cases[subject]


def opened_images(config: pytest.Config) -> OpenedImages:
    """Return the images that the run has opened, which stay open until it ends."""
    if OPENED_IMAGES not in config.stash:
        from harness.cases.ocicase import OpenedImages

        def place() -> Place:
            return workshop_of(config).running_place

        config.stash[OPENED_IMAGES] = OpenedImages(config.stash[IMAGE_SETTINGS], config.stash[SETTINGS].root, place)
    return config.stash[OPENED_IMAGES]


def close_images(config: pytest.Config) -> None:
    """Close the images that the run has opened."""
    if OPENED_IMAGES in config.stash:
        config.stash[OPENED_IMAGES].close()


def shown_path(config: pytest.Config, path: str) -> str:
    """Return the path as a person who started pytest sees it."""
    relative = os.path.relpath(path, config.invocation_params.dir)
    return path if relative.startswith("..") else relative


def _hook_for(config: pytest.Config, path: str) -> Any:
    """Return the hooks that have a say about ``path``: a conftest file has one about what lies below it."""
    session: pytest.Session | None = config.pluginmanager.get_plugin("session")
    return config.hook if session is None else session.gethookproxy(Path(path))


def _folder(config: pytest.Config) -> str:
    """Return a folder in pytest's temporary one for this run, which all xdist workers share.

    Items have no fixtures, and so no tmp_path_factory but the one that pytest keeps on its config.
    """
    factory: pytest.TempPathFactory | None = getattr(config, "_tmp_path_factory", None)
    if factory is None:
        raise pytest.UsageError("checks of Kubefiles need pytest's tmpdir plugin; leave out -p no:tmpdir")
    base = factory.getbasetemp()
    return str((base.parent if hasattr(config, "workerinput") else base) / "kubeimage")
