"""The shell and the tree in memory do what a real shell does on real mounts: any script, any mounter, one digest."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harness.fakes.mounts import MemoryMounter
from harness.fakes.runner import ShellInterpreter
from harness.fakes.stores import MemoryLayerStore
from harness.mount_contracts import BASE, RunParts, describe, put_layers
from kubeimage.mount.copying import CopyMounter
from kubeimage.mount.overlay import OverlayMounter
from kubeimage.protocols import Command
from kubeimage.run.sandbox import SandboxRunner
from kubeimage.store import Store

NAMES = ("d", "d/sub", "d/x", "d/sub/deep", "etc", "etc/a", "etc/b", "etc/link", "top", "new", "new/n", "d/n", "'a b'")
paths = st.sampled_from(NAMES)
words = st.sampled_from(["1", "2", "top", '"$WORD"', "$WORD", "'$WORD'", "x\\ y", "*", "d/*", "${NONE}"])
modes = st.sampled_from(["600", "755", "4755", "2770", "1777", "u+x", "go-r", "+x", "a=r", "u=rwx,go=", "-w", "g+s"])

commands = st.one_of(
    st.builds("echo {} > {}".format, words, paths),
    st.builds("echo {} >> {}".format, words, paths),
    st.builds("printf '%s-%s\\n' {} > {}".format, words, paths),
    st.builds("mkdir {}".format, paths),
    st.builds("mkdir -p {}".format, paths),
    st.builds("rm {}".format, paths),
    st.builds("rm -rf {}".format, paths),
    st.builds("rmdir {}".format, paths),
    st.builds("mv -T {} {}".format, paths, paths),
    st.builds("mv {} {}".format, paths, paths),
    st.builds("cp {} {}".format, paths, paths),
    st.builds("cp -r {} {}".format, paths, st.sampled_from(["new", "etc", "copy"])),
    st.builds("ln {} {}".format, paths, paths),
    st.builds("ln -s {} {}".format, st.sampled_from(["d", "a", "../top", "nowhere", "/rootfs/etc"]), paths),
    st.builds("chmod {} {}".format, modes, paths),
    st.builds("touch {}".format, paths),
    st.builds("sed -i s/1/{}/ {}".format, st.sampled_from(["one", "&&", "\\\\&"]), paths),
    st.builds("cat {}".format, paths),
    st.builds("test -{} {}".format, st.sampled_from("efdLsx"), paths),
    st.builds("cd {}".format, st.sampled_from(["d", "etc", "..", "."])),
    st.just("mkfifo new"),
)
scripts = st.lists(st.tuples(commands, st.sampled_from([" ; ", " && ", " || ", "\n"])), min_size=1, max_size=8).map(
    lambda steps: "".join(command + then for command, then in steps[:-1]) + steps[-1][0]
)


class Outcome(NamedTuple):
    status: int
    changes: list[object]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(str(tmp_path_factory.mktemp("store"))) as store:
        yield store


@pytest.fixture(scope="module")
def backends(store: Store) -> list[RunParts]:
    layers = MemoryLayerStore()
    return [
        RunParts(MemoryMounter(layers), ShellInterpreter(), layers),
        RunParts(OverlayMounter(store.snapshots), SandboxRunner({}), store.layers),
        RunParts(CopyMounter(store.snapshots), SandboxRunner({}), store.layers),
    ]


def outcome(parts: RunParts, script: str) -> Outcome:
    with parts.mounter.mount(put_layers(parts.layers, BASE)) as mount:
        result = parts.runner.run(Command(script, {"WORD": "a  b"}), mount, lambda _data: None)
        return Outcome(bool(result.status), [describe(entry) for entry in mount.changes()])


@settings(max_examples=25)
@example("cd etc\necho x > link; ln a c && mv c ../top")
@example("rm -r d; mkdir d && cp etc/a d/x; chmod 700 d || true")
@given(scripts)
def test_one_script_does_one_thing_everywhere(backends: list[RunParts], script: str) -> None:
    in_memory, on_overlay, on_copy = (outcome(parts, script) for parts in backends)

    assert on_overlay == on_copy
    assert in_memory == on_overlay
