"""Which runner a name stands for, and what is chosen where less is possible."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.errors import SandboxError, UsageError
from kubeimage.protocols.running import Command, CommandResult, Mount
from kubeimage.run import landlock
from kubeimage.run.choose import ISOLATIONS, SANDBOXED, choose_runner, mount_for
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.settings import RunSettings
from tests.kubeimage.run.conftest import FolderMount


def refuse(self: SandboxRunner, _command: Command, _mount: Mount, _output: Callable[[bytes], None]) -> CommandResult:
    self.is_impossible = True
    raise SandboxError("no sandbox can be made here: REASON", hint="WAY OUT")


@pytest.mark.parametrize(
    ("name", "chosen", "warned"),
    [("auto", "sandbox", 0), ("sandbox", "sandbox", 0), ("landlock", "landlock", 1), ("none", "none", 1)],
)
def test_less_than_a_sandbox_is_warned_of(name: str, chosen: str, warned: int) -> None:
    said: list[str] = []

    runner = choose_runner(name, said.append)

    assert (runner.name, len(said)) == (chosen, warned)


def test_another_name_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(UsageError, match="'jail'") as caught:
        choose_runner("jail")

    assert caught.value.hint == "choose one of auto, sandbox, landlock, none"


def test_auto_says_once_that_it_chose_the_sandbox(folder: FolderMount) -> None:
    said: list[str] = []
    runner = choose_runner("auto", said.append)

    for script in ("echo 1", "true", "exit 3"):
        runner.run(Command(script), folder, lambda _data: None)

    assert (runner.name, said) == ("sandbox", [SANDBOXED])


@pytest.mark.skipif(landlock.why_not() is not None, reason=f"no Landlock to try: {landlock.why_not()}")
def test_where_no_sandbox_can_be_made_auto_takes_landlock_and_says_why_once(
    folder: FolderMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SandboxRunner, "run", refuse)
    said: list[str] = []
    runner = choose_runner("auto", said.append)

    results = [runner.run(Command("exit 3"), folder, lambda _data: None) for _ in range(2)]

    assert [result.status for result in results] == [3, 3]
    assert runner.name == "landlock"
    assert len(said) == 1
    for part in ("--isolation=landlock", "copy", "no fixed path", "$TMPDIR for /tmp", "processes", "REASON"):
        assert part in said[0]


@pytest.mark.parametrize("abi", [0, 2])
def test_where_neither_is_possible_the_error_has_both_reasons(
    abi: int, folder: FolderMount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SandboxRunner, "run", refuse)
    monkeypatch.setattr(landlock, "landlock_abi", lambda: abi)

    with pytest.raises(SandboxError, match=r"REASON; and .*Landlock") as caught:
        choose_runner("auto").run(Command("true"), folder, lambda _data: None)

    assert caught.value.hint == "WAY OUT"


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("mount", ["auto", "overlay", "copy"])
def test_landlock_works_on_a_copy(isolation: str, mount: str) -> None:
    if (isolation, mount) == ("landlock", "overlay"):
        with pytest.raises(UsageError, match=r"--mount=overlay"):
            mount_for(isolation, mount)
    else:
        assert mount_for(isolation, mount) == ("copy" if isolation == "landlock" else mount)


@pytest.mark.parametrize("path", ["tools", "/", "//", "/usr/..", "/kubeimage-is-not-here"])
def test_a_place_that_cannot_be_shown_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="--run-path"):
        choose_runner("auto", settings=RunSettings(paths=(path,)))


@pytest.mark.parametrize("name", ["auto", "sandbox"])
def test_a_place_that_was_named_is_shown_and_cannot_be_changed(name: str, folder: FolderMount, tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/t").write_text("tool\n")
    tools = f"{tmp_path}/tools"
    runner = choose_runner(name, settings=RunSettings(paths=(f"{tools}/.",)))

    seen = runner.run(Command(f"grep tool {tools}/t && ! touch {tools}/t"), folder, lambda _data: None)
    unseen = choose_runner(name).run(Command(f"test -e {tools}"), folder, lambda _data: None)

    assert (seen.status, unseen.status) == (0, 1)
