"""What the executor makes of what a packer says."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.images.backends import memory_backends
from kubeimage.api import building as api
from kubeimage.api.backends import Backends
from kubeimage.builder.events import Event, ImagesLeftOut, PackingFinished, PackingStarted
from kubeimage.builder.executor import BuildResult
from kubeimage.builder.plan import BuildOptions
from kubeimage.builder.planning import make_plan
from kubeimage.errors import LayerLimitError
from kubeimage.image.compatibility import history_comment
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import MAX_LAYERS, History, Layer
from kubeimage.image.platform import Platform
from kubeimage.kubefile import parse
from kubeimage.layer.entry import file
from kubeimage.protocols.packing import Packed, PackedLayer, PackRequest


@dataclass
class ScriptedPacker:
    """Gives what it was told to, and remembers what it was asked."""

    packed: Packed
    requests: list[PackRequest] = field(default_factory=list)

    def pack(self, request: PackRequest) -> Packed:
        self.requests.append(request)
        return self.packed


@pytest.fixture
def backends() -> Backends:
    return memory_backends()


def build(backends: Backends, packer: ScriptedPacker, tmp_path: Path, policy: str) -> tuple[BuildResult, list[Event]]:
    (tmp_path / "a").write_text("1")
    events: list[Event] = []
    options = BuildOptions(pull_images=policy, epoch=7)  # type: ignore[arg-type]
    chosen = replace(backends, packer=lambda *_: packer)
    result = api.build_image(
        parse(b"FROM scratch\nCOPY a .\nCMD x\n", file="K"),
        str(tmp_path),
        chosen,
        options=options,
        observe=events.append,
    )
    return result, events


def test_what_was_packed_are_the_last_layers(backends: Backends, tmp_path: Path) -> None:
    stored = [backends.layers.put([file(name, b"x")]) for name in ("one", "two")]
    layers = (PackedLayer("a.b/c:1", stored[0]), PackedLayer("record", stored[1], cached=True))
    packer = ScriptedPacker(Packed(layers, ("a.b/c:1",), warnings=("mind this",)))

    result, events = build(backends, packer, tmp_path, "missing")

    last = result.image.layers[-2:]
    assert last == (
        Layer(stored[0].diff_id, stored[0].size, "BASE", "rootfs cache a.b/c:1"),
        Layer(stored[1].diff_id, stored[1].size, "BASE", "rootfs cache record"),
    )
    assert result.image.history[-1] == History("BASE rootfs cache record", comment=history_comment("sealer"))
    assert result.warnings == ("mind this",)
    assert [one for one in events if isinstance(one, PackingStarted | PackingFinished)] == [
        PackingStarted(),
        PackingFinished(("a.b/c:1",), last, cached=False),
    ]


def test_the_packer_is_told_what_was_made_and_for_whom(backends: Backends, tmp_path: Path) -> None:
    packer = ScriptedPacker(Packed())

    result, _ = build(backends, packer, tmp_path, "missing")

    (request,) = packer.requests
    assert [layer.diff_id for layer in request.made] == [layer.diff_id for layer in result.image.layers]
    assert (request.base, request.platform, request.mtime) == ((), result.image.platform, 7)
    assert request.room == MAX_LAYERS - len(request.made)


def test_a_base_without_room_for_one_layer_more_is_refused_at_from() -> None:
    layers = tuple(Layer(Digest.of(bytes([number])), 1, "COPY", "x") for number in range(128))
    base = Image(platform=Platform("linux", "amd64"), layers=layers)
    kubefile = parse(b"ARG X=1\nFROM full:v1\n", file="K")
    off = BuildOptions(platform=base.platform)

    with pytest.raises(LayerLimitError, match=r"128 of the base full:v1, .* 1 of the packed images") as caught:
        make_plan(kubefile, base, replace(off, pull_images="missing"))

    assert caught.value.location is not None
    assert caught.value.location.line == 2
    assert len(make_plan(kubefile, base, off).base_layers) == 128


def test_what_is_left_out_is_told_and_changes_nothing(backends: Backends, tmp_path: Path) -> None:
    packer = ScriptedPacker(Packed(left_out=2, charts=1))

    result, events = build(backends, packer, tmp_path, "off")

    assert ImagesLeftOut(2, 1) in events
    assert [layer.kind for layer in result.image.layers] == ["COPY"]


@pytest.mark.parametrize("use_cache", [True, False], ids=["cache", "no cache"])
@pytest.mark.parametrize("keep_base", [True, False], ids=["with base", "without"])
def test_the_packer_is_told_all_layers_and_every_option(
    backends: Backends, tmp_path: Path, *, use_cache: bool, keep_base: bool
) -> None:
    packer = ScriptedPacker(Packed())
    for name in "abcd":
        (tmp_path / name).write_text(name)
    text = b"FROM scratch\nCOPY a .\nCOPY b .\nCOPY c .\nCOPY d .\n"
    chosen = replace(backends, packer=lambda *_: packer)
    options = BuildOptions(pull_images="missing", use_cache=use_cache, keep_base=keep_base)

    results = [api.build_image(parse(text, file="K"), str(tmp_path), chosen, options=options) for _ in range(2)]

    for result, request in zip(results, packer.requests, strict=True):
        assert [layer.diff_id for layer in request.made] == [layer.diff_id for layer in result.image.layers]
        assert (request.use_cache, request.keep_base, request.mtime) == (use_cache, keep_base, 0)
