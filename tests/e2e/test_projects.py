"""Every example project builds, into the image that its authors would expect."""

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from kubeimage.image.compatibility import COMPATIBILITY
from tests.e2e.program import Program, tree

CLUSTERFILE = "sea.aliyun.com/ClusterFile"
# Ids of the projects' images for linux/amd64: the same on every machine, on every day, as every user. If one changes
# though its project did not, the image of everybody changes: raise COMPATIBILITY, and say so in the changelog.
GOLDEN = json.loads((Path(__file__).parent / "image_ids.json").read_text())
IMAGE_IDS = GOLDEN["ids"]


class Project(NamedTuple):
    """A project. Shape: ``commands`` is what a cluster would run."""

    folder: str
    name: str
    layers: int
    commands: tuple[str, ...]


INIT = ("sh scripts/init-kube.sh", "kubeadm init --config etc/kubeadm.yml")
DASHBOARD = ("kubectl apply -f manifests/dashboard.yaml", "kubectl apply -f manifests/admin-user.yaml")
PROJECTS = (
    Project("rootfs", "rootfs:v1", 1, INIT),
    Project("dashboard", "dashboard:v1", 3, (*INIT, *DASHBOARD)),
    Project(
        "templated",
        "metrics:v1",
        5,
        (
            *INIT,
            "kubectl apply -f manifests/namespace.yaml",
            "kubectl apply -n ${NAMESPACE} -f manifests/metrics.yaml -f manifests/reader.yaml -f manifests/writer.yaml",
        ),
    ),
    Project("multiarch", "tool:v1", 3, ("tool --config etc/${CHANNEL}.yaml",)),
    Project("odd-names", "odd-names:v1", 7, ()),
    Project(
        "sealos",
        "web:v1",
        3,
        ("kubectl apply -f cni/network.yaml", "helm upgrade -i ${NAME} charts/web ${OPTS}"),
    ),
    Project("stages", "shop:v1", 5, ("bash opt/entry.sh", "helm upgrade -i ${NAME} charts/shop")),
    Project(
        "chart",
        "mysql:8.0",
        3,
        (
            *INIT,
            "helm install mysql charts/mysql --set auth.database=shop,persistence.enabled=false",
            "kubectl rollout status statefulset/mysql --timeout=300s",
        ),
    ),
    Project(
        "site",
        "site:v1",
        5,
        (
            *INIT,
            *DASHBOARD,
            "kubectl apply -f manifests/ingress.yaml",
            "kubectl -n kubernetes-dashboard rollout restart deployment/kubernetes-dashboard",
            "kubectl -n kubernetes-dashboard rollout status deployment/kubernetes-dashboard",
        ),
    ),
)


def test_the_known_ids_are_those_of_today_s_compatibility_version() -> None:
    assert GOLDEN["compatibility"] == COMPATIBILITY
    assert IMAGE_IDS.keys() == {project.folder for project in PROJECTS}


@pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.folder)
def test_a_project_builds_into_the_known_image_and_again_from_the_cache(
    project: Project, based: Program, projects: Path
) -> None:
    image_id = based.build(project.name, projects / project.folder)
    again = based.run("build", "-t", project.name, "--progress=json", projects / project.folder)

    document = based.inspect(project.name)
    commands = document["spec"]["image_config"]["cmd"]
    made = [event for event in again.events if event["event"] == "step_finished" and event["layer"] is not None]
    assert (*commands["parent"], *commands["current"]) == project.commands
    assert len(document["spec"]["layers"]) == project.layers
    assert document["spec"]["id"] == image_id.removeprefix("sha256:")
    assert again.stdout.strip() == image_id
    assert {event["cached"] for event in made} == {True}
    if document["architecture"] == "amd64":
        assert image_id == IMAGE_IDS[project.folder]


def test_an_application_has_its_base_below_it(based: Program, projects: Path) -> None:
    found = tree(based.export("dashboard:v1"))

    assert found["manifests/imageList"][2] == (projects / "dashboard/imageList").read_bytes()
    assert found["bin/kubectl"][1:] == (0o755, (projects / "rootfs/bin/kubectl").read_bytes())
    assert found["bin/ctr"] == ("symlink", 0o777, "crictl")
    assert not found.keys() & {"Kubefile", "README.md", ".kubeignore"}


def test_a_run_sees_arguments_and_the_programs_of_the_base_and_deletes_its_files(
    based: Program, projects: Path
) -> None:
    based.build("metrics:v1", projects / "templated", "--build-arg", "NAMESPACE=observe")

    exported = based.export("metrics:v1")

    found = tree(exported)
    manifest = (exported / "manifests/metrics.yaml").read_text()
    assert (manifest.count("namespace: observe"), manifest.count("v2.4.0"), manifest.count("@")) == (2, 1, 0)
    assert found["manifests/namespace.yaml"][2] == b"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: observe\n"
    assert {"manifests/reader.yaml", "manifests/writer.yaml"} <= found.keys()
    assert not found.keys() & {"etc/audit-policy.yml", "statics", "statics/index.txt"}


def test_odd_names_links_and_modes_arrive_as_they_are(kubeimage: Program, projects: Path) -> None:
    kubeimage.build("odd-names:v1", projects / "odd-names")
    context = projects / "odd-names"

    exported = kubeimage.export("odd-names:v1")

    # `COPY tree .` makes tree/...; a Kubefile's own folder would not be in the way.
    found, source = tree(exported), tree(context / "tree")
    assert {path.removeprefix("tree/"): entry for path, entry in found.items() if path.startswith("tree/")} == source
    links = [(exported / "tree/nested" / name).stat().st_ino for name in ("original", "twin", "deep/triplet")]
    assert len(set(links)) == 1
    assert sorted(path for path in found if path.startswith("texts/")) == sorted(
        f"texts/{name}"
        for name in (
            "notes with blanks.txt",
            "[draft].txt",
            "größe.txt",
            "日本語.txt",
            "texts-1.txt",
            "texts-2.txt",
            "link-copied-as-a-link",
            'it\'s "quoted".txt',
            'quoted "word".txt',
        )
    )
    assert found['texts/it\'s "quoted".txt'][1] == 0o640
    assert found["texts/link-copied-as-a-link"] == ("symlink", 0o777, "../nested/original")
    assert found[".hidden"][0] == "file"


def test_the_document_has_the_shape_that_users_of_sealer_know(based: Program, projects: Path) -> None:
    based.build("metrics:v1", projects / "templated", "--build-arg", "VERSION=2.5.1")

    document = based.inspect("metrics:v1")

    spec = document["spec"]
    assert document["kind"] == "Image"
    assert [(layer["type"], layer["value"]) for layer in spec["layers"][:2]] == [
        ("COPY", ". ."),
        ("COPY", "metrics.yaml manifests"),
    ]
    assert [layer["id"] for layer in spec["layers"]] == document["rootfs"]["diff_ids"]
    assert spec["image_config"]["cmd"]["parent"] == list(INIT)
    assert spec["image_config"]["args"] == {
        "parent": {},
        "current": {"BASE_TAG": "v1", "VERSION": "2.5.1", "NAMESPACE": "monitoring"},
    }
    assert spec["platform"]["os"] == "linux"
    assert spec["platform"]["architecture"] == document["architecture"]
    name = "registry.cn-qingdao.aliyuncs.com/sealer-io/metrics:v1"
    assert document["metadata"]["name"] == name
    assert f"image: {name}\n" in document["metadata"]["annotations"][CLUSTERFILE]
