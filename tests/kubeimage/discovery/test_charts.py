"""Charts: how they are found and read, with and without something that renders them."""

import gzip
import io
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext

import pytest

from kubeimage.discovery import limited
from kubeimage.discovery.chartarchive import read_archive
from kubeimage.discovery.charts import ONLY_IN_VALUES, Chart, Rendered, Renderer
from kubeimage.discovery.commands import namespaces_of
from kubeimage.discovery.finder import find_images, find_strays
from kubeimage.discovery.findings import NOT_RENDERED, KubeVersion
from kubeimage.discovery.helmprogram import split_output
from kubeimage.discovery.references import Choice, familiar
from kubeimage.discovery.search import Installation, Search, Values
from kubeimage.errors import ChartError, DiscoveryError
from kubeimage.packing.search import choose_renderer

APP = {
    "charts/app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\nkubeVersion: '>=1.19'\n",
    "charts/app/values.yaml": "tag: v1\nhook: false\n",
    "charts/app/templates/pod.yaml": "kind: Pod\nspec: {containers: [{image: 'app:{{ .Values.tag }}'}]}\n",
}


class MemoryFiles:
    """Files held in memory."""

    def __init__(self, files: Mapping[str, str | bytes], links: Sequence[str] = ()) -> None:
        self._files = {path: one.encode() if isinstance(one, str) else one for path, one in files.items()}
        self._links = links

    def paths(self) -> Sequence[str]:
        return sorted([*self._files, *self._links])

    def is_symlink(self, path: str) -> bool:
        return path in self._links

    def size(self, path: str) -> int:
        return len(self._files[path])

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        return ((path, self._files[path]) for path in paths)


class Scripted:
    """A renderer that knows what each chart makes."""

    def __init__(self, rendered: Rendered) -> None:
        self.rendered = rendered
        self.charts: list[Chart] = []

    def render(self, chart: Chart, installation: Installation) -> Rendered:  # noqa: ARG002  the protocol's
        self.charts.append(chart)
        return self.rendered


def pack(files: Mapping[str, str], folder: str = "app") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{folder}/{path.removeprefix('charts/app/')}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def helm() -> Renderer:
    pytest.importorskip("helm_python")
    return choose_renderer()[1]()


def names(files: Mapping[str, str | bytes], search: Search | None = None) -> list[str]:
    findings = find_images(MemoryFiles(files), search or Search(), helm)
    return [familiar(image) for image in findings.images]


@pytest.mark.parametrize(
    "files",
    [APP, {"charts/app-1.0.0.tgz": pack(APP)}, {"charts/deep/er/app.tar.gz": pack(APP, "odd")}],
    ids=["folder", "archive", "archive deep down"],
)
def test_a_chart_is_rendered_as_it_would_be_installed(files: Mapping[str, str | bytes]) -> None:
    assert names(files) == ["app:v1"]


def test_values_beside_a_chart_count_and_those_of_people_count_more() -> None:
    beside = {**APP, "charts/app.values.yaml": "tag: v2\n"}

    assert names(beside) == ["app:v2"]
    assert names(beside, Search(values=(Values(None, "f", b"tag: v3"),))) == ["app:v3"]
    assert names(beside, Search(values=(Values("app", "f", b"tag: v4"),))) == ["app:v4"]


def test_values_for_a_chart_that_is_not_there_are_an_error() -> None:
    with pytest.raises(DiscoveryError, match="no chart of that name") as caught:
        names(APP, Search(values=(Values("ap", "f.yaml", b""),)))

    assert caught.value.hint == "there are app, charts/app"


@pytest.mark.parametrize(("enabled", "found"), [(False, ["app:v1"]), (True, ["app:v1", "db:v1"])])
def test_a_sub_chart_counts_only_where_it_is_switched_on(enabled: bool, found: list[str]) -> None:
    files = {
        **APP,
        "charts/app/Chart.yaml": APP["charts/app/Chart.yaml"]
        + "dependencies: [{name: db, version: 1.0.0, condition: db.enabled}]\n",
        "charts/app/charts/db/Chart.yaml": "apiVersion: v2\nname: db\nversion: 1.0.0\nkubeVersion: '>=1.99'\n",
        "charts/app/charts/db/templates/pod.yaml": "spec: {containers: [{image: 'db:v1'}]}\n",
        "charts/app.values.yaml": f"db: {{enabled: {str(enabled).lower()}}}\n",
    }

    findings = find_images(MemoryFiles(files), Search(), helm)

    assert [familiar(image) for image in findings.images] == found
    assert (KubeVersion("charts/app!charts/db", ">=1.99") in findings.kube_versions) is enabled


def test_hooks_and_crds_are_read_and_notes_are_not() -> None:
    files = {
        **APP,
        "charts/app/templates/hook.yaml": "metadata: {annotations: {helm.sh/hook: pre-install}}\n"
        "spec: {containers: [{image: 'hook:1'}]}\n",
        "charts/app/crds/crd.yaml": "x: {containers: [{image: 'crd:1'}]}\n",
        "charts/app/templates/NOTES.txt": "image: notes:1\n",
    }

    assert names(files) == ["app:v1", "crd:1", "hook:1"]


def test_what_a_helmignore_leaves_out_is_not_rendered() -> None:
    files = {**APP, "charts/app/.helmignore": "other.yaml\n", "charts/app/templates/other.yaml": "image: other:1\n"}

    assert names(files) == ["app:v1"]


def test_values_that_are_no_text_are_an_error() -> None:
    with pytest.raises(ChartError, match="values that are not UTF-8"):
        names({**APP, "charts/app.values.yaml": b"a: \xff"})


def test_a_chart_that_needs_what_it_does_not_have_is_an_error() -> None:
    dependency = "dependencies: [{name: gone, version: 1.0.0, repository: 'https://a.b', alias: lost}]\n"
    files = {**APP, "charts/app/Chart.yaml": APP["charts/app/Chart.yaml"] + dependency}

    with pytest.raises(ChartError, match="the chart charts/app needs gone") as caught:
        names(files)

    assert caught.value.hint is not None
    assert "helm dependency build" in caught.value.hint


@pytest.mark.parametrize(
    ("template", "message"),
    [('a: {{ required "the password!" .Values.pw }}', "the password!"), ("a: {{ if }}", "missing value for if")],
    ids=["missing value", "broken template"],
)
def test_a_chart_that_fails_to_render_is_an_error_that_says_what_failed(template: str, message: str) -> None:
    files = {**APP, "charts/app/templates/bad.yaml": template}

    with pytest.raises(ChartError, match=message) as caught:
        names(files)

    assert "charts/app" in caught.value.message
    assert "--values" in str(caught.value.hint)


@pytest.mark.parametrize("pattern", ["app", "charts/app", "a*"])
def test_a_chart_that_people_ignore_is_passed_over_by_name(pattern: str) -> None:
    findings = find_images(MemoryFiles(APP), Search(ignored_charts=(pattern,)), unused)

    assert [(one.text, one.reason) for one in findings.skipped] == [("charts/app", "left out by --ignore-chart")]


def unused() -> Renderer:
    raise AssertionError("nothing is to be rendered")


def test_without_a_renderer_a_chart_is_passed_over_by_name() -> None:
    findings = find_images(MemoryFiles(APP), Search(), None)

    assert [(one.text, one.reason) for one in findings.skipped] == [("charts/app", NOT_RENDERED)]


def test_with_nothing_that_renders_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(ChartError, match="nothing that renders them") as caught:
        find_images(MemoryFiles(APP), Search(), choose_renderer()[1])

    assert "kubeimage[helm]" in str(caught.value.hint)


def test_annotations_name_images() -> None:
    annotation = "annotations:\n  helm.sh/images: |\n    - {name: a, image: 'noted:1'}\n    - {name: b}\n"
    files = {**APP, "charts/app/Chart.yaml": APP["charts/app/Chart.yaml"] + annotation}
    renderer = Scripted(Rendered({}))

    findings = find_images(MemoryFiles(files), Search(), lambda: renderer)

    assert [(familiar(one.image), one.rule, one.certain) for one in findings.found] == [
        ("noted:1", "helm.sh/images", True)
    ]
    assert [one.reason for one in findings.skipped] == ["no image"]


def test_a_library_chart_is_installed_only_with_others() -> None:
    files = {"charts/lib/Chart.yaml": "name: lib\nversion: 1.0.0\ntype: library\n"}

    findings = find_images(MemoryFiles(files), Search(), lambda: Scripted(Rendered({})))

    assert "library chart" in findings.skipped[0].reason


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no archive", "no archive that can be read"),
        (gzip.compress(b"no tar"), "no archive that can be read"),
        (pack(APP)[:-20], "no archive that can be read"),
        (pack({"charts/app/values.yaml": ""}), "holds no Chart.yaml"),
        (pack({**APP, "a/../../x": ""}), "holds a file outside of it"),
    ],
    ids=["not gzip", "not tar", "cut off", "no chart", "upwards"],
)
def test_an_archive_that_is_no_chart_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(ChartError, match=message):
        read_archive(data, "charts/x.tgz")


def test_a_chart_whose_description_is_broken_is_an_error_with_its_line() -> None:
    with pytest.raises(ChartError, match=r"charts/app: Chart\.yaml is not YAML: line 3"):
        names({"charts/app/Chart.yaml": 'name: app\nversion: "1\n'})


def test_what_is_no_part_of_a_chart_is_told() -> None:
    files = {"charts/readme.txt": "x", "charts/gone.values.yaml": "a: 1"}

    findings = find_images(MemoryFiles(files, ["charts/link"]), Search(), unused)

    assert {(one.text, one.reason.partition(":")[0]) for one in findings.skipped} == {
        ("charts/readme.txt", "neither a chart nor part of one"),
        ("charts/link", "a symlink"),
        ("charts/gone.values.yaml", "values of no chart that is there"),
    }


def test_what_helm_prints_is_parted_by_its_templates() -> None:
    printed = "---\n# Source: app/a.yaml\na: 1\n---\n# Source: app/b.yaml\nb: 2\n---\n# Source: app/a.yaml\nc: 3\n"

    assert {name: text.count("\n") for name, text in split_output(printed).items()} == {
        "app/a.yaml": 7,
        "app/b.yaml": 3,
    }


# Not `needs`: Debian has no helm, so no CI could install it.
@pytest.mark.skipif(shutil.which("helm") is None, reason="needs the helm program")
def test_the_helm_program_finds_what_the_library_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    library = names(APP)

    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    findings = find_images(MemoryFiles(APP), Search(), choose_renderer()[1])

    assert [familiar(image) for image in findings.images] == library


FakeHelm = Callable[[str], None]


@pytest.fixture
def fake_helm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeHelm:
    """Put a script named helm on PATH: what a program does that is not Helm at its best."""
    folder = tmp_path_factory.mktemp("bin")

    def write(script: str) -> None:
        (folder / "helm").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "helm").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)

    return write


def test_the_helm_program_gets_the_chart_its_values_and_the_version(fake_helm: FakeHelm) -> None:
    fake_helm(
        '[ "$1 $2 $4 $5 $6" = "template app --include-crds --namespace default" ] || exit 1\n'
        '[ "$7 $9" = "--values --kube-version" ] || exit 1\n'
        'echo "# Source: app/x.yaml"; cat "$8" "$3/Chart.yaml"'
    )
    chart = {**APP, "charts/app.values.yaml": "spec: {containers: [{image: 'values:1'}]}\n"}

    findings = find_images(MemoryFiles(chart), Search(), choose_renderer()[1], "v1.22.15")

    assert [familiar(one.image) for one in findings.found] == ["values:1"]


def test_a_chart_is_rendered_for_the_namespace_that_is_named_or_that_the_commands_say() -> None:
    chart = {
        **APP,
        "charts/app/templates/pod.yaml": '{{ if eq .Release.Namespace "default" }}{{ fail "no default" }}{{ end }}\n'
        "spec: {containers: [{image: 'app:{{ .Release.Namespace }}'}]}\n",
    }

    with pytest.raises(ChartError, match="no default"):
        names(chart)
    assert names(chart, Search(namespace="ops")) == ["app:ops"]
    assert names(chart, Search().of_kubefile(["true && helm upgrade --install x charts/app -n db"], "sealer")) == [
        "app:db"
    ]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("helm install app charts/app -n db", {"charts/app": "db"}),
        ("helm upgrade -i app ./charts/app/ --namespace=db --create-namespace", {"charts/app": "db"}),
        ("cd x; helm template a charts/a --namespace db; helm install b charts/b", {"charts/a": "db"}),
        ("helm install a charts/a \\\n  -n db", {"charts/a": "db"}),
        ("kubectl apply -f a/b -n db", {}),
        ("helm install a charts/a -n $NS", {}),
        ("helm install 'a", {}),
        ("helm install a charts/a -n", {}),
    ],
)
def test_commands_say_into_which_namespace_a_chart_goes(command: str, found: dict[str, str]) -> None:
    assert dict(namespaces_of([command])) == found


def test_the_union_of_several_sets_of_values_is_named_and_each_set_is_told() -> None:
    search = Search(
        values=(
            Values(None, "a", b"tag: dev\n", "dev"),
            Values(None, "b", b"tag: prod\n", "prod"),
            Values("app", "c", b"x: 1\n"),
        )
    )

    findings = find_images(MemoryFiles(APP), search, helm)

    assert {(familiar(one.image), one.rule) for one in findings.found} == {
        ("app:dev", "container, with dev"),
        ("app:prod", "container, with prod"),
    }


def test_what_only_values_name_is_listed() -> None:
    values = "tag: v1\nhook: false\nmetrics: {enabled: false, image: {repository: quay.io/org/metrics, tag: v9}}\n"

    findings = find_images(MemoryFiles({**APP, "charts/app/values.yaml": values}), Search(), helm)

    assert [familiar(image) for image in findings.images] == ["app:v1"]
    assert [(one.text, one.reason) for one in findings.left_names] == [("quay.io/org/metrics:v9", ONLY_IN_VALUES)]


def test_lists_of_a_chart_count() -> None:
    annotations = "annotations: {images: '- {name: a, image: reg.io/listed:7}'}\n"
    chart = {
        **APP,
        "charts/app/Chart.yaml": APP["charts/app/Chart.yaml"] + annotations,
        "charts/app/Images.lock": "images: [{name: z, image: 'reg.io/locked:6'}, {image: 'Bad:1'}]\n",
    }

    findings = find_images(MemoryFiles(chart), Search(), helm)

    assert [familiar(image) for image in findings.images] == ["app:v1", "reg.io/listed:7", "reg.io/locked:6"]
    assert [one.text for one in findings.unreadable] == ["Bad:1"]


@pytest.mark.parametrize(
    "template",
    ["{{ range until 2000000000 }}x{{ end }}", '{{ repeat 2000000000 "x" }}{{ repeat 2000000000 "y" }}'],
    ids=["many", "long"],
)
def test_a_template_without_end_is_an_error_of_its_chart(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "PATIENCE", 2.0)
    monkeypatch.setattr(limited, "MEMORY", 1 << 30)

    with pytest.raises(ChartError, match=r"charts/app cannot be rendered: it (?:took longer|takes more)"):
        names({**APP, "charts/app/templates/bomb.yaml": template})


def test_what_a_chart_makes_has_a_bound(fake_helm: FakeHelm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "OUTPUT", 1 << 20)
    fake_helm("exec head -c 2000000 /dev/zero")

    with pytest.raises(ChartError, match="charts/app cannot be rendered: it makes more than 1 MiB"):
        find_images(MemoryFiles(APP), Search(), choose_renderer()[1])


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/".join("x" * 200), "folders deep"),
        (f"templates/{'x' * 300}", "more than 255 bytes"),
        ("values.yaml/x", "a file and a folder"),
        ("a\0b", "a NUL"),
    ],
    ids=["deep", "long", "both", "NUL"],
)
def test_a_path_that_no_folder_holds_is_an_error_of_its_chart(path: str, why: str) -> None:
    with pytest.raises(ChartError, match=f"charts/app holds .* which no folder can hold: .*{why}"):
        names({**APP, f"charts/app/{path}": "x"})


def test_a_header_that_is_a_bomb_is_refused_before_it_is_read() -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = b"L", 1 << 30
    data = gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))

    with pytest.raises(ChartError, match="larger than a chart can be"):
        read_archive(data, "charts/x.tgz")


@pytest.mark.parametrize(("size", "is_read"), [(1_000_000, True), (1_100_000, False)])
def test_headers_are_a_megabyte_at_most(size: int, is_read: bool) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("app/Chart.yaml")
        member.pax_headers = {"comment": "x" * size}
        archive.addfile(member)

    with nullcontext() if is_read else pytest.raises(ChartError, match="larger than a chart can be"):
        assert list(read_archive(stream.getvalue(), "charts/x.tgz").files) == ["Chart.yaml"]


def test_a_charts_name_is_no_option_of_the_helm_program(fake_helm: FakeHelm) -> None:
    fake_helm("echo \"a: {containers: [{image: '$2:1'}]}\"")
    chart = {"charts/app/Chart.yaml": "name: --post-renderer=evil\nversion: 1.0.0\n"}

    findings = find_images(MemoryFiles(chart), Search(), choose_renderer()[1])

    assert [familiar(image) for image in findings.images] == ["release:1"]


def test_what_the_helm_program_complains_of_is_the_error(fake_helm: FakeHelm) -> None:
    fake_helm("echo 'Error: bad things' >&2; exit 3")

    with pytest.raises(ChartError, match="charts/app cannot be rendered: Error: bad things"):
        find_images(MemoryFiles(APP), Search(), choose_renderer()[1])


def test_strays_are_yaml_that_names_images_outside() -> None:
    pod = "spec: {containers: [{image: 'a:1'}, {image: 'b:1'}]}"
    files = {
        "app.yaml": pod,
        "deep/er/app.yml": pod,
        "manifests/in.yaml": pod,
        "guess.yaml": "image: guess:1",
        "registry/images.yaml": pod,
        "notes.txt": pod,
    }

    strays = find_strays(MemoryFiles(files), Search(choice=Choice(("b",))))

    assert {path: [familiar(one) for one in images] for path, images in strays.items()} == {
        "app.yaml": ["a:1"],
        "deep/er/app.yml": ["a:1"],
    }


@pytest.mark.parametrize(("more", "found"), [(0, True), (1, False)])
def test_a_stray_that_is_too_large_is_passed_over(monkeypatch: pytest.MonkeyPatch, more: int, found: bool) -> None:
    pod = "spec: {containers: [{image: 'a:1'}]}"
    monkeypatch.setattr("kubeimage.discovery.finder._LARGEST_STRAY", len(pod))

    assert bool(find_strays(MemoryFiles({"app.yaml": pod + " " * more}), Search())) is found


def test_all_of_an_image_can_be_searched() -> None:
    files = {"app.yaml": "spec: {containers: [{image: 'a:1'}]}", "registry/images.json": '{"image": "b:1"}'}

    findings = find_images(MemoryFiles(files), Search(folders=("",)))

    assert [familiar(image) for image in findings.images] == ["a:1"]
    assert find_strays(MemoryFiles(files), Search(folders=("",))) == {}
