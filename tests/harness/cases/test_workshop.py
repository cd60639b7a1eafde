from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.asking.options import Settings
from harness.cases.leaks import Leak
from harness.cases.outcome import Outcome, Warned
from harness.cases.workshop import Job, Workshop, content_key, remove_folder
from harness.images.backends import DirectoryPlace, Place, memory_backends
from harness.trees import Folder, write_tree
from kubeimage import errors
from kubeimage.api.building import BuildOptions, plan_build
from kubeimage.errors import CommandError, Diagnostic, KubefileError, KubeimageError, Location, SourceNotFoundError
from kubeimage.kubefile import parse

TEXT = "FROM scratch\nARG A=1\nCOPY a .\nCMD x\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    write_tree(str(tmp_path / "context"), {"a": "1", "other": "1"})
    return tmp_path / "context"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(Settings(), str(tmp_path / "run"))


def job(place: Place, context: Path, text: str = TEXT, file: str = "Kubefile", **options: Any) -> Job:
    return Job(parse(text, file=file), str(context), BuildOptions(**options), place.open, place.root)


def counting(job: Job, counts: list[str]) -> Job:
    """Count what is built: only a build asks for a mounter's name."""

    def opened(job: Job = job) -> Any:
        counts.append("opened")
        return job.open()

    return replace(job, open=opened)


def test_what_a_run_gets_is_of_the_configuration_file_that_is_named_and_the_options_go_before(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[run]\nnetwork = "none"\npids = 10\nmemory = "1GiB"\n')

    workshop = Workshop(Settings(config=str(config), pids=20), str(tmp_path / "run"))

    for place in (workshop.place, workshop.new_place(), workshop.place.fresh(str(tmp_path))):
        assert isinstance(place, DirectoryPlace)
        assert (place.run.network, place.run.pids, place.run.memory) == ("none", 20, 1 << 30)


def test_base_images_are_not_fetched_whatever_is_named(tmp_path: Path) -> None:
    workshop = Workshop(Settings(insecure=("localhost:5000",)), str(tmp_path / "run"))

    with workshop.place.open() as backends:
        assert backends.fetch is None
        assert backends.known_settings().host("localhost:5000").insecure


def test_a_content_is_built_once_and_read_back_whole(workshop: Workshop, context: Path, tmp_path: Path) -> None:
    wanted = job(workshop.place, context)
    first = workshop.build(wanted)
    other_process = Workshop(Settings(), str(tmp_path / "run"))

    again = other_process.build(wanted)

    assert first.result is not None
    assert again.result is not None
    assert again == first
    assert again.result.image.config == first.result.image.config
    assert (again.result.cache_hits, again.result.why_missed(2)) == (0, first.result.why_missed(2))


def test_a_changed_content_is_built_anew(workshop: Workshop, context: Path) -> None:
    first = workshop.build(job(workshop.place, context))
    (context / "a").write_text("2")

    second = workshop.build(job(workshop.place, context))

    assert first.result is not None
    assert second.result is not None
    assert first.result.image.id != second.result.image.id


def test_a_failure_is_read_back_but_not_for_another_file(workshop: Workshop, context: Path) -> None:
    text = "FROM scratch\nCOPY nothing .\n"

    first = workshop.build(job(workshop.place, context, text))
    again = workshop.build(job(workshop.place, context, text))
    other = workshop.build(job(workshop.place, context, text, "Other"))

    for outcome, file in ((first, "Kubefile"), (again, "Kubefile"), (other, "Other")):
        assert isinstance(outcome.error, SourceNotFoundError)
        assert outcome.error.location == Location(file, 2, 1, "COPY nothing .", 14)


def test_what_keeps_a_build_from_being_planned_is_its_outcome(workshop: Workshop, context: Path) -> None:
    outcome = workshop.build(job(workshop.place, context, "FROM nowhere\n"))

    assert isinstance(outcome.error, errors.BaseImageError)


def test_an_image_that_the_store_has_lost_is_built_again(workshop: Workshop, context: Path) -> None:
    first = workshop.build(job(workshop.place, context))
    assert workshop.place.root is not None
    remove_folder(workshop.place.root)

    again = workshop.build(job(workshop.place, context))

    assert first.result is not None
    assert again.result is not None
    assert again.result.image.id == first.result.image.id


def key(text: str, context: Path, **options: Any) -> str:
    backends = memory_backends()
    plan = plan_build(parse(text), backends, options=BuildOptions(**options))
    return content_key(plan, backends.collector(str(context)))


def test_a_content_key_depends_on_all_that_the_result_does(context: Path) -> None:
    keys = {
        "plain": key(TEXT, context),
        "label": key(TEXT, context, labels={"a": "1"}),
        "argument": key(TEXT, context, build_args={"A": "2"}),
        "command": key(TEXT.replace("CMD x", "CMD y"), context),
        "place of a line": key(f"#\n{TEXT}", context),
        "no base": key(TEXT, context, keep_base=False),
        "epoch": key(TEXT, context, epoch=1),
        "missing source": key(TEXT.replace("COPY a", "COPY b"), context),
    }

    assert len(set(keys.values())) == len(keys)


def test_a_content_key_depends_on_nothing_else(context: Path, tmp_path: Path) -> None:
    write_tree(str(tmp_path / "copy"), {"a": "1", "other": "2"})

    assert key(TEXT, tmp_path / "copy") == key(TEXT, context)


ERRORS: list[KubeimageError] = [
    SourceNotFoundError("no", hint="yes", location=Location("f", 1, 2, "text", 3)),
    CommandError("it failed", status=3, output="the last line"),
    KubefileError([Diagnostic("E0201", "one"), Diagnostic("E0202", "two", Location("f", 1), "hint")]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_being_written_down(error: KubeimageError, context: Path) -> None:
    backends = memory_backends()
    plan = plan_build(parse(TEXT), backends)

    found = Outcome.from_json(
        Outcome(error=error, leaks=(Leak("x", "the file x"),), warned=(Warned("odd", 1),)).to_json(),
        plan,
        backends.images,
    )

    assert found is not None
    assert type(found.error) is type(error)
    assert found.error is not None
    assert found.error.diagnostics == error.diagnostics
    assert vars(found.error) == vars(error)
    assert (found.leaks, found.warned) == ((Leak("x", "the file x"),), (Warned("odd", 1),))


def test_the_first_to_report_is_the_same_for_all_processes(tmp_path: Path) -> None:
    one, two = Workshop(Settings(), str(tmp_path)), Workshop(Settings(), str(tmp_path))

    told = [one.first_to_report("what", "a"), two.first_to_report("what", "b"), one.first_to_report("else", "b")]

    assert told == ["a", "a", "b"]


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        (Settings(root="/somewhere"), "DirectoryPlace(root='/somewhere', mount='auto', isolation='auto')"),
        (
            Settings(root="/somewhere", backend="copy"),
            "DirectoryPlace(root='/somewhere', mount='copy', isolation='auto')",
        ),
        (Settings(root="/somewhere", backend="memory"), "GivenPlace"),
    ],
    ids=["root", "copy", "memory"],
)
def test_the_place_of_work_is_what_the_settings_say(settings: Settings, kind: str, tmp_path: Path) -> None:
    assert repr(Workshop(settings, str(tmp_path)).place).startswith(kind)


def test_a_fresh_place_is_empty_and_of_the_same_sort(tmp_path: Path) -> None:
    place = DirectoryPlace(str(tmp_path / "one"), "copy").fresh(str(tmp_path))

    assert place == DirectoryPlace(str(tmp_path / "store"), "copy")


def test_a_workshop_removes_what_is_read_only_too(tmp_path: Path, workshop: Workshop) -> None:
    write_tree(workshop.new_folder(), {"closed/deep/file": "", "closed": Folder(0o555), "closed/deep": Folder(0o000)})

    workshop.close()

    assert not (tmp_path / "run").exists()


def test_scratch_goes_even_after_an_error(workshop: Workshop) -> None:
    made: list[str] = []

    def work(fail: Callable[[], object]) -> None:
        with workshop.scratch() as folder:
            made.append(folder)
            fail()

    with pytest.raises(ZeroDivisionError):
        work(lambda: divmod(1, 0))

    assert not Path(made[0]).exists()


@pytest.mark.parametrize(("root", "durable"), [(None, False), ("kept", True)])
def test_only_a_store_that_stays_waits_for_the_disk(tmp_path: Path, root: str | None, durable: bool) -> None:
    place = Workshop(Settings(root=root), str(tmp_path)).place

    assert isinstance(place, DirectoryPlace)
    assert place.durable is durable
