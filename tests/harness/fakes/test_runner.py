"""A runner that does what the test says, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cases.building import KubeBuild
from harness.fakes.memory_tree import MemoryTree
from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import FakeRunner
from kubeimage.errors import CommandError, SandboxError
from kubeimage.mount.copymounter import CopyMounter
from kubeimage.protocols.running import Command, CommandResult
from kubeimage.store import Store


@pytest.fixture
def run(fake_runner: FakeRunner, fake_mounts: MemoryMounter) -> Callable[..., Any]:
    def run(script: str, **environment: str) -> CommandResult:
        with fake_mounts.mount([]) as mount:
            return fake_runner.run(Command(script, environment), mount, lambda _data: None)

    return run


@pytest.mark.parametrize(
    "match",
    ["make install", re.compile("^make"), re.compile("inst"), lambda command: command.environment == {"V": "1"}],
    ids=["text", "start", "middle", "function"],
)
def test_a_rule_fits_by_text_pattern_or_function(
    run: Callable[..., Any], fake_runner: FakeRunner, match: Callable[..., Any] | re.Pattern[str] | str
) -> None:
    fake_runner.on(match, output="done\n")

    assert run("make install", V="1") == CommandResult(0, "done")


@pytest.mark.parametrize("script", ["make instal", "make install ", "MAKE install", ""])
def test_a_command_that_nobody_told_of_fails_and_says_how_to(
    run: Callable[..., Any], fake_runner: FakeRunner, script: str
) -> None:
    fake_runner.on("make install")

    with pytest.raises(SandboxError, match=f"nobody said what RUN {script!r} does") as caught:
        run(script)

    assert "fake_runner.on(" in (caught.value.hint or "")


def test_the_latest_rule_holds_for_as_often_as_it_says(run: Callable[..., Any], fake_runner: FakeRunner) -> None:
    fake_runner.on(re.compile(""), output="whatever")
    fake_runner.on("curl", status=7, times=2)

    assert [run("curl").status for _ in range(3)] == [7, 7, 0]
    assert run("other").tail == "whatever"


def test_rules_that_were_of_no_use_are_known(run: Callable[..., Any], fake_runner: FakeRunner) -> None:
    for script in ("one", "two", "three"):
        fake_runner.on(script)

    run("two")

    assert fake_runner.unused == ["one", "three"]


def test_every_command_is_noted_with_its_environment(run: Callable[..., Any], fake_runner: FakeRunner) -> None:
    fake_runner.on("make")

    run("make", V="1")
    with pytest.raises(SandboxError):
        run("other")

    assert fake_runner.commands == [Command("make", {"V": "1"}), Command("other", {})]


def test_a_failed_command_fails_the_build_with_its_output(kube_build: KubeBuild, fake_runner: FakeRunner) -> None:
    fake_runner.on("make", status=2, output="make: no rule\n")

    with pytest.raises(CommandError, match="2") as caught:
        kube_build("FROM scratch\nRUN make", backend="memory", runner=fake_runner)

    assert "make: no rule" in str(vars(caught.value))


def test_a_command_can_take_too_long(run: Callable[..., Any], fake_runner: FakeRunner) -> None:
    fake_runner.on("make", timed_out=True, status=-9)

    assert run("make") == CommandResult(-9, "", timed_out=True)


def test_an_effect_is_in_the_image_and_the_build_is_reproducible(
    kube_build: KubeBuild, fake_runner: FakeRunner
) -> None:
    def effect(tree: MemoryTree) -> None:
        tree.mkdir("usr/bin", parents=True)
        tree.write("usr/bin/tool", "#!/bin/sh\n", 0o755)
        tree.symlink("usr/bin", "bin")
        tree.remove("a")

    fake_runner.on("make", effect)

    images = [kube_build("FROM scratch\nCOPY a .\nRUN make", {"a": "1"}, runner=fake_runner) for _ in range(2)]

    assert images[0].id == images[1].id
    assert [(one.path, one.opaque) for one in images[0].whiteouts] == [("a", False)]
    assert images[0].rootfs["usr/bin/tool"].mode == 0o755


def test_a_mount_on_disk_has_no_tree_to_change(fake_runner: FakeRunner, tmp_path: Path) -> None:
    fake_runner.on("make", lambda tree: tree.write("a", "1"))

    with Store.open(str(tmp_path / "store")) as store, CopyMounter(store.snapshots).mount([]) as mount:  # noqa: SIM117
        with pytest.raises(SandboxError, match="needs a mount in memory"):
            fake_runner.run(Command("make"), mount, lambda _data: None)
