"""Kubefiles as values; ``kubeimage.kubefile.render`` gives their text."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from kubeimage.kubefile import Arg, Cmd, Copy, From, Instruction, Kubefile, Run

_BASES = ("scratch", "kubernetes:v1.19.8", "registry.example.com/team/base:2", "${BASE}")
_KEYS = ("VERSION", "TAG", "A_1", "_")
_VALUES = ("1", "v2.2.0", "a,b", "1,2,x", "two words", "größe", "", "$VERSION", "${TAG}-1", "it's", "A=1", "#1", "\\$x")
_SOURCES = (
    "a", "etc", "bin/b", "*.yaml", "${ARCH}", "two words", ".", "./b/.", "/a/", "größe/漢字", "#a", "it's", "[a-z]?",
    "-a", "--exact", "\\$A", "back\\slash", "a/../b", ".hidden", "$VERSION.tar",
)  # fmt: skip
_DESTINATIONS = (".", "bin", "etc/app", "two words/x", "/", "./usr/", "a/../b", "$VERSION", "größe")
_COMMANDS = (
    "kubectl apply -f a.yaml", "helm install x charts/x --set a=1,b=2", 'echo "a   b" | tee x', "sleep 5", "[ -f x ]",
    "echo $i # no comment", "two\nlines", "ends in \\", "ends in \\\\",
)  # fmt: skip
_SCRIPTS = (
    "true", "echo 1 > made", "mkdir -p made/deep && echo 1 > made/deep/file", 'echo "$VERSION" > version',
    "for i in a b; do echo $i; done", "awk '{print $1}' a # no comment", "echo 'größe \\'", '["sh"]', "a=1,b=2 env",
    "printf a\\\\",
)  # fmt: skip
_CHMODS = (None, 0o755, 0o600, 0o4755, 0)


def instructions(*, sources: Sequence[str] = _SOURCES) -> SearchStrategy[Instruction]:
    """Generate what may stand behind FROM: RUN, COPY of some of ``sources``, CMD, ARG.

    Raises: InvalidArgument for an empty ``sources``.
    """
    if not sources:
        raise InvalidArgument("a COPY needs sources to choose from")
    return st.one_of(_runs(), _copies(sources), _commands(), _arguments())


def kubefiles(*, min_size: int = 0, max_size: int = 6) -> SearchStrategy[Kubefile]:
    """Generate Kubefiles with ``min_size`` to ``max_size`` instructions behind FROM, for no context in particular.

    Raises: InvalidArgument for sizes that fit no Kubefile.
    """
    if not 0 <= min_size <= max_size:
        raise InvalidArgument(f"a Kubefile has min_size <= max_size instructions, found {min_size=} and {max_size=}")
    behind = st.lists(instructions(), min_size=min_size, max_size=max_size)
    return st.builds(_kubefile, st.sampled_from(_BASES), behind)


def _kubefile(base: str, behind: list[Instruction]) -> Kubefile:
    before = (Arg((("BASE", "scratch"),)),) if base.startswith("$") else ()
    return Kubefile((*before, From(base), *behind))


def _runs() -> SearchStrategy[Instruction]:
    return st.builds(Run, st.sampled_from(_SCRIPTS))


def _copies(sources: Sequence[str]) -> SearchStrategy[Instruction]:
    several = st.lists(st.sampled_from(sources), min_size=1, max_size=3, unique=True).map(tuple)
    plain = st.builds(Copy, several, st.sampled_from(_DESTINATIONS), chmod=st.sampled_from(_CHMODS))
    one = st.sampled_from(sources).map(lambda source: (source,))
    exact = st.builds(Copy, one, st.sampled_from(_DESTINATIONS[1:]), exact=st.just(value=True))
    return st.one_of(plain, exact)


def _commands() -> SearchStrategy[Instruction]:
    return st.builds(Cmd, st.lists(st.sampled_from(_COMMANDS), min_size=1, max_size=2).map(tuple))


def _arguments() -> SearchStrategy[Instruction]:
    pairs = st.lists(
        st.tuples(st.sampled_from(_KEYS), st.sampled_from(_VALUES)), min_size=1, max_size=2, unique_by=_key
    )
    return st.builds(Arg, pairs.map(tuple) | st.sampled_from(_KEYS).map(lambda key: ((key, None),)))


def _key(pair: tuple[str, str]) -> str:
    return pair[0]
