from __future__ import annotations

import pytest

from tests.kubeimage.lint.conftest import Advise, places

KUBEFILE = "FROM scratch\nCOPY manifests .\n"


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        pytest.param("a.yaml", "- name: [x\n", [("W20", 1)], id="open list"),
        pytest.param("a.yaml", "a: 1\n---\nb: 2\n  c: 3\n", [("W20", 4)], id="second document"),
        pytest.param("a.json", '{"a": 1,,}', [("W20", 1)], id="JSON"),
        pytest.param("a.yaml", "a: *b\n", [("W20", 1)], id="unknown alias"),
        pytest.param("a.yaml", "a: {{ .x }}\nb: [\n", [], id="template"),
        pytest.param("a.yaml", "image: @VERSION@\n", [], id="to be filled in"),
        pytest.param("a.yaml.tmpl", "b: [\n", [], id="named as a template"),
        pytest.param("a.yaml", "", [], id="empty"),
        pytest.param("sub/notes.txt", "b: [\n", [], id="another language"),
        pytest.param("a.yaml", "spec:\n  containers:\n  - image: Nginx:1.25\n", [("W21", 3)], id="upper case"),
        pytest.param("a.yaml", "spec:\n  initContainers:\n  - image: 'a b'\n", [("W21", 3)], id="blank"),
        pytest.param("a.yaml", "spec:\n  containers:\n  - image: $X\n", [], id="variable"),
        pytest.param("a.yaml", "spec:\n  image: Nginx\n", [], id="only a guess"),
        pytest.param("imageList", "nginx:1\n\nnginx 1.25\nhttps://h/x:1\n", [("W21", 3), ("W21", 4)], id="list"),
        pytest.param("imageList", "# x\nnginx:1 # y\n", [], id="good list"),
    ],
)
def test_advice_stands_in_the_manifest(path: str, text: str, found: list[tuple[str, int]], advise: Advise) -> None:
    advice = advise({"Kubefile": KUBEFILE, f"manifests/{path}": text})

    assert [place[:3] for place in places(advice)] == [(code, f"manifests/{path}", line) for code, line in found]


def test_a_name_that_is_none_is_marked_with_its_reason(advise: Advise) -> None:
    (advice,) = advise({"Kubefile": KUBEFILE, "manifests/a.yaml": "spec:\n  containers:\n  - image: Nginx:1.25\n"})

    assert advice.location is not None
    assert (advice.location.column, advice.location.length) == (12, 10)
    assert advice.message.startswith("'Nginx:1.25' names no container image: ")


def test_a_comment_at_the_copy_silences_advice_on_what_it_brings(advise: Advise) -> None:
    kubefile = "FROM scratch\n# lint: ignore=W20\nCOPY a manifests\nCOPY b manifests\n"

    advice = advise({"Kubefile": kubefile, "a/x.yaml": "[", "b/y.yaml": "["})

    assert places(advice) == [("W20", "b/y.yaml", 1, 1)]


def test_the_kubefile_comes_first_and_then_files_by_name(advise: Advise) -> None:
    files = {"Kubefile": f"{KUBEFILE}COPY c .\n", "manifests/b.yaml": "[", "manifests/a.yaml": "["}

    assert [place[0:2] for place in places(advise(files))] == [
        ("E0302", "Kubefile"),
        ("W20", "manifests/a.yaml"),
        ("W20", "manifests/b.yaml"),
    ]
