"""What the options of a build change, and what they leave alone."""

import json
from pathlib import Path

from tests.e2e.program import Program, snapshot, tree, write


def test_no_base_keeps_the_new_layers_alone(based: Program, projects: Path) -> None:
    based.build("dashboard:thin", projects / "dashboard", "--no-base")

    whole, thin = based.inspect("dashboard:v1")["spec"], based.inspect("dashboard:thin")["spec"]

    assert thin["layers"] == whole["layers"][1:]
    assert thin["image_config"]["image_type"] == "application"
    assert whole["image_config"]["image_type"] == ""
    assert (thin["image_config"]["cmd"]["parent"], thin["image_config"]["args"]["parent"]) == ([], {})
    assert thin["image_config"]["cmd"]["current"] == whole["image_config"]["cmd"]["current"]


def test_labels_are_inherited_and_overlaid(kubeimage: Program, projects: Path) -> None:
    kubeimage.build("rootfs:v1", projects / "rootfs", "--label", "team=base", "--label", "tier=a=b")
    kubeimage.build("dashboard:v1", projects / "dashboard", "--label", "team=web")

    document = kubeimage.inspect("dashboard:v1")

    assert document["spec"]["image_config"]["labels"] == {"team": "web", "tier": "a=b"}
    assert document["config"]["Labels"] == {"team": "web", "tier": "a=b"}


def test_a_label_makes_another_image_of_the_same_layers(kubeimage: Program, projects: Path) -> None:
    plain = kubeimage.build("rootfs:v1", projects / "rootfs")
    labelled = kubeimage.build("rootfs:v2", projects / "rootfs", "--label", "team=base")

    assert plain != labelled
    assert kubeimage.inspect("rootfs:v1")["spec"]["layers"] == kubeimage.inspect("rootfs:v2")["spec"]["layers"]


def test_one_context_gives_an_image_for_each_platform(kubeimage: Program, projects: Path) -> None:
    for architecture in ("amd64", "arm64"):
        name = f"tool:{architecture}"
        kubeimage.build(name, projects / "multiarch", "--platform", f"linux/{architecture}")

        document = kubeimage.inspect(name)
        content = tree(kubeimage.export(name))["bin/tool"][2]
        assert document["spec"]["platform"]["architecture"] == document["architecture"] == architecture
        assert content == (projects / "multiarch" / architecture / "tool").read_bytes()


def test_a_build_argument_takes_the_place_of_a_default(kubeimage: Program, projects: Path) -> None:
    kubeimage.build("tool:edge", projects / "multiarch", "--build-arg", "CHANNEL=edge")

    document = kubeimage.inspect("tool:edge")
    assert document["spec"]["image_config"]["args"]["current"] == {"CHANNEL": "edge"}
    assert "etc/edge.yaml" in tree(kubeimage.export("tool:edge"))


def test_values_with_commas_and_the_environment_s_values_arrive_whole(kubeimage: Program) -> None:
    context = write(
        kubeimage.folder / "context", {"Kubefile": "FROM scratch\nARG A=x\nARG B\nCOPY Kubefile etc\nCMD $A $B\n"}
    )
    program = Program(kubeimage.root, kubeimage.folder, {"B": "from outside"})

    program.build("args:v1", context, "--build-arg", "A=1,2=3 4", "--build-arg", "B")

    found = program.inspect("args:v1")["spec"]["image_config"]["args"]["current"]
    assert found == {"A": "1,2=3 4", "B": "from outside"}


def test_an_edit_misses_from_the_first_instruction_that_reads_it(kubeimage: Program) -> None:
    context = write(
        kubeimage.folder / "context",
        {
            "Kubefile": "FROM scratch\nCOPY a etc\nCOPY b etc\nCOPY c etc\n",
            **{name: name for name in ("a", "b", "c", "unrelated")},
        },
    )
    kubeimage.build("edit:v1", context)
    write(context, {"b": "edited", "unrelated": "edited"})

    ended = kubeimage.run("build", "-t", "edit:v1", "--progress=json", context)

    assert [event["cached"] for event in ended.events if event["event"] == "step_finished"] == [True, False, False]


def test_a_plan_says_why_a_step_misses_and_changes_nothing(based: Program, projects: Path) -> None:
    based.build("metrics:v1", projects / "templated")

    before = snapshot(based.root)

    ended = based.run("plan", "--format=json", "--build-arg", "VERSION=3.0", projects / "templated")

    steps = json.loads(ended.stdout)
    assert [step["outcome"] for step in steps] == ["note", "note", "hit", "run", "run", "run", "note", "note"]
    assert steps[3]["why_missed"] == "arg VERSION: 2.4.0 -> 3.0"
    assert snapshot(based.root) == before


def test_an_image_is_found_by_its_id_and_goes_with_its_last_name(kubeimage: Program, projects: Path) -> None:
    image_id = kubeimage.build("tool:v1", projects / "multiarch")
    kubeimage.run("tag", "tool:v1", "example.com/team/tool:v1")
    kubeimage.run("rmi", "tool:v1")

    by_id = kubeimage.inspect(image_id.removeprefix("sha256:")[:12])
    assert by_id["spec"]["id"] == kubeimage.inspect("example.com/team/tool:v1")["spec"]["id"]
    assert "no image tool:v1" in kubeimage.run("inspect", "tool:v1", status=1).stderr

    kubeimage.run("rmi", "example.com/team/tool:v1")
    assert json.loads(kubeimage.run("images", "--format=json").stdout) == []
