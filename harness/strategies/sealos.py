"""Projects in the dialect sealos, in the shape of real ones, for the builder and for buildah as its judge."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.strategies.project import Project
from harness.trees import Content, File, Folder, Link


def archive_of(*members: tuple[str, int, tuple[int, int]]) -> bytes:
    """Return an archive of small files, each with its mode and its owner."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, mode, (user, group) in members:
            member = tarfile.TarInfo(path)
            member.mode, member.uid, member.gid, member.size = mode, user, group, 1
            archive.addfile(member, io.BytesIO(b"x"))
    return gzip.compress(stream.getvalue(), mtime=0)


# What all contexts have, so that most sources are there; a project draws which of it, and with what modes.
TREE: Mapping[str, Content] = {
    "a.yaml": File(b"a"),
    "b.yaml": File(b"b"),
    ".hidden": File(b"h"),
    "run.sh": File(b"#!/bin/sh\n", 0o755),
    "charts/web/Chart.yaml": File(b"name: web\n"),
    "charts/web/templates/a.yaml": File(b"kind: A\n"),
    "etc/conf/x.conf": File(b"x"),
    "etc/link": Link("conf/x.conf"),
    "etc/folder": Link("conf"),
    "registry_amd64/blob": File(b"blob"),
    "empty": Folder(),
    "app.tgz": File(archive_of(("bin/tool", 0o4755, (0, 0)), ("share/x", 0o640, (5, 6)))),
}
_SOURCES = (
    "a.yaml",
    "./b.yaml",
    "/run.sh",
    "../a.yaml",
    "charts",
    "charts/",
    "charts/.",
    "charts/web",
    "etc",
    "etc/conf/..",
    "etc/link",
    "etc/folder",
    "empty",
    ".",
    "registry_${TARGETARCH}",
    "${DIR}",
)
_WILDCARDS = ("*.yaml", "charts/*", "etc/*", "?.yaml", "[ab].yaml", "ch*/w*")
_DESTINATIONS = (".", "./", "x", "x/", "./charts", "charts/", "/opt/$A", "a/b/c", "../up", "${DIR}/", "/", "x/y/z.yaml")
_MODES = (0o644, 0o600, 0o755, 0o4755, 0o640)
VALUES = ("1", '"two words"', "'$A'", r"\$A", "$A", "${A}x", '${U:-"d w"}', "${A:+s}", '"a\\"b"', r"p\\q", '""', "$U")
_COMMANDS = ('["a ${A}","b $(Y)"]', 'echo  "a"   $A', "['x']", '["kubectl apply -f a.yaml"]', '["bash","-c","x"]', "[]")

_PAIRS = st.lists(
    st.tuples(st.sampled_from(("A", "B", "C_1", '"k"')), st.sampled_from(VALUES)), min_size=1, max_size=3
).map(lambda pairs: " ".join(f"{key}={value}" for key, value in pairs))


def _lines(word: str, *values: str) -> SearchStrategy[str]:
    return st.sampled_from(values).map(lambda value: f"{word} {value}")


def _copies() -> SearchStrategy[str]:
    one = st.builds("COPY {} {}".format, st.sampled_from(_SOURCES), st.sampled_from(_DESTINATIONS))
    chmod = st.builds("COPY --chmod=700 {} {}".format, st.sampled_from(_SOURCES), st.sampled_from(_DESTINATIONS))
    # Several matches without a slash are buildah's own fault.
    folder = st.sampled_from(("x/", "./", "deep/er/"))
    wild = st.builds("COPY {} {}".format, st.sampled_from(_WILDCARDS), folder)
    several = st.builds("COPY {} {} {}".format, st.sampled_from(_SOURCES), st.sampled_from(_SOURCES), folder)
    array = st.builds('COPY ["{}","two words/"]'.format, st.sampled_from(_SOURCES[:4]))
    return st.one_of(one, one, one, chmod, wild, several, array)


_INSTRUCTIONS: SearchStrategy[str] = st.one_of(
    _copies(),
    _copies(),
    _PAIRS.map("ENV {}".format),
    _PAIRS.map("LABEL {}".format),
    st.sampled_from(VALUES[:-2]).map("ENV OLD  {} x".format),
    _lines("ARG", "TARGETARCH", "A=3", "U", "DIR=etc", 'W="q $A"'),
    _lines("USER", "65532:65532", "$A", "root"),
    _lines("WORKDIR", "/w", "rel", "$A", "/opt/../srv"),
    # What is no port buildah takes all the same: its own fault.
    _lines("EXPOSE", "80", "443/udp 80/tcp", "${P:-99}"),
    _lines("VOLUME", "/data", "/a /b", '["/c d"]'),
    _lines("MAINTAINER", "team", 'a  "b" $A'),
    st.sampled_from(_COMMANDS).map("CMD {}".format),
    st.sampled_from(_COMMANDS[:4]).map("ENTRYPOINT {}".format),
    st.just("# a comment"),
    st.just("LABEL long=1 \\\n  # in between\n\n  er=2"),
)


def _taking(stage: str) -> SearchStrategy[str]:
    """Return COPYs from a stage, whatever is there: what is missing is refused by all."""
    source = st.sampled_from(("/", "/x", "/charts/", "/opt", "/etc/conf", "/a/*"))
    return st.builds(f"COPY --from={stage} {{}} {{}}".format, source, st.sampled_from(("of/", "/of", ".", "/a/b/of/")))


_ADDITIONS: SearchStrategy[str] = st.one_of(
    st.builds(
        "ADD {} {}".format, st.sampled_from(("app.tgz", "a.yaml", "charts")), st.sampled_from(("x/", "/opt", "."))
    ),
    st.builds(
        "COPY --chown={} a.yaml {}".format, st.sampled_from(("5", "5:6", ":7")), st.sampled_from(("x", "o/w/n/"))
    ),
    st.builds("ADD --chown={} app.tgz {}".format, st.sampled_from(("5", "5:6")), st.sampled_from(("x/", "o/w/"))),
)


@st.composite
def staged_lines(draw: st.DrawFn, *, max_size: int = 6) -> list[str]:
    """The lines of one to three stages, which stand on each other and take from each other."""
    lines: list[str] = []
    for number in range(draw(st.integers(1, 3))):
        below = draw(st.sampled_from(("scratch", *(f"s{one}" for one in range(number)))))
        lines += [f"FROM {below} AS s{number}", "ARG TARGETARCH", "ENV A=1 DIR=etc"]
        # A whole root is the only thing that every stage has.
        choices = [_INSTRUCTIONS, _INSTRUCTIONS, _ADDITIONS]
        choices += [_taking(draw(st.sampled_from((f"s{one}", str(one))))) for one in range(number)]
        lines += draw(st.lists(st.one_of(*choices), max_size=max_size))
        # A VOLUME that stands last leaves its folder behind: buildah's own fault.
        lines.append(f"LABEL last={number}")
    return lines


@st.composite
def sealos_projects(draw: st.DrawFn, *, max_size: int = 12, stages: bool = True) -> Project:
    """Projects that stand on scratch, with up to ``max_size`` instructions; with ``stages``, some have several."""
    head = ["# syntax=sealos", "FROM scratch", "ARG TARGETARCH", "ENV A=1 DIR=etc"]
    # A VOLUME that stands last leaves its folder behind: buildah's own fault.
    alone = st.lists(_INSTRUCTIONS, max_size=max_size).map(lambda lines: [*head, *lines, "LABEL last=1"])
    staged = staged_lines().map(lambda lines: ["# syntax=sealos", *lines])
    lines = draw(st.one_of(alone, staged) if stages else alone)
    modes = draw(st.lists(st.sampled_from(_MODES), min_size=4, max_size=4))
    context: dict[str, Content] = dict(TREE)
    for path, mode in zip(("a.yaml", "run.sh", "etc/conf/x.conf", ".hidden"), modes, strict=True):
        found = context[path]
        assert isinstance(found, File)
        context[path] = File(found.data, mode)
    return Project.of("\n".join([*lines, ""]), context)
