import json
import os
from pathlib import Path

import pytest
import yaml

from kubeimage.image.compatibility import COMPATIBILITY
from tests.kubeimage.cli.conftest import MakeContext, Run

RULES = {"dialect": "sealer", "compatibility": COMPATIBILITY}
FULL_NAME = "registry.cn-qingdao.aliyuncs.com/sealer-io/app:v1"


@pytest.fixture
def image_id(run: Run, make_context: MakeContext) -> str:
    """An image app:v1 with two layers, and its id."""
    files = {"Kubefile": "FROM scratch\nCOPY a etc\nCMD run a\nCOPY größe .\n", "a": "one", "größe": "x" * 2000}
    return str(run("build", "-q", "-t", "app:v1", make_context(files, "app")).stdout).strip()


def test_images_lists_names_ids_platforms_sizes_and_times(image_id: str, run: Run) -> None:
    (found,) = json.loads(run("images", "--format=json").stdout)

    assert run("images").stdout == (
        "NAME    IMAGE ID      PLATFORM     SIZE    CREATED  USED\n"
        f"app:v1  {image_id[7:19]}  {found['platform']}  7.2 kB  -        {found['used']}\n"
    )


def test_images_in_json_have_everything_in_full(image_id: str, run: Run) -> None:
    (image,) = json.loads(run("images", "--format=json").stdout)

    assert {**image, "platform": "", "manifest": "", "used": "", "stored": 0} == {
        "name": "app:v1",
        "reference": FULL_NAME,
        "platform": "",
        "image_id": image_id,
        "manifest": "",
        "size": 7168,
        "stored": 0,
        "created": None,
        "used": "",
    }
    assert image["stored"] > image["size"]


@pytest.fixture
def three(run: Run, make_context: MakeContext, root: Path) -> dict[str, str]:
    """Three images: small:v1, large:v1 of 2001, and one without a name; their ids."""
    files = {"K1": "FROM scratch\nCOPY a .\n", "K2": "FROM scratch\nCOPY b .\n", "a": "1", "b": "2" * 9000, "c": "3"}
    context = make_context({**files, "K3": "FROM scratch\nCOPY c .\n"}, "three")
    label = ["--label", "team=a"]
    build = ["build", "-q", context]
    small = run(*build, "-f", context / "K1", "-t", "small:v1", *label).stdout.strip()
    large = run(*build, "-f", context / "K2", "-t", "large:v1", env={"SOURCE_DATE_EPOCH": "1000000000"}).stdout.strip()
    nameless = run(*build, "-f", context / "K3", "-t", "other:v1").stdout.strip()
    run(*build, "-f", context / "K2", "-t", "other:v1", env={"SOURCE_DATE_EPOCH": "1000000000"})
    return {"small": small, "large": large, "nameless": nameless}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ["large:v1", "other:v1", "small:v1"]),
        (["--filter", "name=large*"], ["large:v1"]),
        (["--filter", "name=small"], ["small:v1"]),
        (["--filter", "label=team"], ["small:v1"]),
        (["--filter", "label=team=b"], []),
        (["--filter", "dangling=true"], []),
        (["--filter", "type=application"], []),
        (["--filter", "type=cluster", "--filter", "name=*:v1", "--filter", "label=team=a"], ["small:v1"]),
        (["--filter", "platform=linux/riscv64"], []),
        (["--sort", "size"], ["large:v1", "other:v1", "small:v1"]),
        (["--sort", "created"], ["large:v1", "other:v1", "small:v1"]),
    ],
)
def test_images_are_chosen_and_sorted(options: list[str], names: list[str], three: dict[str, str], run: Run) -> None:
    found = json.loads(run("images", "--format", "json", *options).stdout)

    assert [one["name"] for one in found if one["name"]] == names


def test_ids_alone_are_listed_once(three: dict[str, str], run: Run) -> None:
    assert run("images", "-q", "--sort", "size", "--filter", "dangling=false").stdout.split() == [
        three["large"], three["small"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--filter", "name"], "not a filter: 'name'\nhint: write it as name=GLOB"),
        (["--filter", "colour=red"], "no filter is called 'colour'"),
        (["--filter", "dangling=maybe"], "dangling is true or false"),
        (["--filter", "type=x"], "type is application or cluster"),
    ],
)
def test_a_filter_that_there_is_not_is_told(options: list[str], message: str, run: Run) -> None:
    assert message in run("images", *options, status=2).stderr


def test_what_is_used_is_the_latest_used(three: dict[str, str], run: Run, root: Path, tmp_path: Path) -> None:
    uses = root / "cache/uses"
    for path in uses.iterdir() if uses.exists() else ():
        path.unlink()
    for path in (root / "blobs/sha256").iterdir():
        os.utime(path, (0, 0))

    run("export", "small:v1", "-o", tmp_path / "out")
    (mark,) = uses.iterdir()
    os.utime(mark, (4e9, 4e9))

    first = json.loads(run("images", "--format", "json", "--sort", "used").stdout)[0]
    assert (first["name"], first["used"]) == ("small:v1", "2096-10-02T07:06:40Z")
    run("images")
    run("inspect", "large:v1")
    assert len(list(uses.iterdir())) == 1


@pytest.mark.parametrize(
    "command", [["images"], ["fsck"], ["prune"], ["inspect", "x"], ["rmi", "x"], ["tag", "x", "y"]]
)
def test_looking_makes_no_store(command: list[str], run: Run, root: Path) -> None:
    run(*command, status=0 if len(command) == 1 else 1)

    assert not root.exists()


def test_inspect_prints_one_document_in_both_forms(image_id: str, run: Run) -> None:
    document = json.loads(run("inspect", "app:v1", "--format", "json").stdout)
    text = run("inspect", "app:v1").stdout

    assert yaml.safe_load(text) == document
    assert document["kind"] == "Image"
    assert document["metadata"]["name"] == FULL_NAME
    assert document["spec"]["id"] == image_id.removeprefix("sha256:")
    assert [(layer["type"], layer["value"]) for layer in document["spec"]["layers"]] == [
        ("COPY", "a etc"),
        ("COPY", "größe ."),
    ]
    assert "sea.aliyun.com/ClusterFile: |\n" in text
    assert "größe" in text


def test_an_image_can_be_named_by_the_start_of_its_id(image_id: str, run: Run) -> None:
    for name in (image_id, image_id[7:], image_id[7:19], image_id[7:13]):
        document = json.loads(run("inspect", name, "--format", "json").stdout)

        assert document["spec"]["id"] == image_id[7:]
        assert "name" not in document["metadata"]


def test_a_missing_image_is_an_error_with_near_names(image_id: str, run: Run) -> None:
    for command in (["inspect"], ["history"], ["rmi"], ["export", "-o", "/nowhere/x"]):
        assert run(*command, "ap:v1", status=1).stderr == (
            "error[E0501]: no image ap:v1 in the store\nhint: did you mean app:v1?\n"
        )
    assert run("inspect", "app:v1", "--platform", "plan9/mips", status=1).stderr.startswith("error[E0501]: ")


def test_history_lists_instructions_with_their_layers(image_id: str, run: Run) -> None:
    layers = [layer["id"] for layer in json.loads(run("inspect", "app:v1", "--format=json").stdout)["spec"]["layers"]]

    assert json.loads(run("history", "app:v1", "--format=json").stdout) == [
        {"created_by": "COPY a etc", **RULES, "layer": layers[0], "size": 2560},
        {"created_by": "CMD run a", **RULES, "layer": None, "size": None},
        {"created_by": "COPY größe .", **RULES, "layer": layers[1], "size": 4608},
    ]
    assert run("history", "app:v1").stdout == (
        "STEP  LAYER         SIZE    CREATED BY\n"
        f"1     {layers[0][7:19]}  2.6 kB  COPY a etc\n"
        "2                           CMD run a\n"
        f"3     {layers[1][7:19]}  4.6 kB  COPY größe .\n"
    )


def test_a_tag_is_another_name_for_the_same_image(image_id: str, run: Run) -> None:
    run("tag", "app:v1", "example.com/team/app:v2")
    run("tag", image_id[7:19], "by-id:v1")

    images = json.loads(run("images", "--format=json").stdout)

    assert {image["name"]: image["image_id"] for image in images} == dict.fromkeys(
        ("app:v1", "by-id:v1", "example.com/team/app:v2"), image_id
    )


@pytest.mark.parametrize("target", ["Upper:v1", "a@sha256:" + "0" * 64, ""])
def test_what_is_no_name_cannot_be_given(target: str, image_id: str, run: Run) -> None:
    assert run("tag", "app:v1", target, status=2).stderr.startswith("error[E0103]: ")


def test_a_name_goes_first_and_the_image_with_its_last_name(image_id: str, run: Run) -> None:
    run("tag", "app:v1", "other:v1")
    run("prune")

    first = run("rmi", "app:v1").stdout
    second = run("rmi", image_id[7:19]).stdout

    assert first == "untagged app:v1\n"
    assert second.startswith("untagged other:v1\nfreed 4 blobs, ")
    assert run("images", "--format=json").stdout == "[]\n"


def test_if_one_name_is_not_there_none_is_taken(image_id: str, run: Run) -> None:
    result = run("rmi", "app:v1", "nope:v1", status=1)

    assert (result.stdout, result.stderr.splitlines()[0]) == ("", "error[E0501]: no image nope:v1 in the store")
    assert run("inspect", "app:v1").stdout


def test_an_id_with_several_names_is_not_enough_for_rmi(image_id: str, run: Run) -> None:
    run("tag", "app:v1", "other:v1")

    assert run("rmi", image_id[7:19], status=2).stderr == (
        f"error[E0101]: the image {image_id[7:19]} has several names: app:v1, other:v1\n"
        "hint: say which of them to take away\n"
    )


def test_export_writes_the_root_filesystem(image_id: str, run: Run, tmp_path: Path) -> None:
    run("export", "app:v1", "-o", tmp_path / "out")

    assert (tmp_path / "out/etc/a").read_text() == "one"
    assert (tmp_path / "out/größe").read_text() == "x" * 2000
    assert sorted(os.listdir(tmp_path)) == ["app", "out", "store"]


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("app", "error[E0101]: the folder '{}' is not empty: it holds "),
        ("app/a", "error[E0101]: '{}' is not a folder\n"),
        ("no/where", "error[E0101]: there is no folder "),
    ],
)
def test_export_needs_a_new_or_an_empty_folder(
    output: str, message: str, image_id: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / output

    assert run("export", "app:v1", "-o", path, status=2).stderr.startswith(message.format(path))
    assert sorted(os.listdir(tmp_path / "app")) == ["Kubefile", "a", "größe"]
