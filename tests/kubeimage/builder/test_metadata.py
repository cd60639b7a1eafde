"""What each runner of the family finds in an image of sealer's dialect."""

import json

from kubeimage.image.config import Image
from kubeimage.image.extension import EXTENSION_ANNOTATION
from kubeimage.image.reference import Reference
from tests.kubeimage.builder.conftest import World

BASE = "FROM scratch\nARG A=1,B=2\nCMD init\n"


def runtime(image: Image) -> dict[str, object]:
    """Return OCI's config as another tool reads it."""
    found: dict[str, object] = json.loads(image.config)["config"]
    return found


def test_the_config_has_the_merged_commands_and_the_arguments_in_order(world: World) -> None:
    world.build(BASE, name="base:v1")

    image = world.build("FROM base:v1\nARG C=3\nARG B=x y\nCMD init\nCMD run\n".replace("x y", '"x y"')).image

    assert runtime(image) == {"Cmd": ["init", "run"], "Env": ["A=1", "B=x y", "C=3"]}


def test_labels_of_the_base_and_of_the_build_are_in_the_config(world: World) -> None:
    world.build(BASE, name="base:v1", labels={"a": "1"})

    image = world.build("FROM base:v1\n", labels={"b": "2"}).image

    assert runtime(image)["Labels"] == {"a": "1", "b": "2"}


def test_the_annotation_says_what_sealer_would_run(world: World) -> None:
    world.build(BASE, name="base:v1")

    image = world.build("FROM base:v1\nCMD run\n").image

    extension = json.loads(image.manifest_annotations[EXTENSION_ANNOTATION])
    assert extension["type"] == "kube-installer"
    assert extension["env"] == {"A": "1", "B": "2"}
    assert extension["launch"] == {"cmds": ["init", "run"]}


def test_without_its_base_an_image_is_an_application_of_its_own_commands(world: World) -> None:
    world.build(BASE, name="base:v1")

    image = world.build("FROM base:v1\nARG C=3\nCMD run\n", keep_base=False).image

    assert runtime(image) == {"Cmd": ["run"], "Env": ["C=3"]}
    assert json.loads(image.manifest_annotations[EXTENSION_ANNOTATION])["type"] == "app-installer"


def test_of_a_base_that_another_tool_made_all_is_inherited_and_its_commands_are_merged(world: World) -> None:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "author": "labring",
        "config": {
            "Entrypoint": ["/bin/sh", "-c", "init"],
            "Cmd": ["run"],
            "Env": ["PATH=/bin", "A=1"],
            "User": "65532:65532",
            "WorkingDir": "/w",
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}},
            "Labels": {"sealos.io.type": "application"},
        },
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    }
    foreign = Image.from_config(json.dumps(config).encode(), ())
    world.images.put(foreign, (Reference.parse("foreign:v1"),))

    image = world.build("FROM foreign:v1\nARG A=2\nCMD after\n").image

    assert runtime(image) == {
        "Cmd": ["init", "run", "after"],
        "Env": ["PATH=/bin", "A=2"],
        "User": "65532:65532",
        "WorkingDir": "/w",
        "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/data": {}},
        "Labels": {"sealos.io.type": "application"},
    }
    assert image.author == "labring"
