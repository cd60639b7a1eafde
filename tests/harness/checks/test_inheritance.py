from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cases.case import Case
from harness.checks.failed import CheckFailedError
from harness.checks.inheritance import check_cmd_args_merge
from kubeimage.image.config import Image
from kubeimage.image.document import Arguments, Commands
from kubeimage.image.extension import Extension, extension_annotations
from tests.harness.checks.conftest import Cases

TEXT = "FROM base:1\nARG A=1,B=${A}2\nARG C\nCMD x\nCMD own\nCMD own\n"
BASE = "FROM scratch\nARG A=0,E=5\nCMD x\nCMD y\nCMD x\n"


@pytest.fixture
def case(make_case: Cases, tmp_path: Path) -> Case:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/Kubefile").write_text(BASE)
    return make_case(TEXT, bases=(("base:1", str(tmp_path / "base")),), build_args=("A=7",))


def test_what_the_builder_merges_is_what_the_design_says(case: Case) -> None:
    check_cmd_args_merge(case)

    assert case.image.image.cmd == Commands(("x", "y", "x"), ("x", "own", "own"))
    assert case.image.args == {"A": "7", "B": "72", "E": "5"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cmd": Commands(("x", "y"), ("x", "own", "own"))}, "the image's cmd are not"),
        ({"cmd": Commands(("x", "y", "x"), ("own", "x", "own"))}, "the image's cmd are not"),
        ({"args": Arguments({"A": "0", "E": "5"}, {"A": "1", "B": "12"})}, "the image's args are not"),
        ({"args": Arguments({"A": "0", "E": "5"}, {"A": "7", "B": "72", "C": ""})}, "the image's args are not"),
        ({"labels": {"more": "1"}}, "the image's labels are not"),
    ],
    ids=["lost repeat", "order", "ignored build argument", "unset argument", "label"],
)
def test_an_image_that_merges_otherwise_is_caught(case: Case, change: dict[str, Any], message: str) -> None:
    image: Image = replace(case.image.image, **change)
    if "cmd" in change:
        # All that the runners read is changed alike: only the Kubefile tells that it is wrong.
        extension = Extension(commands=image.cmd.merged)
        image = replace(
            image,
            runtime=replace(image.runtime, cmd=image.cmd.merged),
            manifest_annotations=extension_annotations(extension, []),
        )
    altered: Any = SimpleNamespace(
        plan=case.plan, kubefile=case.kubefile, options=case.options, result=SimpleNamespace(image=image)
    )

    with pytest.raises(CheckFailedError, match=message) as raised:
        check_cmd_args_merge(altered)

    assert [line.split(":")[0].strip() for line in raised.value.details] == ["expected", "found"]


def test_runners_that_would_run_other_commands_are_told_apart(case: Case) -> None:
    image: Image = replace(case.image.image, runtime=replace(case.image.image.runtime, cmd=("other",)))
    altered: Any = SimpleNamespace(
        plan=case.plan, kubefile=case.kubefile, options=case.options, result=SimpleNamespace(image=image)
    )

    with pytest.raises(CheckFailedError, match="would not run the same") as raised:
        check_cmd_args_merge(altered)

    assert [line.split(":")[0].strip() for line in raised.value.details] == ["sealer v0.8", "sealos", "sealer 0.9"]


@pytest.mark.parametrize(
    "text",
    [
        '# syntax=sealos\nFROM base:1\nENV A=1\nCMD ["a", "b c"]\n',
        "# syntax=sealos\nFROM base:1\nCMD a  b\nCMD c\n",
        '# syntax=sealos\nFROM base:1\nENTRYPOINT ["e"]\n',
        "# syntax=sealos\nFROM base:1\n",
        '# syntax=sealer-0.9\nFROM base:1\nCMD one\nCMDS ["two"]\n',
    ],
)
def test_commands_after_docker_s_rules_take_the_place_of_the_base_s(
    make_case: Cases, tmp_path: Path, text: str
) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base/Kubefile").write_text(BASE)
    case = make_case(text, bases=(("base:1", str(tmp_path / "base")),))

    check_cmd_args_merge(case)

    altered: Any = SimpleNamespace(
        plan=case.plan,
        kubefile=case.kubefile,
        options=case.options,
        result=SimpleNamespace(image=replace(case.image.image, cmd=Commands((), ("z",)), manifest_annotations={})),
    )
    with pytest.raises(CheckFailedError):
        check_cmd_args_merge(altered)
