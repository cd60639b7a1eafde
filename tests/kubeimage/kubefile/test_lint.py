from typing import cast

import pytest

from kubeimage.kubefile import Advice, From, Kubefile, Run, lint, looks_secret, parse
from kubeimage.report import format_diagnostics
from tests.places import place_of


def advice_on(text: str) -> list[tuple[str, int, int]]:
    return [
        (diagnostic.code, place_of(diagnostic).line, place_of(diagnostic).column) for diagnostic in lint(parse(text))
    ]


Advised = list[tuple[str, int, int]]
TABLE = [
    pytest.param("FROM a:v1\nRUN echo $A\nARG A=1\nRUN echo $A", [("W01", 2, 10)], id="RUN above its ARG"),
    pytest.param("FROM a:$T\nARG T=1\nRUN x", [("W01", 1, 8)], id="FROM above its ARG"),
    pytest.param("FROM a:v1\nARG A=$B,B=1\nRUN x", [("W01", 2, 7)], id="ARG above its own key"),
    pytest.param("FROM a:v1\nARG A=1\nARG A=$A\nRUN x", [], id="ARG that builds on itself"),
    pytest.param("FROM a:v1\nARG A=1,B=$A\nRUN x", [], id="ARG that builds on the key before it"),
    pytest.param("FROM a:v1\nRUN for i in 1 2; do echo $i $HOME; done", [], id="variables of the shell"),
    pytest.param('FROM a:v1\nCMD ["kubectl", "apply"]', [("W02", 2, 1)], id="argv"),
    pytest.param('FROM a:v1\nCMD ["sh", "-c", "kubectl apply"]', [("W02", 2, 1)], id="argv of a shell"),
    pytest.param('FROM a:v1\nCMD ["kubectl apply", "reboot"]', [], id="commands"),
    pytest.param('FROM a:v1\nCMD ["reboot"]', [], id="one command"),
    pytest.param("FROM a:v1\nARG REGISTRY_PASSWORD\nRUN x", [("W03", 2, 5)], id="secret"),
    pytest.param("FROM a:v1\nCMD a\nRUN x\nCMD a", [("W04", 4, 1)], id="repeated"),
    pytest.param("FROM a:v1\nCMD sleep 5\nCMD a\nCMD sleep 5", [], id="repeated on purpose"),
    pytest.param("FROM a:v1\nCOPY x sub/imageListWithAuth.yaml .", [("W05", 2, 8)], id="auth list"),
    pytest.param("FROM a", [("W06", 1, 1)], id="no tag"),
    pytest.param("FROM reg.io/a:latest", [("W06", 1, 1)], id="latest"),
    pytest.param(f"FROM a@sha256:{'0' * 64}", [], id="digest"),
    pytest.param("FROM scratch", [], id="scratch"),
    pytest.param("ARG T=latest\nFROM a:$T", [], id="tag by ARG"),
    pytest.param("FROM a:v1\nARG A=1,B=$A\nCOPY $C x", [("W07", 2, 9), ("W08", 3, 6)], id="unused and undeclared"),
    pytest.param("FROM a:v1\nARG A=1\nCMD x", [], id="CMD may use it"),
    pytest.param("FROM a:v1\nCOPY ${ARCH}/x \\$y z", [], id="the architecture, and an escape"),
    pytest.param("FROM a-$ARCH:v1", [("W08", 1, 8)], id="the architecture is COPY's alone"),
    pytest.param("FROM a:v1\nARG T=1\nCOPY $T/${T:-2} x\nRUN echo ${T:-3}", [("W09", 3, 9)], id="default in the use"),
    pytest.param("FROM a:v1\nARG ARCH=x\nRUN x", [("W10", 2, 5)], id="ARCH"),
    pytest.param('FROM a:v1\nRUN ["a", "b"]', [("W11", 2, 1)], id="RUN array"),
    pytest.param("FROM a:v1\nRUN --network=none x", [("W11", 2, 1)], id="RUN flag"),
    pytest.param("FROM a:v1\nRUN [ -f x ] || touch x", [], id="RUN test"),
    pytest.param("FROM a:v1\nRUN a \\\n\nCMD b", [("W12", 4, 1)], id="swallowed"),
    pytest.param("FROM a:v1\nCOPY bin/ opt", [("W15", 2, 6)], id="slash behind a source"),
    pytest.param("FROM a:v1\nCOPY bin/ opt/bin\nCOPY d/. e/\nCOPY . x\nCOPY ./ y\nCOPY --exact d/ e", [], id="slashes"),
    pytest.param("FROM a:v1\nRUN cat <<EOF > x", [("W17", 2, 9)], id="here-document"),
    pytest.param("FROM a:v1\nCMD cat <<-'EOF' | sh", [("W17", 2, 9)], id="quoted here-document"),
    pytest.param("FROM a:v1\nRUN cat <<<EOF; echo $((1<<2)) $((1<<A))", [], id="here-string and arithmetic"),
    pytest.param('FROM a:v1\nCMD ["cat <<EOF\\nx\\nEOF"]', [], id="here-document with a body"),
    pytest.param("FROM a:v1\nCMD kubectl get pods && \\\n", [("W18", 2, 22)], id="open command at the end of the file"),
    pytest.param("FROM a:v1\nRUN a \\\n  || b |", [("W18", 3, 8)], id="open pipe"),
    pytest.param("FROM a:v1\nRUN a &\nRUN echo \\|\nRUN a;", [], id="what may stand at an end"),
    pytest.param("# lint: ignore=W06,X1\nFROM a", [("W22", 1, 20)], id="ignoring what is no advice"),
    pytest.param("# syntax=sealos\nFROM a:v1\nCMD ['x']", [("W24", 3, 1)], id="no array"),
    pytest.param("# syntax=sealos\nFROM a:v1\nENV A='\"'", [("W25", 3, 1)], id="a quote in a value"),
    pytest.param("# lint: ignore=E0201\nFROM a:v1", [("W22", 1, 16)], id="ignoring a mistake"),
    pytest.param("FROM a:v1\nRUN a \\\n  # CMD b\n  CMD b", [], id="indented on purpose"),
]


@pytest.mark.parametrize(("text", "advice"), TABLE)
def test_advice_is_given_where_it_is_due(text: str, advice: list[tuple[str, int, int]]) -> None:
    assert advice_on(text) == advice


def test_every_kind_of_advice_is_in_the_table() -> None:
    given = {code for case in TABLE for code, _, _ in cast("Advised", case.values[1])}

    # They are about what COPY brings and where it lands, which the Kubefile's text does not say: tests/kubeimage/lint.
    from_files = {f"W{number}" for number in (13, 14, 16, 19, 20, 21, 23)}
    assert given | from_files == {advice.code for advice in Advice}


def test_advice_is_a_warning_with_a_hint() -> None:
    for diagnostic in lint(parse("FROM a\nRUN $A\nARG A=1,TOKEN=x\nCMD x\nCMD x")):
        assert diagnostic.severity == "warning"
        assert diagnostic.hint


def test_the_project_s_own_example_needs_no_advice() -> None:
    assert advice_on("FROM kubernetes:v1.19.8\nARG VERSION=2.2.0\nCOPY ${ARCH}/helm bin # c\nRUN echo $VERSION") == []


def test_the_value_of_a_secret_is_not_shown() -> None:
    report = format_diagnostics(lint(parse("FROM a:v1\nARG DB_PASSWORD=hunter2\nRUN x")))

    assert "W03" in report
    assert "hunter2" not in report


@pytest.mark.parametrize("key", ["PASSWORD", "db_passwd", "API_KEY", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY"])
def test_keys_of_secrets_are_told(key: str) -> None:
    assert looks_secret(key)


@pytest.mark.parametrize("key", ["VERSION", "KEY", "TOKENIZER", "KEYBOARD", "COMPASS", "PUBLIC_KEY"])
def test_other_keys_are_left_alone(key: str) -> None:
    assert not looks_secret(key)


def test_a_kubefile_made_by_a_program_gets_advice_too() -> None:
    kubefile = Kubefile((From("a"), Run("--x")))

    assert [diagnostic.code for diagnostic in lint(kubefile)] == ["W06", "W11"]


@pytest.mark.parametrize(
    ("text", "lines"),
    [("FROM x:1 AS a\nFROM a", []), ("FROM x AS a\nFROM a", [2]), ("FROM x AS a\nFROM y\nFROM scratch", [2, 3])],
)
def test_a_stage_is_no_image_that_may_be_another_one_tomorrow(text: str, lines: list[int]) -> None:
    advice = lint(parse(f"# syntax=sealos\n{text}\n"))

    assert [(one.code, one.location and one.location.line) for one in advice] == [("W06", line) for line in lines]


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("CMD ['broken, $X']", ["W24"]),
        ('ENTRYPOINT ["a"', ["W24"]),
        ('CMD ["kubectl apply -f a"]', []),
        ("CMD test -f x && [ -n 1 ]", []),
        ('CMD ["bash","-c","x"]', ["W02"]),
        ('ENTRYPOINT ["sh","-c","x y"]', ["W02"]),
        ('CMD ["helm install a","helm install b"]', []),
        (r'ENV A="say \"x\"" B=1', ["W25"]),
        ("ENV A='say \"x\"'", ["W25"]),
        ('ENV A="two words" B=${C:-"d"}', []),
        ("# lint: ignore=W25\nENV A='\"'", []),
    ],
)
def test_what_sealos_would_not_run_as_it_is_meant(line: str, codes: list[str]) -> None:
    assert [one.code for one in lint(parse(f"# syntax=sealos\nFROM scratch\n{line}\n"))] == codes
