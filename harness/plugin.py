"""The pytest plugin: options and hooks, and nothing else.

A run without a Kubefile must not pay for this plugin, so whatever needs kubeimage is imported in the hook that uses it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import hookspecs
from harness.fixtures import (
    _kubefile_case,
    build_cache,
    built_image,
    fake_mounts,
    fake_registry,
    fake_runner,
    image_store,
    kube_build,
    kube_context,
    kubefile,
    layer_store,
)
from harness.kubefiles import is_kubefile_name
from harness.options import EMPTY, Settings, add_options, read_settings
from harness.run import SETTINGS, remove_workshop, shown_path
from harness.subjects import MARKER, Subject, subjects_of

if TYPE_CHECKING:
    from harness.collector import KubefileFile

__all__ = [
    "_kubefile_case",
    "build_cache",
    "built_image",
    "fake_mounts",
    "fake_registry",
    "fake_runner",
    "image_store",
    "kube_build",
    "kube_context",
    "kubefile",
    "layer_store",
]

_CASE_FIXTURE = "_kubefile_case"
_FACTS = ("image_id", "layers", "size", "cache", "run_by")
_COLLECTED = pytest.StashKey[set[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the ini settings."""
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that others may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and let pytest collect the Kubefiles they name."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*paths, context=None, build_args=None, platform=None, base=None): the Kubefiles that a test is "
        "about, and how they are built; paths are relative to the test's file",
    )
    settings = read_settings(config)
    config.stash[SETTINGS] = settings
    config.stash[_COLLECTED] = set()
    if settings.kubefiles:
        tests = [] if settings.only else config.args
        config.args[:] = [*tests, *_beside(tests, settings.kubefiles, str(config.invocation_params.dir))]
    _check_values(settings)


def _beside(arguments: list[str], paths: tuple[str, ...], here: str) -> list[str]:
    """Give the paths that no test path stands for already; pytest before 9 would collect those twice."""
    given = [os.path.normpath(os.path.join(here, argument)) for argument in arguments if "::" not in argument]
    return [path for path in paths if not any(path == one or path.startswith(one + os.sep) for one in given)]


def _check_values(settings: Settings) -> None:
    if settings.platform is None and not settings.bases:
        return
    from kubeimage.errors import UsageError
    from kubeimage.image.platform import Platform
    from kubeimage.image.reference import Reference

    try:
        if settings.platform is not None:
            Platform.parse(settings.platform)
        for name, _ in settings.bases:
            Reference.parse(name)
    except UsageError as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise pytest.UsageError(f"{error}{hint}") from error


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what goes with the run, once all its processes are done."""
    if not hasattr(config, "workerinput"):
        remove_workshop(config)


def pytest_collection(session: pytest.Session) -> None:
    """Check the names of the checks that are to be left out."""
    if session.config.stash[SETTINGS].skip:
        from harness.collector import check_skipped

        check_skipped(session.config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> KubefileFile | None:
    """Collect a Kubefile that was named, by option or as a test path."""
    named = str(file_path) in parent.config.stash[SETTINGS].kubefiles
    if not named and not (parent.session.isinitpath(file_path) and is_kubefile_name(file_path.name)):
        return None
    parent.config.stash[_COLLECTED].add(str(file_path))
    from harness.collector import KubefileFile

    return KubefileFile.from_parent(parent, path=file_path)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to leave out a Kubefile that was named.

    A folder among the test paths stands for the Kubefiles in it, and pytest does not go into all of its folders.
    """
    stash = session.config.stash
    missing = [path for path in stash[SETTINGS].kubefiles if path not in stash[_COLLECTED]]
    if missing and not (session.shouldfail or session.shouldstop):
        raise pytest.UsageError(
            f"--kubefile: pytest does not go into the folder of {missing[0]} (see norecursedirs); "
            "leave out the test path that it lies below"
        )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses ``kubefile`` or ``built_image`` for each of its Kubefiles."""
    if _CASE_FIXTURE not in metafunc.fixturenames:
        return
    subjects = subjects_of(metafunc.definition, metafunc.config.stash[SETTINGS])
    if subjects:
        ids = _ids(subjects, metafunc.config)
        metafunc.parametrize(_CASE_FIXTURE, subjects, ids=ids, indirect=True, scope="session")


def _ids(subjects: list[Subject], config: pytest.Config) -> list[str]:
    hidden: str | None = getattr(pytest, "HIDDEN_PARAM", None)
    if len(subjects) == 1 and hidden is not None:
        return [hidden]
    return [os.path.relpath(subject.path, config.rootpath) for subject in subjects]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what the Kubefiles are built with, and what stands in for base images."""
    settings = config.stash[SETTINGS]
    if not (settings.kubefiles or settings.bases or any(map(_names_kubefile, config.args))):
        return []
    from kubeimage import __version__

    where = shown_path(config, settings.root) if settings.root else "a store that goes with the run"
    lines = [f"kubeimage: {__version__}, backend {settings.backend}, in {where}"]
    return lines + [
        f"kubeimage: {source if source == EMPTY else shown_path(config, source)} stands in for the base image {name}"
        for name, source in settings.bases
    ]


def _names_kubefile(argument: str) -> bool:
    return is_kubefile_name(os.path.basename(argument.partition("::")[0]))


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """Explain how two trees or lists of layers differ."""
    if op != "==" or "harness.rootfs" not in sys.modules:
        return None
    from harness.explain import explain

    return explain(left, right, verbose=config.get_verbosity() > 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the images that were built."""
    lines = list(_built(terminalreporter))
    if lines:
        terminalreporter.section("cluster images")
        for line in lines:
            terminalreporter.line(line)


def _built(reporter: pytest.TerminalReporter) -> Iterator[str]:
    for report in reporter.getreports("passed"):
        properties = {key: str(value) for key, value in report.user_properties}
        if "image_id" in properties:
            name = report.nodeid.rpartition("::")[0]
            facts = [properties[key] for key in _FACTS if key in properties]
            yield f"{name}: {', '.join(facts)}"
