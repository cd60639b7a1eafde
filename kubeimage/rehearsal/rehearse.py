"""A rehearsal: the packed registry is served, a node pulls what is named, and the record says whose these are."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from kubeimage.discovery.findings import Place
from kubeimage.errors import KubeimageError, RehearsalError
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.openfiles import OpenFiles
from kubeimage.layer.stack import LayerReader
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.layout import ROOT
from kubeimage.packing.naming import Named
from kubeimage.packing.record import RECORD
from kubeimage.rehearsal.messages import from_json, receive, send
from kubeimage.rehearsal.node import Node
from kubeimage.rehearsal.outcome import Pulled, Rehearsal, RehearsedImage
from kubeimage.rehearsal.registry import PackedRegistry
from kubeimage.rehearsal.server import serving
from kubeimage.run.alone import started, why_not_alone
from kubeimage.values import dataclass

NODE = "kubeimage.rehearsal.node"
_CUT = "the node ended before it had pulled everything"


def rehearse(
    named: Named, files: LayerFiles, store: LayerReader, platform: Platform, observe: Callable[[RehearsedImage], object]
) -> Rehearsal:
    """Pull every image that is named; ``observe`` is told of each as it ends.

    Raises: RehearsalError; StoreError, LayerError where a layer cannot be read.
    """
    wanted = sorted(named.wanted, key=str)
    places = _places(named)
    judge = _Judge(named)
    images: list[RehearsedImage] = []
    why_together = None
    if wanted:
        with ExitStack() as stack:
            packed = [path for path in files.tree if path.startswith(f"{ROOT}/")]
            opened = stack.enter_context(OpenFiles(store, files.stack, packed))
            pulls, why_together = stack.enter_context(_pulling(PackedRegistry(opened), wanted, platform))
            for pulled in pulls:
                images.append(RehearsedImage(judge(pulled), places[pulled.image]))
                observe(images[-1])
    findings = named.findings
    return Rehearsal(tuple(images), platform, why_together, findings.unreadable, named.skipped, findings.warnings)


def _places(named: Named) -> Mapping[Reference, tuple[Place, ...]]:
    places: dict[Reference, list[Place]] = {image: [] for image in named.wanted}
    for found in named.findings.found:
        places[found.image].append(found.place)
    for image in named.record.images:
        if not places[image]:
            places[image].append(Place(RECORD))
    return {image: tuple(dict.fromkeys(there)) for image, there in places.items()}


@contextmanager
def _pulling(
    registry: PackedRegistry, images: Sequence[Reference], platform: Platform
) -> Iterator[tuple[Iterator[Pulled], str | None]]:
    """Return what comes of pulling each, and why the node is no process of its own, None where it is."""
    with ExitStack() as stack:
        alone = stack.enter_context(_node_alone())
        if isinstance(alone, _Alone):
            failures = stack.enter_context(serving(registry, alone.listener))
            order = {"platform": str(platform), "images": [str(one) for one in images]}
            yield _checked(alone.pull(order), failures), None
            return
        listener = stack.enter_context(_listening())
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        failures = stack.enter_context(serving(registry, listener))
        node = Node(address, platform)
        stack.callback(node.close)
        yield _checked(map(node.pull, images), failures), alone


def _checked(pulls: Iterator[Pulled], failures: Sequence[KubeimageError]) -> Iterator[Pulled]:
    """Yield what comes; a layer of ours that cannot be read is no flaw of what is packed."""
    for pulled in pulls:
        if failures:
            raise failures[0]
        yield pulled


@contextmanager
def _listening() -> Iterator[socket.socket]:
    try:
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    except OSError as error:
        raise RehearsalError(
            f"nothing can be served on 127.0.0.1 here: {error.strerror}",
            hint="set the loopback up: ip link set lo up",
        ) from error
    with listener:
        yield listener


@dataclass(frozen=True)
class _Alone:
    """A node in a network of its own. Shape: ``listener`` is in that network."""

    channel: socket.socket
    listener: socket.socket

    def pull(self, order: object) -> Iterator[Pulled]:
        """Have the node pull what is ordered.

        Raises: RehearsalError where it ends too early.
        """
        try:
            send(self.channel, order)
            for said in receive(self.channel):
                if said is None:
                    return
                yield from_json(said)
        except (OSError, ValueError) as error:
            raise RehearsalError(_CUT) from error
        raise RehearsalError(_CUT)


@contextmanager
def _node_alone() -> Iterator[_Alone | str]:
    """Start a node in a network of its own; give the reason where there can be none."""
    with ExitStack() as stack:
        try:
            channel = stack.enter_context(started(NODE))
            first, descriptors, _, _ = socket.recv_fds(channel, 1 << 16, 1)
        except OSError as error:
            yield why_not_alone(error.strerror or str(error))
            return
        if not descriptors:
            yield why_not_alone(json.loads(first)["problem"] if first.endswith(b"\n") else "the node did not start")
            return
        listener = stack.enter_context(socket.socket(fileno=descriptors[0]))
        yield _Alone(channel, listener)


class _Judge:
    """Says of what was pulled whether it is the image that was named: the packed registry knows no hosts.

    What was packed is recorded with its host. Without a record, two hosts' images under one name are one too many.
    """

    def __init__(self, named: Named) -> None:
        self._recorded = named.record.images
        self._by_path: dict[tuple[str, str], list[Reference]] = {}
        for image in sorted(self._recorded or named.wanted, key=str):
            if image.tag:
                self._by_path.setdefault((image.repository, image.tag), []).append(image)

    def __call__(self, pulled: Pulled) -> Pulled:
        image = pulled.image
        if pulled.status != "pulled" or image.digest is not None or pulled.digest is None:
            return pulled
        others = [one for one in self._by_path.get((image.repository, image.tag), ()) if one != image]
        if not self._recorded:
            return _other(pulled, f"nothing says whose it is: {others[0]} has the same name") if others else pulled
        wanted = self._recorded.get(image)
        if wanted is None:
            return _other(pulled, f"{others[0]} would answer for it") if others else pulled
        if wanted == pulled.digest:
            return pulled
        owner = next((one for one in others if self._recorded[one] == pulled.digest), None)
        if owner is not None:
            return _other(pulled, f"{owner} would answer for it")
        return _damaged(pulled, f"its tag leads to {pulled.digest}, and {wanted} was packed")


def _other(pulled: Pulled, what: str) -> Pulled:
    return Pulled(pulled.image, "other", what, pulled.digest, pulled.size)


def _damaged(pulled: Pulled, what: str) -> Pulled:
    return Pulled(pulled.image, "damaged", what, pulled.digest, pulled.size)
