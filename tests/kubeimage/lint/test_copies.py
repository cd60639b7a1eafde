from __future__ import annotations

import pytest

from tests.kubeimage.lint.conftest import Advise, places

POD = "kind: Pod\nspec:\n  containers:\n  - image: nginx:1.25\n"
FROM = "FROM scratch\n"


@pytest.mark.parametrize(
    ("copy", "files", "found"),
    [
        pytest.param("COPY manifest .", ["manifests/a"], [("E0302", 6)], id="source not there"),
        pytest.param("COPY a nix b nux .", ["a", "b"], [("E0302", 8), ("E0302", 14)], id="every source not there"),
        pytest.param("COPY ${ARCH}/tool bin", ["riscv64/tool"], [], id="another machine's"),
        pytest.param("COPY ${ARCH}/tool bin", ["vax/tool"], [("E0302", 6)], id="no machine's"),
        pytest.param("ARG V=1\nCOPY $V .", ["2"], [("E0302", 6)], id="by a default"),
        pytest.param("ARG V\nCOPY $V .", ["2"], [], id="known when somebody builds"),
        pytest.param("COPY a.yaml etc/b.yaml", ["a.yaml"], [("W14", 13)], id="new name"),
        pytest.param("COPY a.bin etc/b.bin", ["a.bin"], [("W14", 12)], id="new name, any suffix"),
        pytest.param("COPY a etc/b.json", ["a"], [("W14", 8)], id="new name with a usual suffix"),
        pytest.param("COPY *.yaml etc/b.yaml", ["a.yaml"], [("W14", 13)], id="new name for a pattern"),
        pytest.param("COPY a.yaml x/a.yaml", ["a.yaml"], [], id="its own name"),
        pytest.param("COPY a.yaml etc/b.yaml/", ["a.yaml"], [], id="said to be a folder"),
        pytest.param("COPY a.yaml conf.d", ["a.yaml"], [], id="folder with a dot"),
        pytest.param("COPY a.yaml b.yaml c.yaml", ["a.yaml", "b.yaml"], [], id="two files"),
        pytest.param("COPY x y.yaml", ["x/a.yaml"], [], id="folder"),
        pytest.param("COPY --exact a.yaml b.yaml", ["a.yaml"], [], id="exact"),
        pytest.param("COPY y.yaml .\nCOPY a.yaml y.yaml", ["y.yaml/b", "a.yaml"], [], id="folder that is there"),
        pytest.param("COPY id_rsa etc", ["id_rsa"], [("W19", 6)], id="key"),
        pytest.param("COPY . .", ["id_rsa", "x/tls.key", ".npmrc", "y/admin.conf"], [("W19", 1)], id="keys"),
        pytest.param("COPY id_rsa.pub etc", ["id_rsa.pub"], [], id="public key"),
        pytest.param("COPY id_rsa etc # lint: ignore=W19", ["id_rsa"], [], id="meant"),
        pytest.param("# lint: ignore=E0302\nCOPY made-later etc", [], [], id="made later"),
    ],
)
def test_advice_on_a_copy_stands_at_its_word(
    copy: str, files: list[str], found: list[tuple[str, int]], advise: Advise
) -> None:
    advice = advise({"Kubefile": f"{FROM}{copy}\n", **dict.fromkeys(files, "x")})

    line = 2 + copy.count("\n")
    assert places(advice) == [(code, "Kubefile", line, column) for code, column in found]


def test_a_missing_source_has_near_names(advise: Advise) -> None:
    (advice,) = advise({"Kubefile": f"{FROM}COPY manifest .\n", "manifests/a": ""})

    assert (advice.severity, advice.hint) == ("error", "did you mean 'manifests' or 'manifests/a'?")


def test_a_new_name_is_shown_with_both_trees_and_the_way_to_it(advise: Advise) -> None:
    (advice,) = advise({"Kubefile": f"{FROM}COPY m/a.yaml etc/b.yaml\n", "m/a.yaml": ""})

    assert "etc/b.yaml/a.yaml" in advice.message
    assert "Docker would make a file of that name" in advice.message
    assert "COPY --exact m/a.yaml etc/b.yaml" in str(advice.hint)


def test_images_that_no_build_looks_for_are_counted(advise: Advise) -> None:
    kubefile = f"{FROM}COPY manifests .\nCOPY app.yaml gone.yaml .\nCOPY app.yaml .\n"

    advice = advise({"Kubefile": kubefile, "app.yaml": POD, "manifests/in.yaml": POD})

    # What a COPY that fails would bring is not known.
    assert places(advice) == [("E0302", "Kubefile", 3, 15), ("W13", "Kubefile", 4, 1)]
    assert "1 image named by app.yaml will be left behind" in advice[1].message


def test_too_many_layers_are_an_error_before_any_base_is_known(advise: Advise) -> None:
    (advice,) = advise({"Kubefile": FROM + "RUN x\n" * 129})

    assert (advice.code, advice.severity) == ("E0401", "error")
