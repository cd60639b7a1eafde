"""Texts that are large, deep or hostile."""

import pytest

from kubeimage.discovery.findings import Findings
from kubeimage.discovery.imagelist import find_in_list
from kubeimage.discovery.manifests import find_in_manifest
from kubeimage.discovery.references import familiar

POD = "\n---\nspec: {containers: [{image: 'late:1'}]}\n"


def names(findings: Findings) -> list[str]:
    return [familiar(image) for image in findings.images]


@pytest.mark.parametrize(
    "head",
    [
        f"description: {'x' * (1 << 20)}",
        f"image: {'x' * (1 << 20)}",
        f"caBundle: {'QUFB' * (1 << 18)}",
        f"{{{{ x }}}} {'image ' * (1 << 16)}",
        "a: " + "[" * 5000,
        "a:\n" + "\n".join(" " * depth + "a:" for depth in range(1, 3000)),
        "\n".join(f"k{number}: {{image: {{type: string}}}}" for number in range(20_000)),
        "\0\0\0",
        "image: \ud800",
    ],
    ids=[
        "long line",
        "long name",
        "long base64",
        "long prose",
        "flow nesting",
        "block nesting",
        "many keys",
        "NUL",
        "surrogate",
    ],
)
def test_what_comes_behind_a_monster_is_found(head: str) -> None:
    assert names(find_in_manifest(head + POD, "f")) == ["late:1"]


def test_aliases_of_aliases_are_looked_at_once() -> None:
    lines = ["a0: &a0 [{image: 'bomb:1'}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 40)]

    assert names(find_in_manifest("\n".join(lines), "f")) == ["bomb:1"]


def test_merges_of_merges_are_looked_at_once() -> None:
    lines = ["m0: &m0 {image: 'bomb:1'}"]
    lines += [f"m{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 10)}]}}" for n in range(1, 40)]
    lines += ["spec: {containers: [*m39]}"]

    assert names(find_in_manifest("\n".join(lines), "f")) == ["bomb:1"]


def test_a_document_that_holds_itself_ends() -> None:
    assert names(find_in_manifest("a: &a {image: 'x:1', again: *a}", "f")) == ["x:1"]


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
def test_windows_files_read_the_same(newline: str, mark: str) -> None:
    manifest = newline.join([f"{mark}a: 1", "---", "spec:", "  containers:", "  - image: a:1", "---", "image: b:2", ""])
    listed = newline.join([f"{mark}a:1", "", "# c", "b:2", ""])

    assert names(find_in_manifest(manifest, "f")) == ["a:1", "b:2"]
    assert names(find_in_list(listed, "f")) == ["a:1", "b:2"]
