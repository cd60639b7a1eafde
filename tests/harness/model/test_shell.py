"""Scripts in the words of generated projects: a real sh, the shell in memory and the model do the same."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from harness import model
from harness.fakes.memory_tree import MemoryTree, Node
from harness.fakes.mounts import MemoryMount
from harness.fakes.runner import ShellInterpreter
from harness.model.shell import Shell
from harness.strategies import build_contexts, scripts
from harness.trees import Content, Fifo, File, Folder, HardLink, Link, read_tree, write_tree
from kubeimage.layer.entry import Kind
from kubeimage.layer.tree import Tree
from kubeimage.protocols.running import Command

VARIABLES = {"V": "one  two"}
# A RUN lacks the capability by which root's writes leave set-user-id bits alone.
_UNPRIVILEGED = ("setpriv", "--bounding-set=-fsetid", "--inh-caps=-fsetid") if os.geteuid() == 0 else ()
Result = tuple[bool, dict[str, model.Node]]
"""Whether it fails (which status, shells differ about), and what it leaves."""
Work = tuple[Mapping[str, Content], str]


@st.composite
def works(draw: st.DrawFn) -> Work:
    """A tree and a script that works on it."""
    tree = draw(build_contexts(max_size=5, read_only=False))
    nodes = {path: item for path, item in model.complete(tree).items() if not isinstance(item, HardLink)}
    return tree, draw(scripts(tree=nodes, variables=tuple(VARIABLES)))


def by_model(tree: Mapping[str, Content], script: str) -> Result:
    shell = Shell(model.apply({}, model.complete(tree)), VARIABLES)
    status = shell.run(script)
    return bool(status), shell.tree


def by_interpreter(tree: Mapping[str, Content], script: str) -> Result:
    nodes = {path: _node(item) for path, item in model.apply({}, model.complete(tree)).items()}
    mount = MemoryMount(MemoryTree(nodes), Tree())
    status = ShellInterpreter().run(Command(script, VARIABLES), mount, lambda _data: None).status
    return bool(status), {path: _value(node) for path, node in mount.tree.items()}


def by_sh(tree: Mapping[str, Content], script: str) -> Result:
    with tempfile.TemporaryDirectory() as folder:
        # A few steps down, so that nothing of the machine stands beside it.
        root = os.path.join(folder, "x/y/z")
        write_tree(root, dict(model.apply({}, model.complete(tree))))
        old = os.umask(0o022)
        try:
            done = subprocess.run(
                [*_UNPRIVILEGED, "sh", "-c", script], cwd=root, env={"PATH": os.environ["PATH"], **VARIABLES},
                capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=60,
            )  # fmt: skip
        finally:
            os.umask(old)
        return bool(done.returncode), read_tree(root)


def _node(item: model.Node) -> Node:
    if isinstance(item, File):
        return Node(Kind.FILE, item.mode, item.data)
    if isinstance(item, Link):
        return Node(Kind.SYMLINK, 0o777, target=item.target)
    return Node(Kind.DIRECTORY if isinstance(item, Folder) else Kind.FIFO, item.mode)


def _value(node: Node) -> model.Node:
    if node.kind is Kind.FILE:
        return File(node.content, node.mode)
    if node.kind is Kind.SYMLINK:
        return Link(node.target)
    return Folder(node.mode) if node.kind is Kind.DIRECTORY else Fifo(node.mode)


def understood(run: Callable[[Mapping[str, Content], str], Result], *work: *Work) -> Result:
    try:
        return run(*work)
    except model.Unknown:
        assume(False)
        raise


@given(works())
@example(({"a": None}, "ln -s . a"))
@example(({"a": ""}, "mv a a"))
@example(({"a": Link("b")}, "mkdir -p a"))
@example(({"a": Link("b")}, "mkdir -p a/c"))
@example(({"a": File(b"1", 0o6755)}, "printf 2 >a"))
@example(({"a": File(b"1", 0o6755)}, "printf 2 >>a"))
@example(({"a": File(b"1", 0o6755)}, "printf '' >>a"))
def test_the_model_and_the_shell_in_memory_agree(work: Work) -> None:
    assert by_interpreter(*work) == understood(by_model, *work)


@given(works())
@example(({"a": File(b"1", 0o6755)}, "printf '' >a"))
@example(({"a": File(b"1", 0o6755)}, "printf 2 >>a"))
@example(({"a": File(b"1", 0o6745)}, "printf 2 >>a"))
@example(({"a": File(b"1", 0o6755)}, "printf '' >>a"))
def test_the_model_and_a_real_sh_agree(work: Work) -> None:
    wanted = understood(by_model, *work)

    assert by_sh(*work) == wanted


@pytest.mark.parametrize("script", ["awk 1", "mkdir -z a", "printf 1 | cat", "echo $(date)", "mkdir `date`"])
def test_a_script_in_other_words_is_not_guessed_at(script: str) -> None:
    with pytest.raises(model.Unknown):
        by_model({}, script)
