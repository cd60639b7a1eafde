"""The pytest plugin: options and hooks, and nothing else.

A run without a Kubefile must not pay for this plugin, so whatever needs kubeimage is imported in the hook that uses it.

PYTEST_DONT_REWRITE: there is no assert here, and the entry point may have imported it before pytest asks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import fixtures
from harness.asking.arguments import Openings, add_kubefiles, named_below
from harness.asking.databases import DATABASE_OPTIONS, read_database_settings
from harness.asking.imageoptions import IMAGE_OPTIONS, add_free_options, read_image_settings
from harness.asking.images import IMAGE_MARKER_HELP, ImageSubject, image_subjects_of, images_among
from harness.asking.kubefiles import is_kubefile_name
from harness.asking.options import EMPTY, Settings, add_options
from harness.asking.settings import read_build_settings, read_settings
from harness.asking.subjects import MARKER_HELP, Subject, subjects_of
from harness.fixtures import (
    _kubefile_case,
    _oci_image_case,
    build_cache,
    built_image,
    fake_mounts,
    fake_registry,
    fake_runner,
    image,
    image_store,
    io_faults,
    kube_build,
    kube_context,
    kube_fs,
    kubefile,
    layer_store,
    power_cuts,
)
from harness.items import hookspecs
from harness.run import (
    IMAGE_SETTINGS,
    KNOWN_CHECKS,
    NAMED,
    SETTINGS,
    WORKSHOP,
    close_images,
    remove_workshop,
    shown_path,
)

if TYPE_CHECKING:
    from harness.items.collector import KubefileFile

__all__ = [
    "_kubefile_case",
    "_oci_image_case",
    "build_cache",
    "built_image",
    "fake_mounts",
    "fake_registry",
    "fake_runner",
    "image",
    "image_store",
    "io_faults",
    "kube_build",
    "kube_context",
    "kube_fs",
    "kubefile",
    "layer_store",
    "power_cuts",
]

_CASE_FIXTURE = "_kubefile_case"
_IMAGE_FIXTURE = "_oci_image_case"
_CHOSEN_CHECKS = pytest.StashKey[dict[str, frozenset[str]]]()
_OPENINGS = pytest.StashKey[Openings]()
_COLLECTED = pytest.StashKey[set[str]]()
_ARGUMENTS = pytest.StashKey[tuple[str, ...]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the ini settings."""
    add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser
) -> Generator[None, object, object]:
    """Add the options about images once the project's conftest files have added theirs: the project's go before."""
    found = yield
    add_free_options(early_config, parser, (*IMAGE_OPTIONS, *DATABASE_OPTIONS))
    return found


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the hooks that others may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options, and let pytest collect the Kubefiles they name."""
    config.addinivalue_line("markers", MARKER_HELP)
    config.addinivalue_line("markers", IMAGE_MARKER_HELP)
    _configure_images(config)
    settings = read_settings(config)
    config.stash[SETTINGS] = settings
    config.stash[_COLLECTED] = set()
    config.stash[KNOWN_CHECKS] = {}
    config.stash[NAMED] = named = named_below(config)
    kubefiles = tuple(dict.fromkeys((*settings.kubefiles, *named)))
    config.stash[_OPENINGS] = add_kubefiles(config, kubefiles, only=settings.only)
    config.stash[_ARGUMENTS] = tuple(config.args)
    if _asks_for_more(settings) or _is_about_kubefiles(config):
        _claim_name()
    _check_values(settings)
    if settings.sarif is not None and not hasattr(config, "workerinput"):
        from harness.items.findings import SarifLog

        config.pluginmanager.register(SarifLog(settings.sarif, os.getcwd()))
    if settings.report is not None and not hasattr(config, "workerinput"):
        _keep_pages(config, settings.report)
    if settings.changed or settings.changed_since is not None:
        from harness.items.unchanged import OnlyChanged

        config.pluginmanager.register(OnlyChanged(settings.changed_since))
    if (databases := read_database_settings(config)).places:
        _claim_name()
        from harness.items.databases import SharedDatabase

        config.pluginmanager.register(SharedDatabase(config, databases))


def _configure_images(config: pytest.Config) -> None:
    """Take what names an image out of the test paths: pytest would look for a file of that name."""
    config.stash[IMAGE_SETTINGS] = settings = read_image_settings(config)
    chosen, paths = images_among(config.args)
    config.stash[_CHOSEN_CHECKS] = chosen
    if settings.cst and not (settings.images or chosen):
        raise pytest.UsageError("--cst tests images, and none is named: --oci-image=REF")
    if settings.images or chosen or settings.builds:
        _claim_name()
    if settings.images or chosen or settings.builds_only:
        only = settings.only or settings.builds_only
        config.args[:] = [] if only or (chosen and not paths) else paths


def _asks_for_more(settings: Settings) -> bool:
    """Whether an option needs the rest of the harness, be there a Kubefile or not."""
    selects = settings.changed or settings.changed_since is not None
    writes = settings.sarif is not None or settings.report is not None
    return bool(settings.bases) or writes or selects


def _keep_pages(config: pytest.Config, path: str) -> None:
    from harness.items.pages import PageLog
    from kubeimage.errors import UsageError

    try:
        config.pluginmanager.register(PageLog(path))
    except UsageError as error:
        raise pytest.UsageError(f"--kubefile-report: {error.message}: {error.hint}") from error


def _claim_name() -> None:
    """Make ``import harness`` mean this package, which a run that is not about Kubefiles leaves to others."""
    from kubeimage.entries import claim

    try:
        claim()
    except ImportError as error:
        raise pytest.UsageError(str(error)) from error


def _check_values(settings: Settings) -> None:
    if settings.allowed_lint:
        from kubeimage.kubefile.codes import Advice

        known = [advice.code for advice in Advice]
        for code in sorted(settings.allowed_lint.difference(known)):
            raise pytest.UsageError(f"--kubefile-allow-lint={code}: there is no such advice, but {', '.join(known)}")
    if settings.platform is None and not (settings.bases or settings.config or settings.insecure):
        return
    from kubeimage.errors import SettingsError, UsageError
    from kubeimage.image.platform import Platform
    from kubeimage.image.reference import Reference

    try:
        if settings.platform is not None:
            Platform.parse(settings.platform)
        for name, _ in settings.bases:
            Reference.parse(name)
        read_build_settings(settings)
    except (SettingsError, UsageError) as error:
        hint = f" ({error.hint})" if error.hint else ""
        raise pytest.UsageError(f"{error}{hint}") from error


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what goes with the run, once all its processes are done."""
    if _has_loaded("harness.images.programs"):
        from harness.images.programs import close_stores

        close_stores()
    if not hasattr(config, "workerinput"):
        remove_workshop(config)
    close_images(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the checks of images, before anybody selects among the items."""
    chosen = config.stash[_CHOSEN_CHECKS]
    if config.stash[IMAGE_SETTINGS].images or chosen:
        from harness.items.images import image_items

        items.extend(image_items(session, chosen))
    if config.stash[IMAGE_SETTINGS].builds:
        from harness.items.rebuilds import rebuild_items

        items.extend(rebuild_items(session))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Check which checks there are, and the names of those to run or to leave out, before xdist starts its workers."""
    if _is_about_kubefiles(session.config) and not hasattr(session.config, "workerinput"):
        from harness.items.catalogue import refuse_unknown

        refuse_unknown(session.config)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Check them again when the conftest files below are known, ahead of pytest's own complaint."""
    try:
        found = yield
    except pytest.UsageError:
        _refuse_unknown(session.config)
        raise
    _refuse_unknown(session.config)
    return found


def _refuse_unknown(config: pytest.Config) -> None:
    known = config.stash[KNOWN_CHECKS]
    if known and not hasattr(config, "workerinput"):
        from harness.items.catalogue import refuse_unknown

        refuse_unknown(config, known)


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Go where a named Kubefile is, be the folder called ``build`` or not."""
    return config.stash[_OPENINGS].ignores(str(collection_path))


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> KubefileFile | None:
    """Collect a Kubefile that was named, by option or as a test path."""
    stash, path = parent.config.stash, str(file_path)
    named = path in stash[SETTINGS].kubefiles or path in stash[NAMED]
    if not named and not (parent.session.isinitpath(file_path) and is_kubefile_name(file_path.name)):
        return None
    parent.config.stash[_COLLECTED].add(str(file_path))
    from harness.items.collector import KubefileFile

    return KubefileFile.at(parent, file_path)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to leave out a Kubefile that was named, as ``--ignore`` or a conftest.py would."""
    stash = session.config.stash
    if stash[_ARGUMENTS] != tuple(session.config.args):
        # Another plugin has chosen what to run, by what has changed for one.
        return
    missing = [path for path in (*stash[SETTINGS].kubefiles, *stash[NAMED]) if path not in stash[_COLLECTED]]
    if missing and not (session.shouldfail or session.shouldstop):
        raise pytest.UsageError(
            f"--kubefile: pytest does not collect {missing[0]}, though it is named: an option or a conftest.py of "
            "its folders ignores it"
        )


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> None:
    """Return the rest of the plugin to a fixture of it."""
    if fixturedef.func.__module__ == fixtures.__name__:
        _claim_name()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses ``kubefile`` or ``built_image`` for each of its Kubefiles."""
    if _IMAGE_FIXTURE in metafunc.fixturenames:
        images = image_subjects_of(metafunc.definition, metafunc.config.stash[IMAGE_SETTINGS])
        if images:
            metafunc.parametrize(_IMAGE_FIXTURE, images, ids=_image_ids(images), indirect=True, scope="session")
    if _CASE_FIXTURE not in metafunc.fixturenames:
        return
    subjects = subjects_of(metafunc.definition, metafunc.config.stash[SETTINGS])
    if subjects:
        ids = _ids(subjects, metafunc.config)
        metafunc.parametrize(_CASE_FIXTURE, subjects, ids=ids, indirect=True, scope="session")


def _image_ids(subjects: list[ImageSubject]) -> list[str]:
    hidden: str | None = getattr(pytest, "HIDDEN_PARAM", None)
    if len(subjects) == 1 and hidden is not None:
        return [hidden]
    return [subject.name for subject in subjects]


def _ids(subjects: list[Subject], config: pytest.Config) -> list[str]:
    hidden: str | None = getattr(pytest, "HIDDEN_PARAM", None)
    if len(subjects) == 1 and hidden is not None:
        return [hidden]
    return [os.path.relpath(subject.path, config.rootpath) for subject in subjects]


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what the Kubefiles are built with, and what stands in for base images."""
    settings = config.stash[SETTINGS]
    if not (settings.bases or _is_about_kubefiles(config)):
        return []
    from kubeimage import __version__

    kept = settings.root is not None and settings.backend != "memory"
    where = shown_path(config, settings.root or "") if kept else "a store that goes with the run"
    lines = [f"kubeimage: {__version__}, backend {settings.backend}, in {where}"]
    return lines + [
        f"kubeimage: {source if source == EMPTY else shown_path(config, source)} stands in for the base image {name}"
        for name, source in settings.bases
    ]


def _is_about_kubefiles(config: pytest.Config) -> bool:
    return bool(config.stash[SETTINGS].kubefiles) or any(map(_names_kubefile, config.args))


def _names_kubefile(argument: str) -> bool:
    return is_kubefile_name(os.path.basename(argument.partition("::")[0]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make the builder's errors in a test read well, and keep its project, where that is asked for.

    Checks of a Kubefile do both themselves.
    """
    looks_deeper = item.config.getoption("fulltrace") or item.config.getoption("usepdb", default=False)
    if call.excinfo is not None and _has_loaded("harness.cases.building") and not looks_deeper:
        from harness.items.report import shorten

        shorten(call.excinfo)
    report = yield
    if report.when == "call" and _is_check(item):
        _attach_facts(report, item, call)
    case = getattr(item, "funcargs", {}).get(_CASE_FIXTURE)
    if report.failed and case is not None and (folder := item.config.stash[SETTINGS].save_failures):
        from harness.items.failures import save_failure

        report.sections.append(("Kubefile", save_failure(folder, item.nodeid, case, report.longreprtext)))
    elif WORKSHOP in item.config.stash:
        _save_asked(report, item)
    return report


def _save_asked(report: pytest.TestReport, item: pytest.Item) -> None:
    """Keep what a test that fails asked ``kube_build`` for last."""
    settings, workshop = item.config.stash[SETTINGS], item.config.stash[WORKSHOP]
    if report.failed and settings.save_failures is not None and workshop.asked is not None:
        from harness.items.failures import save_asked

        saved = save_asked(settings.save_failures, item.nodeid, workshop.asked, report.longreprtext)
        report.sections.append(("Kubefile", saved))
    if report.when == "teardown":
        workshop.asked = None


def _is_check(item: pytest.Item) -> bool:
    return _has_loaded("harness.items.collector") and hasattr(item, "check")


def _attach_facts(report: pytest.TestReport, item: Any, call: pytest.CallInfo[None]) -> None:
    path, _, heading = report.location
    report.location = path, item.line - 1, heading
    settings = item.config.stash[SETTINGS]
    if settings.sarif is not None:
        from harness.items.findings import attach
        from harness.items.report import cause_of

        attach(report, item, cause_of(call.excinfo.value) if call.excinfo is not None else None)
    if settings.report is not None:
        # For a plugin that sees the reports of workers, and not their items.
        warned = [f"{one.code}: {one.message}" for one in item.warned]
        report.kubefile_warned = warned  # type: ignore[attr-defined]
        if item.name == "build" and report.passed:
            from harness.items.pages import attach_page

            attach_page(report, item.case)
    if settings.durations is not None and item.name == "build" and report.passed:
        from harness.items.summary import attach_steps

        attach_steps(report, item.case)


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    """Explain how two images, trees or lists of layers differ."""
    if not _has_loaded("harness.images.rootfs"):
        return None
    from harness.images.explain import explain

    return explain(op, left, right, verbose=config.get_verbosity() > 0)


def _has_loaded(name: str) -> bool:
    """Whether that module of ours is there: another ``harness`` may have one of the same name."""
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and file.startswith(os.path.dirname(__file__) + os.sep)


def _tell_builds(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how ``--image-build``'s commands were run, and what was alike in both runs."""
    from harness.items.rebuilds import PROPERTY

    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    texts = [str(text) for report in reports for key, text in report.user_properties if key == PROPERTY]
    if texts:
        terminalreporter.section("image builds")
    for text in texts:
        terminalreporter.line(text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the images that were built, and the slowest steps where that is asked for.

    With ``-q`` only images are listed which stand on something else than the base that they name.
    """
    durations = config.stash[SETTINGS].durations
    reports = terminalreporter.getreports("passed")
    if config.stash[IMAGE_SETTINGS].builds:
        _tell_builds(terminalreporter)
    if not any(key == "image_id" for report in reports for key, _ in report.user_properties):
        return
    from harness.items.summary import image_lines, slowest_lines

    sections = {"cluster images": list(image_lines(reports, quiet=config.get_verbosity() < 0))}
    if durations is not None:
        sections["slowest steps"] = list(slowest_lines(reports, durations, terminalreporter._tw.fullwidth))  # noqa: SLF001
    for title, lines in sections.items():
        if lines:
            terminalreporter.section(title)
        for line in lines:
            terminalreporter.line(line)
