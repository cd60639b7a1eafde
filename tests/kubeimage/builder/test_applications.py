"""The dialect sealer-0.9: what applications are, and what runners find."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from harness.fakes.context import MemoryContext
from kubeimage.builder.applications import describe, launch_command
from kubeimage.errors import KubefileError
from kubeimage.image.config import Image
from kubeimage.image.extension import EXTENSION_ANNOTATION, Application
from kubeimage.protocols.context import CopyRequest
from tests.kubeimage.builder.conftest import World

HEAD = "# syntax=sealer-0.9\nFROM scratch\n"
FILES: Mapping[str, Any] = {
    "app.yaml": b"1",
    "B.YML": b"2",
    "i.sh": b"3",
    "j.sh": b"4",
    "x.tgz": b"5",
    "dir/a.yaml": b"6",
    "dir/sub/b.yml": b"7",
    "chart/Chart.yaml": b"8",
    "chart/values.yaml": b"9",
    "chart/templates/a.yaml": b"0",
    "bare/Chart.yaml": b"8",
    "bare/templates/a.yaml": b"0",
}


@pytest.mark.parametrize(
    ("sources", "kind", "files"),
    [
        (("app.yaml",), "kube", ("app.yaml",)),
        (("app.yaml", "B.YML"), "kube", ("app.yaml", "B.YML")),
        (("dir",), "kube", ("/a.yaml", "/sub/b.yml")),
        (("dir/", "app.yaml"), "kube", ("/a.yaml", "/sub/b.yml", "app.yaml")),
        (("i.sh", "j.sh"), "shell", ("i.sh",)),
        (("chart",), "helm", ("web",)),
        (("bare",), "helm", ("web",)),
        (("app.yaml", "chart"), "helm", ("web",)),
        (("x.tgz",), "", ()),
        (("i.sh", "app.yaml"), "", ()),
    ],
)
def test_the_files_say_what_an_application_is(sources: tuple[str, ...], kind: str, files: tuple[str, ...]) -> None:
    request = CopyRequest(sources, "application/apps/web", by_docker=True, into=True)

    assert describe("web", request, MemoryContext(FILES)) == Application("web", kind, files)


@pytest.mark.parametrize(
    ("application", "command"),
    [
        (Application("w", "helm", ("w",)), "helm install w application/apps/w/"),
        (Application("w", "shell", ("i.sh",)), "bash application/apps/w/i.sh"),
        (
            Application("w", "kube", ("a.yaml", "/b/c.yml")),
            "kubectl apply -f application/apps/w/a.yaml && kubectl apply -f application/apps/w/b/c.yml",
        ),
        (Application("w", "kube", ("a",), commands=("sh", "x.sh", "-r")), "cd application/apps/w/ && sh x.sh -r"),
    ],
)
def test_an_application_is_launched_as_its_kind_wants(application: Application, command: str) -> None:
    assert launch_command(application) == command


def extension(image: Image) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(image.manifest_annotations[EXTENSION_ANNOTATION])
    return found


def test_app_and_launch(world: World) -> None:
    image = world.build(f"{HEAD}COPY B.YML manifests/\nAPP myapp local://app.yaml\nLAUNCH myapp\n", FILES).image

    assert {"manifests/B.YML", "application/apps/myapp/app.yaml"} <= set(world.tree(image))
    assert extension(image)["applications"] == [
        {"name": "myapp", "type": "kube", "files": ["app.yaml"], "version": "v1"}
    ]
    assert extension(image)["launch"] == {"app_names": ["myapp"]}
    assert image.runtime.cmd == ("kubectl apply -f application/apps/myapp/app.yaml",)


def test_a_later_application_of_a_name_replaces_the_earlier_one_and_what_was_said_of_it(world: World) -> None:
    text = f'{HEAD}APP m local://i.sh\nAPPENV m A=1\nAPPCMDS m ["x"]\nAPP m local://app.yaml\nAPPENV m B=2\n'

    (found,) = extension(world.build(text, FILES).image)["applications"]

    assert found == {"name": "m", "type": "kube", "files": ["app.yaml"], "version": "v1", "env": {"B": "2"}}


def test_labels_and_commands(world: World) -> None:
    text = f'{HEAD}ENV k=v\nCNI calico local://i.sh\nKUBEVERSION >=v1.22\nCMD first  one\nCMDS ["a","b c"]\n'

    image = world.build(text, FILES).image

    assert image.labels == {
        "cluster.alpha.sealer.io/kube-cni-calico": "true",
        "app.alpha.sealer.io/supported-kube-version": ">=v1.22",
    }
    assert extension(image)["launch"] == {"cmds": ["first  one", "a", "b c"]}
    assert extension(image)["env"] == {"k": "v"}


def test_arch_stands_in_sources_alone(world: World) -> None:
    image = world.build(f"{HEAD}COPY bin_${{ARCH}} x$ARCH\n", {"bin_amd64/a": b"1"}).image

    assert set(world.tree(image)) == {"x", "x/a"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("APP m local://i.sh local://app.yaml\n", "neither a chart"),
        ('APPCMDS nobody ["x"]\n', "no application is called 'nobody'"),
        ("APPENV nobody A=1\n", "no application is called"),
        ("APP m local://app.yaml\nLAUNCH n\n", "known are m"),
    ],
)
def test_what_could_not_be_launched_is_an_error(world: World, text: str, message: str) -> None:
    with pytest.raises(KubefileError, match=message):
        world.build(HEAD + text, FILES)


def test_an_application_is_built_from_the_cache(world: World) -> None:
    text = f"{HEAD}APP m local://dir\nLAUNCH m\n"
    first, again = world.build(text, FILES), world.build(text, FILES)

    assert (again.cache_hits, again.image.id) == (1, first.image.id)
    assert again.image.manifest_annotations == first.image.manifest_annotations
