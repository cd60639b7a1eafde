from __future__ import annotations

import pytest

from kubeimage.lint.commands import files_named
from tests.kubeimage.lint.conftest import Advise, places

FILES = {"manifests/dashboard.yaml": "", "charts/shop/Chart.yaml": ""}
COPIES = "COPY manifests .\nCOPY charts .\n"
MISSING = [("W16", "Kubefile", 4)]


@pytest.mark.parametrize(
    ("base", "cmd", "found"),
    [
        pytest.param("scratch", "kubectl apply -f manifests/b.yaml", MISSING, id="not there"),
        pytest.param("scratch", "kubectl apply -f manifests/dashboard.yaml", [], id="there"),
        pytest.param("scratch", "kubectl apply -f ./manifests/", [], id="folder"),
        pytest.param("scratch", "helm install shop charts/shop", [], id="chart"),
        pytest.param("scratch", "helm install shop charts/sho", MISSING, id="no chart"),
        pytest.param("base:v1", "kubectl apply -f manifests/b.yaml", [], id="perhaps the base's"),
        pytest.param("base:v1", "kubectl apply -f manifests/dashbord.yaml", MISSING, id="misspelt"),
        pytest.param("base:v1", "kubectl apply -f dashboard.yaml", MISSING, id="in another folder"),
        pytest.param("scratch", "kubectl apply -f manifests/$X.yaml", [], id="computed"),
        pytest.param("scratch", "cd manifests && kubectl apply -f dashboard.yaml", [], id="from elsewhere"),
    ],
)
def test_a_file_that_nothing_brings(base: str, cmd: str, found: list[tuple[str, str, int]], advise: Advise) -> None:
    advice = advise({"Kubefile": f"FROM {base}\n{COPIES}CMD {cmd}\n", **FILES})

    assert [place[:3] for place in places(advice)] == found


@pytest.mark.parametrize(
    ("run", "silent"),
    [
        ("sed s/a/b/ manifests/dashboard.yaml > manifests/b.yaml", True),
        ("cp a b", True),
        ("kubectl create ns x -o yaml | tee manifests/b.yaml", True),
        ("chmod +x x && make", True),
        ("sed -i s/a/b/ manifests/dashboard.yaml", False),
        ("chmod 600 manifests/dashboard.yaml && rm -r x", False),
    ],
)
def test_what_a_run_may_make_is_nobodys_mistake(run: str, *, silent: bool, advise: Advise) -> None:
    kubefile = f"FROM scratch\n{COPIES}RUN {run}\nCMD kubectl apply -f manifests/b.yaml\n"

    advice = advise({"Kubefile": kubefile, **FILES})

    assert (advice == ()) is silent


def test_near_names_are_in_the_hint(advise: Advise) -> None:
    (advice,) = advise({"Kubefile": f"FROM base:v1\n{COPIES}CMD kubectl apply -f manifests/dashbord.yaml\n", **FILES})

    assert advice.hint == "did you mean manifests/dashboard.yaml?"
    assert advice.location is not None
    assert advice.location.text[advice.location.column - 1 :] == "manifests/dashbord.yaml"


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("kubectl apply -f a.yaml -f b.yaml", ["a.yaml", "b.yaml"]),
        ("kubectl apply -fa.yaml --filename=b.yaml,c", ["a.yaml", "b.yaml", "c"]),
        ("bin/kubectl -n x apply -k overlays/prod; true", ["overlays/prod"]),
        ("helm upgrade x charts/x --values v.yaml && kubectl apply --filename 'b c'", ["v.yaml", "charts/x", "b c"]),
        ("kubectl apply -f https://x/y.yaml -f /etc/x -f - -f '' -f", []),
        ("grep -f x y; sh -c 'kubectl apply -f x'", []),
        ("kubectl apply -f 'open", []),
    ],
)
def test_files_are_read_from_the_options_that_take_them(command: str, names: list[str]) -> None:
    assert list(files_named(command)) == names
