"""Projects in the dialects after Docker's rules: stages, owners, archives and applications, as each dialect has them.

A project is lines of a few kinds. Each line is drawn whole, which is fast, and shrinks to the first of its kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeGuard

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.model import docker
from harness.model.build import BASE_NAME
from harness.strategies.images import PLATFORMS
from harness.strategies.project import Project
from harness.strategies.sealos import TREE, VALUES, archive_of
from harness.trees import Content, File, Folder, Link
from kubeimage.image.compatibility import Dialect
from kubeimage.kubefile import Configure, From, Instruction, parse

_CONTEXT: Mapping[str, Content] = {
    **TREE,
    "owned.tar.gz": File(archive_of(("o/x", 0o600, (7, 8)), ("o/bin", 0o4755, (0, 0)))),
    "lists/passwd": File("root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n"),
    "lists/group": File("root:x:0:\nextra:x:2000:app\n"),
    "root/bin/sh": File(b"#!", 0o755),
    "d/x": File(b"x"),
    "d/sub/y": File(b"y", 0o640),
    "d/lnk": Link("x"),
    "manifests/a.yaml": File(b"kind: A\n"),
    "manifests/more/b.YML": File(b"kind: B\n"),
    "scripts/one.sh": File(b"#!/bin/sh\n", 0o755),
    "mixed/a.yaml": File(b"a"),
    "mixed/b.sh": File(b"b"),
    "bin_amd64/tool": File(b"amd64", 0o755),
    "bin_arm64/tool": File(b"arm64", 0o755),
    "registry_arm64/blob": File(b"arm64"),
}
_IGNORED = (
    *[None] * 5, "**/x.conf", "d\n!d/sub", "*.yaml\n!a.yaml", "# nothing\n\netc/*", "**\n!d/x\n!a.yaml", "charts/web",
)  # fmt: skip
_NEEDED = (".hidden", "run.sh", "b.yaml", "empty")

_SOURCES = (
    "a.yaml", "d", ".", "./b.yaml", "d/", "charts", "charts/web", "d/lnk", "etc/folder", "etc/link", "../a.yaml",
    "/run.sh", "empty", "d/sub/../x", "d/.", "registry_${TARGETARCH}", "${DIR}", "a.yaml b.yaml", "d charts/web",
    "d/x etc/conf", "*.yaml", "d/*", "charts/*", "ch*/w*", "?.yaml", "[ab].yaml", "etc/*", "app.tgz", "lists",
)  # fmt: skip
_DESTINATIONS = (
    "x", ".", "x/", "./charts", "/opt/$A", "a/b/c", "../up", "${DIR}/", "/", "x/y/z.yaml", "/etc", "x/link",
    "etc/folder/", "dir/.", "/opt/../x", "two/..",
)  # fmt: skip
_FLAGS = (
    *[""] * 8, "--chmod=700 ", "--chown=5:6 ", "--chmod=4755 --chown=app:extra ", "--chown=app ", "--chown=:7 ",
    "--chown=9 ", "--exclude=*.yaml ", "--exclude=**/y ", "--link ", "--parents ", "--parents --chown=5:6 ",
)  # fmt: skip
_ADD_FLAGS = (*[""] * 4, "--chmod=711 ", "--chown=5 ", "--chown=app:extra ", "--exclude=*.yaml ")
_ADDED = ("app.tgz", "a.yaml", "d", "owned.tar.gz", "app.tgz owned.tar.gz", "owned.tar.gz a.yaml", "*.gz", "charts/web")
_PIVOTS = (
    "./d/./sub/y",
    "etc/./conf/x.conf",
    "d/sub/y etc/conf",
    "d/./*",
    "charts/*/templates",
    "./a.yaml d/sub",
    "**/x*",
    "d/**/y",
    "etc/./**/*.conf",
)
_TAKEN = ("/", "/", "/", "/x", "/opt", "/d/sub", "/etc/conf", "/x/*", "/charts/", "/a/b", "/ran", "/x/lnk")
_KEYS = ("A", "B", "C_1", '"k"')
_COMMANDS = ('["a ${A}","b $(Y)"]', 'echo  "a"   $A', "['x']", '["kubectl apply -f a.yaml"]', '["bash","-c","x"]', "[]")
_SHELLS = ('["/bin/bash","-c"]', '["/bin/sh","-ec"]')
_CHECKS = (
    "NONE",
    "CMD curl -f http://localhost/",
    '--interval=1m30s --retries=3 CMD ["true"]',
    "--timeout=500ms CMD x",
)
_TRIGGERS = ("COPY a.yaml onbuild/", "ENV TRIGGERED=$A", "RUN triggered", "LABEL t=$A", "WORKDIR deeper")
_STARTS: Sequence[tuple[str, ...]] = (
    (),
    ("ARG TARGETARCH", "ENV A=1 DIR=etc"),
    ("ENV A=1 DIR=etc", "COPY root /", "COPY lists /etc"),
    ("COPY root/ .", "ARG DIR=d A"),
)
_SEALER_STARTS: Sequence[tuple[str, ...]] = ((), ("ENV A=1 DIR=etc", "COPY root /"), ("ARG A=2 DIR=d", "COPY root ."))
_RUNS = ("true", '["ls","-l"]', 'echo "$A"   $B', "<<EOF\none $A\ntwo\nEOF", "--network=none true")


def _any(*kinds: SearchStrategy[str]) -> SearchStrategy[str]:
    """Return a choice of kinds, each as likely as the others: what is in one of them does not count."""
    return st.one_of(*(kind.map(str) for kind in kinds))


def _of(word: str, texts: Sequence[str]) -> SearchStrategy[str]:
    return st.sampled_from([f"{word} {text}" for text in texts])


_COPIES = st.builds("COPY {}{} {}".format, *map(st.sampled_from, (_FLAGS, _SOURCES, _DESTINATIONS)))
_PARENTS = st.builds("COPY --parents {} {}".format, *map(st.sampled_from, (_PIVOTS, _DESTINATIONS)))
_ADDITIONS = st.builds("ADD {}{} {}".format, *map(st.sampled_from, (_ADD_FLAGS, _ADDED, _DESTINATIONS)))
_PAIR = st.builds("{}={}".format, st.sampled_from(_KEYS), st.sampled_from(VALUES))
_PAIRS = st.lists(_PAIR, min_size=1, max_size=3).map(" ".join)
_VARIABLES = st.one_of(
    _PAIRS.map("ENV {}".format),
    _of("ENV", ("OLD  two  'x' $A", "A=$B B=$A", "DIR=d", "B=${B}x")),
    _of("ARG", ("A=3", "TARGETARCH", "U", "G", "DIR=etc", 'W="q $A"', "B", "TARGETPLATFORM")),
)
_LABELS = st.one_of(
    _PAIRS.map("LABEL {}".format), _of("LABEL", ("old  some $A", "long=1 \\\n  # in between\n\n  er=2"))
)
_AUTHORS = _of("MAINTAINER", ("team", 'a  "b" $A'))
_RUNNING = _of("RUN", _RUNS)
_CONFIGURED = st.one_of(
    _of("USER", ("65532:65532", "$A", "root", "app", "1000", ":5")),
    _of("WORKDIR", ("/w", "rel", "$A", "/opt/../srv", "a/b")),
    _of("EXPOSE", ("80", "443/udp 80/tcp", "$A", "8000-8002")),
    _of("VOLUME", ("/data", "/a /b", '["/c d"]', "$A")),
    _of("STOPSIGNAL", ("SIGTERM", "$A")),
    _of("SHELL", _SHELLS),
    _of("HEALTHCHECK", _CHECKS),
    _of("ONBUILD", _TRIGGERS),
    _of("CMD", _COMMANDS),
    _of("ENTRYPOINT", _COMMANDS[:4]),
)
_SEALOS = _any(_COPIES, _COPIES, _CONFIGURED, _VARIABLES, _ADDITIONS, _PARENTS, _LABELS, _RUNNING, _AUTHORS)

_NAMES = ("web", "db", "job")
_FROM_HERE = (
    "local://a.yaml", "local://charts/web", "local://manifests", "local://scripts local://run.sh", "local://mixed",
    "local://a.yaml local://manifests", "local://b.yaml", "local://run.sh", "local://${DIR}",
)  # fmt: skip
_APPLICATIONS = st.one_of(
    st.builds("{} {} {}".format, *map(st.sampled_from, (("APP", "APP", "CNI", "CSI"), _NAMES, _FROM_HERE))),
    st.builds(
        "APPCMDS {} {}".format, *map(st.sampled_from, (_NAMES, ('["kubectl apply -f a.yaml"]', '["sh","-x $A"]')))
    ),
    st.builds("APPENV {} {}".format, *map(st.sampled_from, (_NAMES, ("k=v", "k=2 l=a=b", 'k="v"')))),
)
_OF_SEALER = st.one_of(
    _of("APP", ('["web","local://b.yaml"]', '["job","local://run.sh"]')),
    _of("KUBEVERSION", (">=v1.22", "v1.19 || v1.20")),
    _of("CMD", ("kubectl  get $A", "b")),
)
_SEALER_COPIES = st.builds(
    "{} {} {}".format,
    st.sampled_from(("COPY", "COPY", "ADD")),
    st.sampled_from((*_SOURCES, "bin_${ARCH}", "bin_${ARCH}/tool", "$ARCH")),
    st.sampled_from(_DESTINATIONS),
)
_SEALER_09 = _any(
    _SEALER_COPIES, _APPLICATIONS, _APPLICATIONS, _VARIABLES, _LABELS, _RUNNING, _OF_SEALER, _AUTHORS, _COPIES, _PARENTS
)
_LAST = st.one_of(
    st.just(""), _of("LAUNCH", ("web", "db web", '["job","web"]')), _of("CMDS", ('["a","b c"]', '["x ${A}"]'))
)
_HOSTILE: Mapping[Dialect, SearchStrategy[str]] = {
    "sealos": st.sampled_from((
        "COPY nothing x", "COPY no* x/", "COPY a.yaml x\nCOPY d x", "ENV $U=1", "EXPOSE $DIR", "COPY $U x",
        "COPY a.yaml $U", "USER nobody\nWORKDIR there", "COPY --chown=nobody a.yaml x", "LABEL '$U'=1",
        "COPY --chown=:nogroup a.yaml x", "COPY d/x d/sub x", "COPY a.yaml f\nWORKDIR /f/g", "ADD app.tgz a.yaml/",
        "COPY d charts/web/templates /both/",
    )),
    "sealer-0.9": st.sampled_from((
        "COPY nothing x", "APP web local://nothing", 'APPCMDS nobody ["x"]', "APPENV nobody k=v", "COPY $U x",
        "ENV $U=1", "APP odd local://mixed", "APP odd local://app.tgz",
    )),
}  # fmt: skip


def docker_projects(
    dialect: Dialect,
    *,
    max_size: int = 8,
    runs: bool = True,
    bases: bool = True,
    hostile: bool = False,
    platforms: Sequence[str] = PLATFORMS[:1],
) -> SearchStrategy[Project]:
    """Generate projects in ``dialect``, sealos or sealer-0.9, of up to ``max_size`` lines in each stage.

    They build; with ``hostile`` most of them fail. A RUN says what its program is, and nothing here runs one:
    `harness.fakes.noting.NotingRunner` writes down what it is asked for. With ``bases`` some stand on another project.
    """
    return _projects(dialect, max_size, runs=runs, bases=bases, hostile=hostile, platforms=tuple(platforms))


@st.composite
def _projects(
    draw: st.DrawFn,
    dialect: Dialect,
    max_size: int,
    *,
    runs: bool,
    bases: bool,
    hostile: bool,
    platforms: tuple[str, ...],
) -> Project:
    below = None
    if bases and draw(st.integers(0, 2)) == 2:
        smaller = _projects(dialect, 4, runs=runs, bases=False, hostile=False, platforms=platforms)
        below = draw(smaller)
    context = draw(_contexts())
    platform = below.platform if below is not None else draw(st.sampled_from(platforms))
    writer = _staged if dialect == "sealos" else _of_one_stage
    lines = draw(
        writer(dialect, max_size, runs=runs, hostile=hostile, base=BASE_NAME if below is not None else "scratch")
    )
    given = draw(st.sampled_from(({}, {}, {"A": "given"}, {"G": "global", "B": "2"}, {"DIR": "d"})))
    head = [f"# syntax={dialect}"]
    project = Project.of("\n".join([*head, *lines, ""]), context, build_args=given, platform=platform, below=below)
    return project if hostile else mended(project)


@st.composite
def _contexts(draw: st.DrawFn) -> dict[str, Content]:
    context = dict(_CONTEXT)
    ignored = draw(st.sampled_from(_IGNORED))
    if ignored is not None:
        context[draw(st.sampled_from((".dockerignore", ".containerignore")))] = File(ignored)
    for path in ("a.yaml", "run.sh"):
        found = context[path]
        assert isinstance(found, File)
        context[path] = File(found.data, draw(st.sampled_from((found.mode, 0o600, 0o4755))))
    context["d/sub"] = Folder(draw(st.sampled_from((0o755, 0o700, 0o2775))))
    return context


@st.composite
def _staged(draw: st.DrawFn, dialect: Dialect, max_size: int, *, runs: bool, hostile: bool, base: str) -> list[str]:
    lines = draw(st.sampled_from(([], [f"ARG G=glob BASE={base}"])))
    bases = [base, "${BASE}"] if lines else [base]
    count = draw(st.sampled_from((1, 2, 3)))
    for number in range(count):
        earlier = [f"s{one}" for one in range(number)]
        name = f" AS S{number}" if number < count - 1 else ""
        lines = [*lines, f"FROM {draw(st.sampled_from((*bases, *earlier)))}{name}", *draw(st.sampled_from(_STARTS))]
        kinds = [_SEALOS]
        if earlier:
            origins = [*earlier, *map(str, range(number))]
            parts = map(st.sampled_from, (origins, _FLAGS, _TAKEN, _DESTINATIONS))
            kinds += [st.builds("COPY --from={} {}{} {}".format, *parts)]
        lines += draw(_lines(kinds, dialect, max_size, runs=runs, hostile=hostile))
    return lines


@st.composite
def _of_one_stage(
    draw: st.DrawFn, dialect: Dialect, max_size: int, *, runs: bool, hostile: bool, base: str
) -> list[str]:
    lines = [f"FROM {base}", *draw(st.sampled_from(_SEALER_STARTS))]
    lines += draw(_lines([_SEALER_09], dialect, max_size, runs=runs, hostile=hostile))
    last = draw(_LAST)
    if last.startswith("LAUNCH"):
        lines = [one for one in lines if not one.startswith("CMD ")]
    return [*lines, last] if last else lines


def _lines(
    kinds: Sequence[SearchStrategy[str]], dialect: Dialect, max_size: int, *, runs: bool, hostile: bool
) -> SearchStrategy[list[str]]:
    chosen = [*kinds, _HOSTILE[dialect]] if hostile else kinds
    drawn = st.lists(_any(*chosen), max_size=max_size)
    return (
        drawn if runs else drawn.map(lambda lines: [one for one in lines if not one.startswith(("RUN", "ONBUILD RUN"))])
    )


def docker_texts() -> SearchStrategy[str]:
    """Generate texts in the dialects after Docker's rules: what could be projects, with mistakes and broken lines."""
    return st.one_of(_texts("sealos", [_SEALOS, _TAKING]), _texts("sealer-0.9", [_SEALER_09, _LAST]))


def _texts(dialect: Dialect, kinds: Sequence[SearchStrategy[str]]) -> SearchStrategy[str]:
    lines = st.lists(st.one_of(*kinds, _HOSTILE[dialect], _BROKEN), max_size=8)
    return lines.map(lambda found: "\n".join([f"# syntax={dialect}", *found, ""]))


_TAKING = _of("FROM", ("scratch AS s0", "s0", "--platform=$BUILDPLATFORM s0 AS s1", "${BASE}", "A!b", "s0 AS s0"))
_BROKEN = st.lists(
    st.sampled_from((
        "COPY ", "FROM ", "ENV ", "RUN ", "LABEL ", "ADD ", "ONBUILD ", "HEALTHCHECK ", "EXPOSE ", "APP ", "USER ",
        "a", "A=1", "$A", "${A", "${A:-", "}", '"', "'", "\\", "\\\n", "\n", "#", "--from=", "--from=7", "--chown=",
        "--mount=type=bind,", "--mount=type=cache,target=/c", "target=/t", "<<EOF", "EOF", "[", "]", '["a"',
        ",", "=", " ", "\t", "local://",
        "https://example.org/a#sha256:", "\x00", "\udcff", "é", "--parents ", "--checksum=", "1-2/tcp", "scratch",
    )),
    min_size=1,
    max_size=6,
).map("".join)  # fmt: skip


def mended(project: Project) -> Project:
    """Return a project without the instructions that fail by what the model says; a FROM that fails names scratch."""
    while (failing := docker.build(project.docker_request).failing) is not None:
        instructions = project.kubefile.instructions
        kept = [one for one in instructions if one is not failing]
        if isinstance(failing, From):
            kept = [_on_scratch(one) if one is failing else one for one in instructions]
        elif len(kept) == len(instructions):
            # A trigger fails, which stands below, or in an ONBUILD.
            kept = [_on_scratch(one) if _is_on_base(one) else one for one in kept if not _is_trigger(one)]
            project = replace(project, below=None)
        project = project.with_instructions(kept)
    return project


def _on_scratch(one: From) -> Instruction:
    return From("scratch", stage=one.stage, written=f"scratch AS {one.stage}" if one.stage else "scratch")


def _is_on_base(one: Instruction) -> TypeGuard[From]:
    return isinstance(one, From) and one.name in (BASE_NAME, "${BASE}")


def _is_trigger(one: Instruction) -> bool:
    return isinstance(one, Configure) and one.keyword == "ONBUILD"


def docker_edits(project: Project) -> SearchStrategy[Project]:
    """Generate projects that differ from ``project`` in one thing; they build by what the model says.

    A file of the context has another content or mode, an instruction is gone or repeated, a build argument is given.
    """
    return _edits(project).map(lambda edited: mended(edited) if _can_be_written(edited) else project)


def _can_be_written(project: Project) -> bool:
    try:
        return parse(project.text) == project.kubefile
    except ValueError:
        return False


@st.composite
def _edits(draw: st.DrawFn, project: Project) -> Project:
    kind = draw(st.sampled_from(("write", "chmod", "drop", "repeat", "swap", "give")))
    instructions = project.kubefile.instructions
    behind = [number for number, one in enumerate(instructions) if not isinstance(one, From)]
    if kind == "give":
        return replace(project, build_args={**project.build_args, draw(st.sampled_from(("A", "DIR", "G"))): "d"})
    if kind in {"write", "chmod"} or not behind:
        files = [path for path, one in project.context.items() if isinstance(one, File)]
        path = draw(st.sampled_from(files))
        found = project.context[path]
        assert isinstance(found, File)
        # Something behind the end of an archive is damage.
        written = archive_of(("edited", 0o644, (0, 0))) if path.endswith("gz") else found.data + b"#"
        changed = File(written, found.mode) if kind == "write" else File(found.data, found.mode ^ 0o111)
        return replace(project, context={**project.context, path: changed})
    at = draw(st.sampled_from(behind))
    kept = [*instructions[:at], *instructions[at + 1 :]]
    if kind == "repeat":
        kept = [*instructions[: at + 1], *instructions[at:]]
    if kind == "swap" and at + 1 in behind:
        kept = [*instructions[:at], instructions[at + 1], instructions[at], *instructions[at + 2 :]]
    return project.with_instructions(kept)
