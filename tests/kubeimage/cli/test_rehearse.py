import itertools
import json
from typing import get_args

import pytest

from kubeimage.cli.rehearse import _sum_up
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.rehearsal.outcome import Pulled, Rehearsal, RehearsedImage, Status
from tests.containers import small_image
from tests.kubeimage.cli.conftest import MakeContext, Run
from tests.kubeimage.rehearsal.conftest import Pack, keep_together, packed

NAME = "r.io/team/app:v1"
POD = f"kind: Pod\nspec:\n  containers:\n  - image: {NAME}\n  - image: nginx:1.25\n".encode()
WHOLE = {"Kubefile": "FROM scratch\nCOPY . .\n", ".kubeignore": "Kubefile\n.kubeignore\n"}
PACKED = packed(Pack(NAME, small_image("one")))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_together(monkeypatch)


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.usefixtures("alone")
def test_what_is_packed_is_pulled_and_what_is_not_has_status_1(run: Run, make_context: MakeContext) -> None:
    run("build", "-q", "-t", "app:v1", "--platform=linux/amd64", make_context({**WHOLE, **PACKED}))
    run("build", "-q", "-t", "more:v1", "--platform=linux/amd64", make_context({"manifests/pod.yaml": POD}))

    whole = run("rehearse", "app:v1")
    more = run("rehearse", "more:v1", status=1)

    assert lines(whole.stdout) == ["IMAGE RESULT NAMED BY WHY", f"{NAME} pulled registry/images.json"]
    asked = "a node would ask docker.io for it: the tag 1.25 is not packed"
    note, summary = whole.stderr.splitlines()
    assert note.startswith("note: there is no network without internet here (Python is a part of another program here)")
    assert summary == "1 container image, all of them pulled without internet"
    assert lines(more.stdout)[1:] == [
        f"docker.io/library/nginx:1.25 missing manifests/pod.yaml: spec.containers[1].image {asked}",
        f"{NAME} pulled manifests/pod.yaml: spec.containers[0].image",
    ]
    assert more.stderr.splitlines()[-1] == "2 container images, 1 of them not there without internet"


@pytest.mark.usefixtures("alone")
def test_json_says_all_of_it(run: Run, make_context: MakeContext) -> None:
    files = {**PACKED, "manifests/pod.yaml": POD, "manifests/imageList": b"Nginx:1\n"}
    run("build", "-q", "-t", "app:v1", "--platform=linux/amd64", make_context({**WHOLE, **files}))

    found = json.loads(run("rehearse", "app:v1", "--format=json", status=1).stdout)

    assert (found["platform"], found["network"]) == ("linux/amd64", "host")
    assert [one["text"] for one in found["unreadable"]] == ["Nginx:1"]
    missing, pulled = found["images"]
    assert missing == {
        "image": "docker.io/library/nginx:1.25",
        "status": "missing",
        "what": "the tag 1.25 is not packed",
        "asked": "docker.io",
        "digest": None,
        "size": None,
        "places": [{"file": "manifests/pod.yaml", "document": 1, "path": "spec.containers[1].image"}],
    }
    assert (pulled["image"], pulled["status"], pulled["asked"]) == (NAME, "pulled", None)
    assert pulled["digest"].startswith("sha256:")
    assert pulled["size"] > 0


def test_an_image_that_is_not_there_is_told_as_everywhere(run: Run) -> None:
    assert "error[E0501]" in run("rehearse", "nothing:v1", status=1).stderr


def test_a_name_that_is_none_is_wrong_usage(run: Run) -> None:
    assert "error[E0103]" in run("rehearse", "No/Name", status=2).stderr


@pytest.mark.parametrize("statuses", [(), *itertools.product(get_args(Status), repeat=2)])
def test_whatever_is_not_pulled_counts_as_not_there(statuses: tuple[Status, ...]) -> None:
    images = tuple(RehearsedImage(Pulled(Reference.parse(NAME), one), ()) for one in statuses)
    lost = sum(one != "pulled" for one in statuses)

    told = _sum_up(Rehearsal(images, Platform.host()))

    assert (f"{lost} of them not there" in told) == (lost > 0)
    assert ("all of them pulled" in told) == (lost == 0 and statuses != ())
