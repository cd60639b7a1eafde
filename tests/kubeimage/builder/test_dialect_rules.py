"""The rules of the dialects after Docker's, each by an example: what the builder makes, and what the model says.

docs/decisions/075 lists the rules, and where the others of them are tested.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from harness.strategies import Project
from harness.trees import Content, File, Folder
from tests.kubeimage.builder.rules import CONTEXT, PATH, files, made, seen


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("COPY a.yaml x", ["x"]),
        ("COPY a.yaml x/", ["x/a.yaml"]),
        ("COPY a.yaml x/y/z.yaml", ["x/y/z.yaml"]),
        ("COPY a.yaml x/ ;; COPY b.yaml x", ["x/a.yaml", "x/b.yaml"]),
        ("COPY a.yaml x ;; COPY b.yaml x", ["x"]),
        ("COPY a.yaml x ;; COPY d x", "E0307"),
        ("COPY a.yaml b.yaml x", ["x/a.yaml", "x/b.yaml"]),
        ("COPY *.yaml x", ["x/a.yaml", "x/b.yaml"]),
        ("COPY d x", ["x/lnk", "x/sub/y", "x/x"]),
        ("COPY d/ x", ["x/lnk", "x/sub/y", "x/x"]),
        ("COPY d x/", ["x/lnk", "x/sub/y", "x/x"]),
        ("COPY d .", ["lnk", "sub/y", "x"]),
        ("COPY d d", ["d/lnk", "d/sub/y", "d/x"]),
        ("COPY d/* x/", ["x/lnk", "x/x", "x/y"]),
        ("COPY empty x", ["x/"]),
        ("COPY ../a.yaml .", ["a.yaml"]),
        ("COPY /a.yaml /x/", ["x/a.yaml"]),
        ("COPY a.yaml ../../up/", ["up/a.yaml"]),
        ("COPY missing x", "E0302"),
        ("COPY nomatch* x/", "E0302"),
        ('COPY ["a.yaml","x y/"]', ["x y/a.yaml"]),
        ("WORKDIR /w ;; COPY d .", ["w/lnk", "w/sub/y", "w/x"]),
        ("ARG TARGETARCH ;; COPY reg_${TARGETARCH} registry", ["registry/blob"]),
        ("COPY reg_${TARGETARCH} registry", "E0302"),
        ("ADD arc.tgz x", ["x/o/x"]),
        ("COPY arc.tgz x", ["x"]),
        ("COPY lists ./cni", ["cni/group", "cni/passwd"]),
        ("COPY a.yaml manifests", ["manifests"]),
        (
            "COPY d manifests ;; COPY a.yaml manifests",
            ["manifests/" + one for one in ("a.yaml", "lnk", "sub/y", "x")],
        ),
    ],
)
def test_what_is_copied_lands_where_docker_s_rules_put_it(lines: str, expected: Sequence[str] | str) -> None:
    found = seen(f"FROM scratch ;; {lines}")

    assert (found if isinstance(found, str) else files(found)) == expected


@pytest.mark.parametrize(
    ("lines", "path", "mode", "owner"),
    [
        ("COPY run.sh bin/", "bin/run.sh", 0o755, (0, 0)),
        ("COPY --chown=5:6 --chmod=700 run.sh n/e/w/", "n/e/w/run.sh", 0o700, (5, 6)),
        ("COPY --chown=5:6 --chmod=700 run.sh n/e/w/", "n/e", 0o755, (5, 6)),
        ("COPY lists /etc ;; COPY --chown=app run.sh x", "x", 0o755, (1000, 1001)),
        ("COPY lists /etc ;; COPY --chown=app:extra run.sh x", "x", 0o755, (1000, 2000)),
        ("COPY --chown=:7 a.yaml x", "x", 0o644, (0, 7)),
        ("COPY --chown=8 a.yaml x", "x", 0o644, (8, 8)),
        ("COPY lists /etc ;; COPY --chown=1000 run.sh x", "x", 0o755, (1000, 1000)),
        ("USER 5:6 ;; COPY a.yaml x", "x", 0o644, (0, 0)),
        ("USER 5:6 ;; WORKDIR /w", "w", 0o755, (5, 6)),
        ("USER 5 ;; WORKDIR /w", "w", 0o755, (5, 5)),
        ("COPY lists /etc ;; USER app ;; WORKDIR /w", "w", 0o755, (1000, 1001)),
        ("ADD arc.tgz /", "o/x", 0o4750, (5, 6)),
        ("ADD --chown=9 --chmod=711 arc.tgz /", "o/x", 0o4750, (5, 6)),
        ("COPY --parents --chown=5:6 d/sub/y x", "x/d/sub", 0o755, (5, 6)),
    ],
)
def test_modes_and_owners(lines: str, path: str, mode: int, owner: tuple[int, int]) -> None:
    found = made(f"FROM scratch ;; {lines}")["tree"][path]

    assert (found.node.mode, found.owner) == (mode, owner)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("COPY --from=one /d/sub /s", ["s/y"]),
        ("COPY --from=0 /d/sub /s", ["s/y"]),
        ("COPY --from=ONE /d/x /s", ["s"]),
        ("COPY --from=one /d/x /run.sh flat/", ["flat/run.sh", "flat/x"]),
        ("COPY --from=one / all", ["all/d/lnk", "all/d/sub/y", "all/d/x", "all/run.sh"]),
        ("COPY --from=one . .", ["d/lnk", "d/sub/y", "d/x", "run.sh"]),
        ("COPY --from=one --exclude=**/y /d s", ["s/lnk", "s/sub/", "s/x"]),
        ("COPY --from=one /gone x", "E0302"),
    ],
)
def test_a_stage_gives_paths_of_its_own_root(lines: str, expected: Sequence[str] | str) -> None:
    first = "FROM scratch AS one ;; COPY d /d ;; COPY --chown=5:6 --chmod=4755 run.sh /"

    found = seen(f"{first} ;; FROM scratch ;; {lines}", context={".dockerignore": "nothing.here\n"})

    assert (found if isinstance(found, str) else files(found)) == expected


@pytest.mark.parametrize(("origin", "content"), [("one", b"a"), ("TWO", b"b"), ("0", b"a"), ("1", b"b")])
def test_of_several_stages_the_one_that_is_named_gives(origin: str, content: bytes) -> None:
    stages = "FROM scratch AS one ;; COPY a.yaml x ;; FROM scratch AS two ;; COPY b.yaml x ;; FROM one"

    assert made(f"{stages} ;; COPY --from={origin} /x y")["tree"]["y"].node == File(content)


def test_what_a_stage_gives_keeps_its_owner_and_its_set_id_bits() -> None:
    first = "FROM scratch AS one ;; COPY --chown=5:6 --chmod=4755 run.sh /"

    tree = made(f"{first} ;; FROM scratch ;; COPY --from=one /run.sh x")["tree"]

    assert (tree["x"].node.mode, tree["x"].owner) == (0o4755, (5, 6))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("--parents a.yaml d/sub/y x", ["x/a.yaml", "x/d/sub/y"]),
        ("--parents ./a.yaml ./d/sub/y x/", ["x/a.yaml", "x/d/sub/y"]),
        ("--parents d/./sub/y x", ["x/sub/y"]),
        ("--parents ./d/./sub/y x", ["x/sub/y"]),
        ("--parents d/sub/./y x", ["x/y"]),
        ("--parents d x", ["x/d/lnk", "x/d/sub/y", "x/d/x"]),
        ("--parents d/./sub x", ["x/sub/y"]),
        ("--parents d/. x", ["x/d/lnk", "x/d/sub/y", "x/d/x"]),
        ("--parents d/*/y x", ["x/d/sub/y"]),
        ("--parents */x x", ["x/d/x"]),
        ("--parents d/./*/y x", ["x/sub/y"]),
        ("--parents **/y x", ["x/d/sub/y"]),
        ("--parents **/*.yaml x", ["x/a.yaml", "x/b.yaml"]),
        ("--parents d/**/y x", ["x/d/sub/y"]),
        ("--parents d/./**/y x", ["x/sub/y"]),
        ("--parents d/sub/y .", ["d/sub/y"]),
        ("--parents /d/sub/y /x", ["x/d/sub/y"]),
        ("--parents ../d/sub/y x", ["x/d/sub/y"]),
        ("--parents=true d/sub/y x", ["x/d/sub/y"]),
        ("--parents=false d/sub/y x", ["x"]),
        ("--parents --exclude=*/lnk d x", ["x/d/sub/y", "x/d/x"]),
        ("--parents gone x", "E0302"),
        ("--parents a.yaml d/gone x", "E0302"),
    ],
)
@pytest.mark.parametrize("dialect", ["sealos", "sealer-0.9"])
def test_parents_keep_the_folders_of_a_source_from_the_pivot_on(
    lines: str, expected: Sequence[str] | str, dialect: str
) -> None:
    found = seen(f"FROM scratch ;; COPY {lines}", dialect=dialect)

    assert (found if isinstance(found, str) else files(found)) == expected


@pytest.mark.parametrize("destination", [".", "/", "x"])
def test_folders_that_parents_would_make_stay_as_they_are(destination: str) -> None:
    there = "d" if destination in "./" else f"{destination}/d"

    tree = made(
        f"FROM scratch ;; COPY --chown=3 --chmod=700 d {there} ;; COPY --parents --chown=5:6 d/sub/y {destination}"
    )["tree"]

    assert tree[there].owner == (3, 3)
    assert tree[f"{there}/sub"].node == Folder(0o700)
    assert tree[f"{there}/sub/y"].owner == (5, 6)


def test_parents_of_a_stage_s_files_are_kept_and_folders_that_are_there_stay() -> None:
    stages = "FROM scratch AS one ;; COPY d /d ;; FROM scratch"
    lines = f"{stages} ;; COPY --chown=3 empty x/d ;; COPY --parents --from=one d/sub/y x"

    image = made(lines)

    assert files(image) == ["x/d/sub/y"]
    assert image["tree"]["x/d"].owner == (3, 3)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ENV A=1 B='two words'", {"Env": [PATH, "A=1", "B=two words"]}),
        ("ENV NODE_PORT 30003", {"Env": [PATH, "NODE_PORT=30003"]}),
        (r"ENV Q='single $X' T=\$X U=$UNDEF", {"Env": [PATH, "Q=single $X", "T=$X", "U="]}),
        ('ENV H=${H:-" --set a=1 "}', {"Env": [PATH, "H= --set a=1 "]}),
        ("ENV P=1 R=$P", {"Env": [PATH, "P=1", "R="]}),
        ("ENV A=1 B=2 ;; ENV A=3", {"Env": [PATH, "A=3", "B=2"]}),
        ("ENV PATH=/bin A=1", {"Env": ["PATH=/bin", "A=1"]}),
        ("ARG A=arg ;; ENV A=env ;; LABEL l=$A", {"Labels": {"l": "env"}}),
        ("ENV N 'a.b'  c", {"Env": [PATH, "N=a.b  c"]}),
        ("ENV A=${U:-${V:-x}} B=${A:+y}", {"Env": [PATH, "A=x", "B="]}),
        (
            r'LABEL init="init-cri.sh \$registryDomain && bash init.sh" version="v1.25.0"',
            {"Labels": {"init": "init-cri.sh $registryDomain && bash init.sh", "version": "v1.25.0"}},
        ),
        ("LABEL l1=a ;; LABEL l1=b", {"Labels": {"l1": "b"}}),
        ("LABEL old some value", {"Labels": {"old": "some value"}}),
        ('LABEL "x y"=1', {"Labels": {"x y": "1"}}),
        ("USER 65532:65532", {"User": "65532:65532"}),
        ("ENV X=1 ;; USER $X", {"User": "1"}),
        ("EXPOSE 80 443/udp", {"ExposedPorts": {"80/tcp": {}, "443/udp": {}}}),
        ("VOLUME /a /b", {"Volumes": {"/a": {}, "/b": {}}}),
        ('VOLUME ["/c d"]', {"Volumes": {"/c d": {}}}),
        ("STOPSIGNAL SIGTERM", {"StopSignal": "SIGTERM"}),
        ('SHELL ["/bin/bash","-c"] ;; CMD x', {"Cmd": ["/bin/bash", "-c", "x"]}),
        ("HEALTHCHECK --interval=1m30s CMD x", {"Healthcheck": {"Test": ["CMD-SHELL", "x"], "Interval": 90 * 10**9}}),
        (
            "HEALTHCHECK --interval=1h1m1s --timeout=1ms1us --start-period=2.5µs1ns --retries=3 CMD x",
            {
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "x"],
                    "Interval": 3661 * 10**9,
                    "Timeout": 1_001_000,
                    "StartPeriod": 2_501,
                    "Retries": 3,
                }
            },
        ),
        ("ONBUILD COPY a b", {"OnBuild": ["COPY a b"]}),
        ("WORKDIR /a ;; WORKDIR b", {"WorkingDir": "/a/b"}),
        ("ARG A ;; ENV B=x$A", {"Env": [PATH, "B=x"]}),
        ("ARG A ;; ENV B=${A:-d}", {"Env": [PATH, "B=d"]}),
        ("ARG A=1 ;; ARG A=2 ;; ENV B=$A", {"Env": [PATH, "B=2"]}),
        ("ENV B=$A ;; ARG A=1", {"Env": [PATH, "B="]}),
        ("ARG TARGETPLATFORM ;; ENV B=$TARGETPLATFORM", {"Env": [PATH, "B=linux/amd64"]}),
        ('CMD ["a ${X}","b $(Y)"]', {"Cmd": ["a ${X}", "b $(Y)"]}),
        ('CMD echo  "a  b"   $X', {"Cmd": ["/bin/sh", "-c", 'echo  "a  b"   $X']}),
        ("CMD ['broken, $X']", {"Cmd": ["/bin/sh", "-c", "['broken, $X']"]}),
        ('CMD ["c2"] ;; CMD ["c3"]', {"Cmd": ["c3"]}),
        ("CMD []", {"Cmd": None}),
        ("ENTRYPOINT bash run.sh $X", {"Entrypoint": ["/bin/sh", "-c", "bash run.sh $X"]}),
        ('ENTRYPOINT ["e2"] ;; CMD ["c"]', {"Entrypoint": ["e2"], "Cmd": ["c"]}),
        ('CMD ["c"] ;; ENTRYPOINT ["e2"]', {"Entrypoint": ["e2"], "Cmd": ["c"]}),
    ],
)
def test_what_the_config_says(lines: str, expected: Mapping[str, Any]) -> None:
    config = made(f"FROM scratch ;; {lines}")["config"]

    assert {key: config.get(key) for key in expected} == expected


BASE = 'FROM scratch ;; ENV A=1 B=2 ;; LABEL a=1 b=2 ;; USER 5 ;; WORKDIR /w ;; MAINTAINER base ;; CMD ["basecmd"]'


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("LABEL c=3", {"Cmd": ["basecmd"], "User": "5", "WorkingDir": "/w", "Labels": {"a": "1", "b": "2", "c": "3"}}),
        ("ENV B=3 C=$A", {"Env": [PATH, "A=1", "B=3", "C=1"]}),
        ('CMD ["c2"] ;; CMD ["c3"]', {"Cmd": ["c3"]}),
        ('ENTRYPOINT ["e2"]', {"Entrypoint": ["e2"], "Cmd": None}),
        ('ENTRYPOINT ["e2"] ;; CMD ["c"]', {"Entrypoint": ["e2"], "Cmd": ["c"]}),
        ("WORKDIR x", {"WorkingDir": "/w/x"}),
    ],
)
def test_what_is_inherited_from_a_base(lines: str, expected: Mapping[str, Any]) -> None:
    below = Project.of("# syntax=sealos\n" + BASE.replace(" ;; ", "\n") + "\n", dict(CONTEXT))

    image = made(f"FROM base:1 ;; {lines}", below=below)

    assert {key: image["config"].get(key) for key in expected} == expected
    assert image["author"] == "base"


@pytest.mark.parametrize(
    ("lines", "author"), [("MAINTAINER a", "a"), ('MAINTAINER a ;; MAINTAINER b  "c" $X', 'b  "c" $X')]
)
def test_the_author_is_the_last_maintainer(lines: str, author: str) -> None:
    assert made(f"FROM scratch ;; {lines}")["author"] == author


@pytest.mark.parametrize(
    ("head", "lines", "expected"),
    [
        ("ARG G=1", "ENV A=$G", "A="),
        ("ARG G=1", "ARG G ;; ENV A=$G", "A=1"),
        ("ARG G=1", "ARG G=2 ;; ENV A=$G", "A=2"),
    ],
)
def test_an_argument_above_from_is_seen_behind_a_bare_arg_alone(head: str, lines: str, expected: str) -> None:
    assert made(f"{head} ;; FROM scratch ;; {lines}")["config"]["Env"] == [PATH, expected]


@pytest.mark.parametrize("declared", ["ARG A", "ARG A=default", "ARG A B=1"])
def test_a_build_argument_is_given_to_whom_declares_it(declared: str) -> None:
    image = made(f"FROM scratch ;; ENV E=$A ;; {declared} ;; ENV F=$A", build_args={"A": "given"})

    assert image["config"]["Env"] == [PATH, "E=", "F=given"]


@pytest.mark.parametrize(("platform", "blob"), [("linux/amd64", b"amd64"), ("linux/arm64", b"arm64")])
def test_the_platform_s_own_arguments_choose_among_folders(platform: str, blob: bytes) -> None:
    lines = "FROM --platform=$BUILDPLATFORM scratch ;; ARG TARGETARCH ;; COPY reg_${TARGETARCH} registry"

    image = made(lines, platform=platform)

    assert image["tree"]["registry/blob"].node == File(blob)
    assert image["platform"] == platform


def test_a_sealos_application_as_authors_write_it() -> None:
    context: Mapping[str, Content] = {"charts/web/Chart.yaml": "name: web\n", "registry/docker/registry/v2/x": "blob"}
    lines = (
        'FROM scratch ;; MAINTAINER labring ;; LABEL sealos.io.type="application" ;; '
        'ENV NAME=${NAME:-"web"} OPTS=${OPTS:-" --set a=1 "} ;; USER 65532:65532 ;; COPY charts ./charts ;; '
        'COPY registry ./registry ;; CMD ["helm upgrade -i ${NAME} charts/web ${OPTS}"]'
    )

    image = made(lines, context=context)

    assert files(image) == ["charts/web/Chart.yaml", "registry/docker/registry/v2/x"]
    assert image["author"] == "labring"
    assert image["config"] == {
        "User": "65532:65532",
        "Env": [PATH, "NAME=web", "OPTS= --set a=1 "],
        "Cmd": ["helm upgrade -i ${NAME} charts/web ${OPTS}"],
        "Labels": {"sealos.io.type": "application"},
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("RUN x", [["/bin/sh", "-c", "x"], "/", [0, 0]]),
        ('RUN ["x","$A"]', [["x", "$A"], "/", [0, 0]]),
        ('SHELL ["/bin/bash","-c"] ;; WORKDIR /w ;; USER 5:6 ;; RUN x $A', [["/bin/bash", "-c", "x $A"], "/w", [5, 6]]),
        ("USER app ;; RUN x", [["/bin/sh", "-c", "x"], "/", [1000, 1001]]),
        ("USER 1000 ;; RUN x", [["/bin/sh", "-c", "x"], "/", [1000, 1001]]),
        ("USER 77 ;; RUN x", [["/bin/sh", "-c", "x"], "/", [77, 0]]),
    ],
)
def test_a_run_has_the_shell_the_folder_and_the_user_of_the_image(lines: str, expected: list[Any]) -> None:
    tree = made(f"FROM scratch ;; COPY root / ;; COPY lists /etc ;; ARG B=2 ;; ENV A=1 ;; {lines}")["tree"]
    words, variables, folder, user = json.loads(tree["ran"].node.data)

    assert [words, folder, user] == expected
    assert variables["A"] == "1"
    assert variables["B"] == "2"
