import pytest

from kubeimage.discovery.kubeversion import combine, is_met, parse_version
from kubeimage.errors import KubeVersionError


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (">=1.19.0-0", ["v1.19.0", "1.22.15", "v1.27.3-gke.100", "v1.19.0-alpha.1", "v1.25.3+k3s1"], ["v1.18.20"]),
        (">=1.19", ["1.19.0", "1.30.1"], ["1.18.9", "1.27.3-gke.1"]),
        (">= 1.19.0, < 1.22.0", ["1.19.0", "1.21.9"], ["1.22.0", "1.18.0"]),
        (">=1.19 <1.22", ["1.21.9"], ["1.22.0"]),
        (">1.19", ["1.20.0"], ["1.19.5", "1.19.0"]),
        ("<=1.19", ["1.19.5", "1.18.0"], ["1.20.0"]),
        ("1.2.x", ["1.2.0", "1.2.9"], ["1.3.0"]),
        ("1.22", ["1.22.15"], ["1.23.0"]),
        ("=1.22.15", ["1.22.15"], ["1.22.14"]),
        ("!=1.22.x", ["1.21.0"], ["1.22.3"]),
        ("~1.2.3", ["1.2.3", "1.2.9"], ["1.3.0", "1.2.2"]),
        ("~1", ["1.0.0", "1.9.9"], ["2.0.0"]),
        ("^1.2", ["1.2.0", "1.30.0"], ["2.0.0", "1.1.0"]),
        ("^0.2.3", ["0.2.5"], ["0.3.0"]),
        ("1.19 - 1.21", ["1.19.0", "1.21.9"], ["1.22.0"]),
        ("1.18.x || >=1.20.0", ["1.18.3", "1.20.0"], ["1.19.0"]),
        ("*", ["1.0.0"], []),
        ("=>1.19", ["1.19.0"], ["1.18.0"]),
    ],
)
def test_constraints_are_read_as_helm_reads_them(constraint: str, good: list[str], bad: list[str]) -> None:
    assert [one for one in good + bad if is_met(constraint, parse_version(one))] == good


@pytest.mark.parametrize("text", ["", "latest", "1.a", "v", "x"])
def test_what_is_no_version_is_an_error(text: str) -> None:
    with pytest.raises(KubeVersionError, match="not a version"):
        parse_version(text)


@pytest.mark.parametrize("text", [">=", "abc", ">=1.2 foo", ">=1..2"])
def test_what_is_no_constraint_is_an_error(text: str) -> None:
    with pytest.raises(KubeVersionError, match="not a kubeVersion constraint"):
        is_met(text, parse_version("1.2.3"))


@pytest.mark.parametrize(
    ("constraints", "combined"),
    [
        ([">=1.19.0-0"], ">=1.19.0-0"),
        ([">=1.19", "<1.30"], ">=1.19, <1.30"),
        ([">=1.19", ">=1.19"], ">=1.19"),
        (["1.18.x || >=1.20", "<1.30"], "1.18.x, <1.30 || >=1.20, <1.30"),
    ],
)
def test_several_constraints_become_one(constraints: list[str], combined: str) -> None:
    assert combine(constraints) == combined


@pytest.mark.parametrize("version", ["1.18.3", "1.19.0", "1.20.0", "1.30.0"])
def test_what_meets_the_combination_meets_each(version: str) -> None:
    constraints = ["1.18.x || >=1.20", "<1.30"]

    each = all(is_met(one, parse_version(version)) for one in constraints)

    assert is_met(combine(constraints), parse_version(version)) is each
