"""The law: every text that reads as an image's name is found, or passed over with a reason, wherever it stands."""

import base64
import json
from collections.abc import Callable

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from kubeimage.discovery.findings import Findings
from kubeimage.discovery.imagelist import find_in_list
from kubeimage.discovery.manifests import find_in_manifest
from kubeimage.discovery.references import familiar, parse_image

_DIGEST = "@sha256:" + "0123456789abcdef" * 4
HOSTS = st.sampled_from(
    ["quay.io", "docker.io", "registry.local:5000", "10.0.0.1:5000", "localhost:5000", "localhost", "a-b.c-d.example"]
)
COMPONENTS = st.from_regex(r"[a-z0-9]+(?:[._-][a-z0-9]+)?", fullmatch=True)
SUFFIXES = st.one_of(
    st.from_regex(r":[A-Za-z0-9_][A-Za-z0-9_.-]{0,8}[A-Za-z0-9_]", fullmatch=True),
    st.sampled_from([":1", ":latest", ":v1.2.3", ":17", f":1{_DIGEST}", _DIGEST]),
)
NAMES = st.builds(
    lambda host, parts, suffix: f"{host}/{'/'.join(parts)}{suffix}",
    HOSTS,
    st.lists(COMPONENTS, min_size=1, max_size=3),
    SUFFIXES,
)

KEYS = st.sampled_from(
    [
        "image",
        "imageName",
        "IMAGE_NAME",
        "images",
        "reference",
        "repository",
        "registry",
        "tag",
        "digest",
        "value",
        "default",
        "name",
        "description",
        "args",
        "env",
        "data",
        "stringData",
        "spec",
        "metadata",
        "annotations",
        "containers",
        "initContainers",
        "volumes",
        "openAPIV3Schema",
        "properties",
        "enum",
        "example",
        "kind",
        "items",
        "config",
        "run.sh",
        "pod.yaml",
        "a",
        "4.2.0",
        "addons",
        "status",
        "summary",
        "version",
        "<<",
    ]
)
Carrier = Callable[[str], str]
CARRIERS: list[Carrier] = [
    lambda name: name,
    lambda name: f"--engine={name}",
    lambda name: f"-tool-image {name}",
    lambda name: f"TOOL={name}",
    lambda name: f"a={name},b=1",
    lambda name: f"4.1.0={name}\n4.2.0={name}\n",
    lambda name: f"see {name}, it is good.",
    lambda name: f"({name})",
    lambda name: f"'{name}';",
    lambda name: f"docker://{name}",
    lambda name: f"https://{name}",
    lambda name: f"镜像{name}。",
    lambda name: f"tool:{name}",
    lambda name: f"docker-archive:a.tar@{name}",
    lambda name: f"#!/bin/sh\nset -e\nctr images pull {name} || exit 1\n",
    lambda name: f"#!/bin/sh\n# not {name}\ntrue\n",
    lambda name: f"TOOL=${{TOOL:-{name}}}\nrun $TOOL\n",
    lambda name: f'{{{{ default "{name}" .Values.image }}}}',
    lambda name: f"{{{{ if .x }}}}\nimage: {name}\n{{{{ end }}}}\n",
    lambda name: json.dumps({"a": {"image": name}}),
    lambda name: json.dumps([{"b": json.dumps({"c": name})}]),
    lambda name: yaml.safe_dump({"spec": {"containers": [{"image": name}]}}),
    lambda name: yaml.safe_dump({"x": {"y": [f"--z={name}"]}}) + "# the end\n",
    lambda name: f"FROM {name}\nRUN true\n",
]
TREES = st.recursive(
    st.sampled_from(["x", "", "1.2", "http://a.b:80/c", "true", "a: b\nc: d\n"]),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)


def is_listed(name: str, findings: Findings) -> bool:
    """Whether a name is among what is found, or in a text that is passed over or refused."""
    image = parse_image(name)
    texts = [*(one.text for one in findings.skipped), *(one.text for one in findings.unreadable)]
    return image in findings.images or any(one in text for text in texts for one in (name, familiar(image)))


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, object]:
    """Return a name and a document with the name in it somewhere: as a value, an item or a key."""
    name = draw(NAMES)
    node: object = draw(st.sampled_from(CARRIERS))(name)
    if draw(st.integers(0, 9)) == 0:
        node = {node: draw(TREES)}
    for _ in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            others = draw(st.lists(TREES, max_size=2))
            others.insert(draw(st.integers(0, len(others))), node)
            node = others
        else:
            mapping = draw(st.dictionaries(KEYS, TREES, max_size=3))
            node = {**mapping, draw(KEYS): node}
    return name, node


def write(node: object, form: str) -> str:
    if form == "json":
        return json.dumps(node)
    return yaml.safe_dump(node, default_flow_style=form == "flow", default_style='"' if form == "quoted" else None)


@given(planted(), st.sampled_from(["block", "flow", "quoted", "json"]))
def test_a_name_planted_anywhere_in_a_manifest_is_listed(plant: tuple[str, object], form: str) -> None:
    name, node = plant

    assert is_listed(name, find_in_manifest(write(node, form), "f.yaml"))


@given(
    NAMES,
    st.sampled_from(["{name}", "a: 1\n---\n{text}", "# {name}\na: 1\n", "a: !tag{sep} 1\n# {name}", "x: [\n{text}"]),
)
def test_a_name_is_listed_whatever_surrounds_its_document(name: str, around: str) -> None:
    text = around.replace("{name}", name).replace("{text}", f"b: {name}\n").replace("{sep}", "")

    assert is_listed(name, find_in_manifest(text, "f.yaml"))


@given(NAMES, st.sampled_from(CARRIERS))
def test_a_name_in_a_secret_is_listed(name: str, carrier: Carrier) -> None:
    data = base64.b64encode(carrier(name).encode()).decode()

    assert is_listed(name, find_in_manifest(yaml.safe_dump({"kind": "Secret", "data": {"a": data}}), "f.yaml"))


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_each_line_of_a_list_is_an_image(names: list[str]) -> None:
    findings = find_in_list("\n".join(names), "f")

    assert set(findings.images) == {parse_image(name) for name in names}


@given(NAMES, st.integers(0, 10**6), st.sampled_from([" ", "A", "//", ":", "@", "é", "\ufffd"]))
@example("quay.io/a/b:1", 0, " ")
def test_a_garbled_name_in_a_certain_place_is_told(name: str, at: int, what: str) -> None:
    place = 1 + at % (len(name) - 1)
    text = name[:place] + what + name[place:]
    pod = {"kind": "Pod", "spec": {"containers": [{"image": text}]}}

    for findings in (find_in_manifest(yaml.safe_dump(pod), "f"), find_in_list(text, "f")):
        # What is garbled may be another name; it is never nothing.
        assert findings.images or [one.text for one in findings.unreadable] == [text]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("Nginx:1.25", "nginx:1.25"),
        ("nginx 1.25", "nginx:1.25"),
        ("https://quay.io/a/b:1", "quay.io/a/b:1"),
        ("quay.io/Tools/init:v1", "quay.io/tools/init:v1"),
        ("nginx:1.25:1.26", "nginx:1.25"),
        ("nginx: 1.25", "nginx:1.25"),
        ("nginx/", "nginx"),
    ],
)
def test_what_was_probably_meant_is_said(text: str, near: str) -> None:
    pod = {"kind": "Pod", "spec": {"containers": [{"name": "a"}, {"image": text}]}}

    (found,) = find_in_manifest(yaml.safe_dump(pod, default_flow_style=False), "f.yaml").unreadable

    assert (found.near, found.line) == (near, 5)
