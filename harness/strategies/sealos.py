"""Projects in the dialect sealos, in the shape of real ones, for the builder and for buildah as its judge."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.strategies.projects import Project
from harness.trees import Content, File, Folder, Link

# What all contexts have, so that most sources are there; a project draws which of it, and with what modes.
_TREE: Mapping[str, Content] = {
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
_VALUES = ("1", '"two words"', "'$A'", r"\$A", "$A", "${A}x", '${U:-"d w"}', "${A:+s}", '"a\\"b"', r"p\\q", '""', "$U")
_COMMANDS = ('["a ${A}","b $(Y)"]', 'echo  "a"   $A', "['x']", '["kubectl apply -f a.yaml"]', '["bash","-c","x"]', "[]")

_PAIRS = st.lists(
    st.tuples(st.sampled_from(("A", "B", "C_1", '"k"')), st.sampled_from(_VALUES)), min_size=1, max_size=3
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
    st.sampled_from(_VALUES[:-2]).map("ENV OLD  {} x".format),
    _lines("ARG", "TARGETARCH", "A=3", "U", "DIR=etc", 'W="q $A"'),
    _lines("USER", "65532:65532", "$A", "root"),
    _lines("WORKDIR", "/w", "rel", "$A", "/opt/../srv"),
    _lines("EXPOSE", "80", "443/udp 80/tcp", "$A"),
    _lines("VOLUME", "/data", "/a /b", '["/c d"]'),
    _lines("MAINTAINER", "team", 'a  "b" $A'),
    st.sampled_from(_COMMANDS).map("CMD {}".format),
    st.sampled_from(_COMMANDS[:4]).map("ENTRYPOINT {}".format),
    st.just("# a comment"),
    st.just("LABEL long=1 \\\n  # in between\n\n  er=2"),
)


@st.composite
def sealos_projects(draw: st.DrawFn, *, max_size: int = 12) -> Project:
    """Projects that stand on scratch, with up to ``max_size`` instructions."""
    lines = draw(st.lists(_INSTRUCTIONS, max_size=max_size))
    modes = draw(st.lists(st.sampled_from(_MODES), min_size=4, max_size=4))
    context: dict[str, Content] = dict(_TREE)
    for path, mode in zip(("a.yaml", "run.sh", "etc/conf/x.conf", ".hidden"), modes, strict=True):
        found = context[path]
        assert isinstance(found, File)
        context[path] = File(found.data, mode)
    head = ["# syntax=sealos", "FROM scratch", "ARG TARGETARCH", "ENV A=1 DIR=etc"]
    # A VOLUME that stands last leaves its folder behind: buildah's own fault.
    return Project.of("\n".join([*head, *lines, "LABEL last=1", ""]), context)
