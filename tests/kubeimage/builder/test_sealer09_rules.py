"""The rules of sealer after v0.8, each by an example: what the builder makes, and what the model says."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from harness.strategies import Project
from harness.trees import Content, File
from kubeimage.errors import KubefileError
from kubeimage.kubefile import parse
from tests.kubeimage.builder.rules import made, seen

APPS: Mapping[str, Content] = {
    "app.yaml": "1",
    "i.sh": "2",
    "dir/a.yaml": "3",
    "dir/sub/b.yml": "4",
    "chart/Chart.yaml": "5",
    "chart/values.yaml": "6",
    "chart/templates/t.yaml": "7",
    "imageList": "nginx\n",
    "calico.sh": "8",
}
KUBE = {"name": "myapp", "type": "kube", "files": ["app.yaml"], "version": "v1"}


@pytest.mark.parametrize(
    ("lines", "extension", "commands"),
    [
        (
            "COPY imageList manifests/ ;; APP myapp local://app.yaml ;; LAUNCH myapp",
            {"applications": [KUBE], "launch": {"app_names": ["myapp"]}},
            ["kubectl apply -f application/apps/myapp/app.yaml"],
        ),
        (
            "APP m local://dir ;; LAUNCH m",
            {"applications": [{"name": "m", "type": "kube", "files": ["/a.yaml", "/sub/b.yml"], "version": "v1"}]},
            ["kubectl apply -f application/apps/m/a.yaml && kubectl apply -f application/apps/m/sub/b.yml"],
        ),
        (
            'APP m local://i.sh local://app.yaml ;; APPCMDS m ["sh","i.sh","-r","h:5000"] ;; LAUNCH m',
            {"applications": [{"name": "m", "version": "v1", "cmds": ["sh", "i.sh", "-r", "h:5000"]}]},
            ["cd application/apps/m/ && sh i.sh -r h:5000"],
        ),
        (
            'CNI calico local://calico.sh ;; LAUNCH ["calico"]',
            {"applications": [{"name": "calico", "type": "shell", "files": ["calico.sh"], "version": "v1"}]},
            ["bash application/apps/calico/calico.sh"],
        ),
        (
            "APP web local://chart ;; LAUNCH web",
            {"applications": [{"name": "web", "type": "helm", "files": ["web"], "version": "v1"}]},
            ["helm install web application/apps/web/"],
        ),
        ('CMDS ["a","b c"]', {"launch": {"cmds": ["a", "b c"]}}, ["a", "b c"]),
        ("CMD a $B ;; CMD b", {"launch": {"cmds": ["a $B", "b"]}}, ["a $B", "b"]),
        ("ENV k=v", {"env": {"k": "v"}}, []),
        ('ENV A="x y"', {"env": {"A": "x y"}}, []),
        (
            "APP myapp local://app.yaml ;; APPENV myapp k1=v1 k2=v2 ;; APPENV myapp k2=3",
            {"applications": [{**KUBE, "env": {"k1": "v1", "k2": "3"}}]},
            [],
        ),
        ("APP myapp local://i.sh ;; APP myapp local://app.yaml", {"applications": [KUBE]}, []),
        (
            'APP myapp local://i.sh ;; APPCMDS myapp ["x"] ;; APP myapp local://app.yaml ;; LAUNCH myapp',
            {"applications": [KUBE]},
            ["kubectl apply -f application/apps/myapp/app.yaml"],
        ),
        ("APP m local://i.sh local://app.yaml", "E0267", []),
        ('APPCMDS nobody ["x"]', "E0267", []),
        ("LAUNCH nobody", "E0267", []),
        ("APP m local://gone", "E0302", []),
    ],
)
def test_applications_and_what_launches_them(lines: str, extension: Any, commands: Sequence[str]) -> None:
    found = seen(f"FROM scratch ;; {lines}", dialect="sealer-0.9", context=APPS)

    if isinstance(found, str):
        assert found == extension
        return
    assert {key: found["extension"][key] for key in extension} == extension
    assert found["commands"] == commands == found["config"].get("Cmd", [])


@pytest.mark.parametrize(
    ("lines", "labels"),
    [
        ("CNI calico local://calico.sh", {"cluster.alpha.sealer.io/kube-cni-calico": "true"}),
        ("CSI disk local://calico.sh", {"cluster.alpha.sealer.io/kube-csi-disk": "true"}),
        ("KUBEVERSION >=v1.22 , <v2", {"app.alpha.sealer.io/supported-kube-version": ">=v1.22 , <v2"}),
        (
            'LABEL "cluster.alpha.sealer.io/container-runtime-type"="containerd"',
            {"cluster.alpha.sealer.io/container-runtime-type": "containerd"},
        ),
    ],
)
def test_labels_that_sealer_reads(lines: str, labels: Mapping[str, str]) -> None:
    assert made(f"FROM scratch ;; {lines}", dialect="sealer-0.9", context=APPS)["config"]["Labels"] == labels


@pytest.mark.parametrize("written", ["reg_${ARCH}", "reg_$ARCH"])
def test_sealer_knows_the_architecture_in_sources(written: str) -> None:
    image = made(f"FROM scratch ;; COPY {written} registry", dialect="sealer-0.9", platform="linux/arm64")

    assert image["tree"]["registry/blob"].node == File(b"arm64")


def test_applications_of_a_base_are_inherited_and_its_launch_and_commands_are_not() -> None:
    text = "# syntax=sealer-0.9\nFROM scratch\nAPP old local://app.yaml\nLAUNCH old\n"
    below = Project.of(text, dict(APPS))

    image = made("FROM base:1 ;; APP new local://i.sh ;; LAUNCH new", dialect="sealer-0.9", context=APPS, below=below)

    assert [one["name"] for one in image["extension"]["applications"]] == ["new", "old"]
    assert image["extension"]["launch"] == {"app_names": ["new"]}
    assert image["commands"] == ["bash application/apps/new/i.sh"]


@pytest.mark.parametrize(
    "lines",
    [
        "LAUNCH m ;; COPY app.yaml x",
        'CMDS ["a"] ;; CMD b',
        "CMD a ;; LAUNCH m",
        "LAUNCH m ;; LAUNCH m",
    ],
)
def test_launch_and_cmds_stand_last_and_once(lines: str) -> None:
    text = "\n".join(["# syntax=sealer-0.9", "FROM scratch", "APP m local://app.yaml", *lines.split(" ;; "), ""])

    with pytest.raises(KubefileError) as caught:
        parse(text)

    assert {one.code for one in caught.value.diagnostics} == {"E0266"}
    assert all(one.location is not None for one in caught.value.diagnostics)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("APP ../up local://app.yaml", "E0264"),
        ("APP a/b local://app.yaml", "E0264"),
        ("APP m app.yaml", "E0264"),
        ("APP m", "E0203"),
        ("APP m https://example.org/a.yaml#sha256:1", "E0264"),
        ("APPCMDS m kubectl", "E0216"),
        ("APPENV m k", "E0263"),
        ("CMDS kubectl get", "E0216"),
        ('CMD ["a"]', "E0264"),
        ("USER 1", "E0201"),
        ("LAUNCH", "E0202"),
    ],
)
def test_what_no_application_can_be_is_refused_with_its_line(line: str, code: str) -> None:
    with pytest.raises(KubefileError) as caught:
        parse(f"# syntax=sealer-0.9\nFROM scratch\n{line}\n")

    (told,) = caught.value.diagnostics
    assert (told.code, told.location and told.location.line) == (code, 3)
