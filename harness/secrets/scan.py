"""Every layer of an image searched for secrets, in pieces; what a later layer hides or deletes is found as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import BinaryIO

from harness.images.image import AnyImage
from harness.images.layerindex import BuiltLayer
from harness.secrets.rules import Rule, read_rules
from kubeimage.layer.entry import Kind
from kubeimage.layer.reader import Content, iter_contents

PIECE = 1 << 20
OVERLAP = 1 << 10
"""So much of a piece is looked at again with the next one: longer than any match. Units: bytes."""

ENV, HISTORY = "ENV", "HISTORY"


@dataclass(frozen=True)
class Secret:
    """A secret in an image.

    Shape: ``path`` is the file's, or ``ENV NAME`` or ``HISTORY N`` in the config, where ``layer`` is None.
           ``hidden`` says that a later layer has replaced or deleted the file. ``shown`` are its first letters.
    """

    rule: str
    what: str
    path: str
    layer: BuiltLayer | None
    hidden: bool
    shown: str


def find_secrets(image: AnyImage, allowed: Sequence[str] = ()) -> Iterator[Secret]:
    """Yield the secrets of an image: those of its config, then those of each layer, lowest first.

    Shape:  ``allowed`` are globs of paths, or of ``RULE:PATH``. A file with several of one kind is told once.
    Raises: KubeimageError where the image cannot be read.
    """
    rules = read_rules()
    yield from (one for one in _in_config(image, rules) if not _is_allowed(one.rule, one.path, allowed))
    with image.open() as opened:
        for number, layer in enumerate(image.layers):
            with opened.layers.open(layer.diff_id) as tar:
                for rule, path, shown in _in_layer(tar, rules):
                    if not _is_allowed(rule.id, path, allowed):
                        yield Secret(rule.id, rule.what, path, layer, _is_hidden(image, path, number), shown)


def _in_config(image: AnyImage, rules: Sequence[Rule]) -> Iterator[Secret]:
    texts = [(f"{ENV} {key}", ENV, f"{key}={value}") for key, value in image.config.env.items()]
    texts += [(f"{HISTORY} {number}", HISTORY, text) for number, text in enumerate(image.history, 1)]
    for path, kind, text in texts:
        for rule in rules:
            found = next(rule.matches(text.encode()), None) if rule.is_about(kind) else None
            if found is not None:
                yield Secret(rule.id, rule.what, path, None, hidden=False, shown=found.shown)


def _in_layer(tar: BinaryIO, rules: Sequence[Rule]) -> Iterator[tuple[Rule, str, str]]:
    for entry, content in iter_contents(tar):
        if content is None or entry.kind is not Kind.FILE or not entry.size:
            continue
        wanted = [rule for rule in rules if rule.is_about(entry.path)]
        for rule, shown in _in_file(content, wanted):
            yield rule, entry.path, shown


def _in_file(content: Content, rules: Sequence[Rule]) -> Iterator[tuple[Rule, str]]:
    left, before = list(rules), b""
    while left and (piece := content.read(PIECE)):
        data = before + piece
        for rule in [*left]:
            found = next(rule.matches(data), None)
            if found is not None:
                left.remove(rule)
                yield rule, found.shown
        before = data[-OVERLAP:]


def _is_hidden(image: AnyImage, path: str, number: int) -> bool:
    found = image.rootfs.get(path)
    return found is None or found.path != path or found.layer.number != number + 1


def _is_allowed(rule: str, path: str, allowed: Sequence[str]) -> bool:
    return any(fnmatchcase(path, glob) or fnmatchcase(f"{rule}:{path}", glob) for glob in allowed)
