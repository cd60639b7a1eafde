import json

import pytest

from tests.kubeimage.cli.conftest import MakeContext, Run

MANIFEST = """\
spec:
  containers:
    - image: nginx:1.19
    - image: "{{ .Image }}"
  operatorImage: tool:2
"""
APP = {"Kubefile": "FROM scratch\nCOPY manifests .\n", "manifests/app.yaml": MANIFEST}


def test_images_of_a_context_are_listed_without_building(run: Run, make_context: MakeContext) -> None:
    context = make_context(APP)

    result = run("images-of", context)

    assert result.stdout == "docker.io/library/nginx:1.19\ndocker.io/library/tool:2\n"
    assert result.stderr == "2 images, 1 name skipped; --why says why\n"


def test_why_tells_place_and_rule_of_each_and_the_reason_of_what_was_skipped(
    run: Run, make_context: MakeContext
) -> None:
    result = run("images-of", "--why", make_context(APP))

    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "IMAGE FILE DOCUMENT PATH RULE SURE",
        "docker.io/library/nginx:1.19 manifests/app.yaml 1 spec.containers[0].image container certain",
        "docker.io/library/tool:2 manifests/app.yaml 1 spec.operatorImage key guess",
        "",
        "SKIPPED FILE DOCUMENT PATH REASON",
        "{{ .Image }} manifests/app.yaml 1 spec.containers[1].image a template or variable, not a name",
    ]


def test_images_of_a_context_and_of_the_image_built_from_it_are_the_same(run: Run, make_context: MakeContext) -> None:
    context = make_context(APP)
    run("build", "-q", "-t", "app:v1", context)

    of_context, of_image = (run("images-of", "--why", "--format=json", one).stdout for one in (context, "app:v1"))

    assert json.loads(of_image) == json.loads(of_context)
    assert json.loads(of_image)["images"][0] == {
        "image": "docker.io/library/nginx:1.19",
        "file": "manifests/app.yaml",
        "document": 1,
        "path": "spec.containers[0].image",
        "rule": "container",
        "certain": True,
    }


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ([], ["nginx:1.19", "tool:2"]),
        (["--ignore-image", "tool"], ["nginx:1.19"]),
        (["--add-image", "extra:1", "--ignore-image", "*:*"], ["extra:1"]),
        (["--discover", "addons"], ["addon:1", "nginx:1.19", "tool:2"]),
        (["--discover", "."], ["addon:1", "nginx:1.19", "root:1", "tool:2"]),
    ],
    ids=["nothing", "ignore", "add", "folder", "all"],
)
def test_options_overrule_what_is_found(
    options: list[str], found: list[str], run: Run, make_context: MakeContext
) -> None:
    pod = "spec: {{containers: [{{image: '{}'}}]}}"
    files = {**APP, "addons/a.yaml": pod.format("addon:1"), "root.yaml": pod.format("root:1")}
    context = make_context({**files, "Kubefile": "FROM scratch\nCOPY manifests addons root.yaml .\n"})

    images = json.loads(run("images-of", "--format=json", *options, context).stdout)

    assert images == [f"docker.io/library/{name}" for name in found]


def test_an_ignore_file_in_the_context_holds(run: Run, make_context: MakeContext) -> None:
    context = make_context({**APP, ".imageignore": "# ours\nnginx\n"})

    assert run("images-of", context).stdout == "docker.io/library/tool:2\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--discover", "../x"], "--discover takes a folder of the image"),
        (["--add-image", "Upper:1"], "upper case"),
        (["--values", "gone.yaml"], "cannot read 'gone.yaml'"),
        (["--values", "app=gone.yaml"], "cannot read 'gone.yaml'"),
    ],
)
def test_bad_options_are_wrong_usage(options: list[str], message: str, run: Run, make_context: MakeContext) -> None:
    context = make_context(APP)

    assert message in run("images-of", *options, context, status=2).stderr
    assert message in run("build", "-t", "a:1", *options, context, status=2).stderr


def test_a_build_tells_how_many_images_it_leaves_out(run: Run, make_context: MakeContext) -> None:
    chart = {"charts/app/Chart.yaml": "name: app\nversion: 1.0.0\n"}
    context = make_context({**APP, **chart, "Kubefile": "FROM scratch\nCOPY manifests charts .\n"})

    plain = run("build", "-t", "a:1", context)
    told = [json.loads(line) for line in run("build", "-t", "a:1", "--progress=json", context).stderr.splitlines()]

    assert "note: 2 container images and those of 1 chart left out: --pull-images missing packs them" in plain.stderr
    assert {"event": "images_left_out", "images": 2, "charts": 1} in told


def test_a_build_that_names_no_image_tells_nothing_of_them(run: Run, make_context: MakeContext) -> None:
    context = make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": ""})

    assert "image" not in run("build", "-t", "a:1", context).stderr.replace("saved as", "")


def test_never_without_anything_fetched_names_the_images(run: Run, make_context: MakeContext) -> None:
    result = run("build", "-t", "a:1", "--pull-images=never", make_context(APP), status=1)

    assert "error[E0860]: --pull-images never, and 2 of 2 images were never fetched" in result.stderr
    assert "docker.io/library/nginx:1.19" in result.stderr


def test_the_environment_says_whether_images_are_packed(run: Run, make_context: MakeContext) -> None:
    settings = {"KUBEIMAGE_PULL_IMAGES": "never"}

    assert "E0860" in run("build", "-t", "a:1", make_context(APP), env=settings, status=1).stderr


def test_verify_says_what_is_not_there(run: Run, make_context: MakeContext) -> None:
    run("build", "-q", "-t", "app:v1", make_context(APP))

    result = run("verify", "app:v1", status=1)
    value = json.loads(run("verify", "--format=json", "app:v1", status=1).stdout)

    assert "docker.io/library/nginx:1.19: it is not in the image's registry" in result.stdout
    assert result.stderr == "2 container images, 2 of them not whole, 1 name skipped\n"
    assert [flaw["image"] for flaw in value["flaws"]] == value["images"]


def test_an_image_that_names_none_is_whole(run: Run, make_context: MakeContext) -> None:
    run("build", "-q", "-t", "app:v1", make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": ""}))

    result = run("verify", "app:v1")

    assert (result.stdout, result.stderr) == ("", "0 container images\n")
