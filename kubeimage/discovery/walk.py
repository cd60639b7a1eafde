"""Goes through all of a document, each part once, and gives whatever may be a name, with the way to it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from kubeimage.discovery.documents import MERGE, Mapping, Node, iter_documents, lookup
from kubeimage.discovery.findings import COMMENT
from kubeimage.discovery.hints import (
    IN_EXAMPLE,
    IN_PROSE,
    OUTDATED,
    About,
    Hint,
    Steps,
    about,
    hints_of_piece,
    hints_of_scalar,
    tokens_for,
)
from kubeimage.discovery.kinds import Kinds, compose, name_of_kind, texts_at
from kubeimage.discovery.references import read_name
from kubeimage.discovery.splits import join_split
from kubeimage.discovery.text import iter_pieces

_CONTAINER_LISTS = frozenset({"containers", "initContainers", "ephemeralContainers"})
# What people write for people, and what kubectl remembers of an older state.
_PROSE = frozenset({"description", "summary", "title", "longDescription", "displayName", "notes", "documentation"})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SCHEMAS = frozenset({"openAPIV3Schema", "validation"})
_EXAMPLES = frozenset({"example", "examples", "alm-examples"})
_ENCODED = {"Secret": "data", "ConfigMap": "binaryData"}
_VALUE_KEYS = ("value", "default")
_INJECTED = ("auto", "in the pod's stead, Istio fills it in")
_DEEPEST = 8
_STRUCTURE = re.compile(r"^\s*[{\[]|^[ \t]*(?:- )?[\w./\"'-]+:(?:[ \t]|$)", re.MULTILINE)
_MAY_NAME = re.compile(
    r"image|repository|[A-Za-z0-9]:[A-Za-z0-9]|@sha|\\[xuU/]|elastic\.co|Secret|binaryData", re.IGNORECASE
)


def may_name_images(text: str) -> bool:
    """Whether a document can name images at all: a look that costs little."""
    return _MAY_NAME.search(text) is not None


class _Around(NamedTuple):
    """What surrounds a value.

    Shape: ``why`` is the reason why nothing below is meant as an image. ``of_schema`` is the name of the property that
           a schema describes, None outside of schemas.
    """

    says: About = About.NOTHING
    why: str | None = None
    of_schema: str | None = None
    is_container: bool = False
    key: str = ""

    @property
    def says_below(self) -> About:
        """What the keys of a mapping are about for the sake of the key that it stands at, as in ``images``."""
        return About.IMAGES if self.says and self.key else About.NOTHING


def _said_of(key: str, names: Node, around: _Around) -> About:
    """Return what is said of the text at ``key``: by the key, by those above, by a ``name: …`` beside ``value: …``."""
    says = about(key) or around.says_below
    if key in _VALUE_KEYS and type(names) is str:
        return max(says, about(names))
    return says


def _around_below(key: str, value: Node, around: _Around) -> _Around:
    """Return what is known of a list or mapping at ``key`` before it is looked into."""
    of_schema = "" if key in _SCHEMAS and isinstance(value, dict) else None
    says = min(about(key), About.IMAGES)
    return _Around(says, around.why or _why(key), of_schema, key=key)


class Walk:
    """One way through a document, or through a text in one."""

    def __init__(self, kinds: Kinds, depth: int = 0) -> None:
        self._kinds = kinds
        self._depth = depth
        self._explained = set[tuple[str | int, ...]]()

    def hints(self, root: Node, start: Steps | None = None) -> Iterator[Hint]:
        """Look at every part once, however often it is referred to."""
        todo: list[tuple[Node, Steps | None, _Around]] = [(root, start, _Around())]
        seen: set[int] = set()
        while todo:
            node, at, around = todo.pop()
            if isinstance(node, str):
                yield from self._scalar(node, at, around)
                continue
            if not isinstance(node, dict | list) or id(node) in seen:
                continue
            seen.add(id(node))
            below: list[tuple[Node, Steps | None, _Around]] = []
            if isinstance(node, list):
                yield from self._of_list(node, at, around, below)
            elif around.of_schema is not None:
                yield from self._of_schema(node, at, around, below)
            else:
                yield from self._of_mapping(node, at, around, below)
            todo += below[::-1]

    def _of_list(
        self, items: list[Node], at: Steps | None, around: _Around, below: list[tuple[Node, Steps | None, _Around]]
    ) -> Iterator[Hint]:
        inner = around._replace(is_container=around.key in _CONTAINER_LISTS)
        option = ""
        for number, item in enumerate(items):
            here = Steps(at, number)
            if isinstance(item, str):
                says = about(option) if option else around.says
                yield from self._scalar(item, here, around._replace(says=max(says, around.says)))
                option = item if item.startswith("-") and "=" not in item and "\n" not in item else ""
            else:
                below.append((item, here, inner))

    def _of_mapping(
        self,
        mapping: dict[str, Node],
        at: Steps | None,
        around: _Around,
        below: list[tuple[Node, Steps | None, _Around]],
    ) -> Iterator[Hint]:
        """Judge the texts of a mapping, and put what else it holds onto ``below``.

        Example: of ``{image: a:1, env: […]}`` the name is a hint, and the list waits in ``below``.
        """
        if around.why is None:
            yield from self._meant(mapping, at, around)
        names = mapping.get("name") or mapping.get("key")
        encoded = _ENCODED.get(str(mapping["kind"])) if "kind" in mapping else None
        twins = mapping.twins if isinstance(mapping, Mapping) and mapping.twins else ()
        for key, value in (*mapping.items(), *twins):
            if ":" in key or "@" in key:
                yield from hints_of_scalar(key, Steps(at, key), About.NOTHING)
            if type(value) is str:
                says = _said_of(key, names, around)
                # Most texts of most documents are no names: nothing is made for them.
                if says or _is_worth_a_look(value):
                    here = at if key == MERGE else Steps(at, key)
                    yield from self._scalar(value, here, _Around(says, around.why or _why(key), key=key))
                continue
            here = at if key == MERGE else Steps(at, key)
            if key in _CONTAINER_LISTS and around.why is None:
                yield from self._containers(value, Steps(at, key))
            if key == encoded and isinstance(value, dict):
                for name, text in value.items():
                    yield from self._decoded(text, Steps(here, name), around)
            else:
                below.append((value, here, _around_below(key, value, around)))

    def _of_schema(
        self,
        mapping: dict[str, Node],
        at: Steps | None,
        around: _Around,
        below: list[tuple[Node, Steps | None, _Around]],
    ) -> Iterator[Hint]:
        """Look at what a schema gives by itself: defaults and choices; the rest is for people."""
        in_properties = at is not None and at.step == "properties" and around.key == "properties"
        for key, value in mapping.items():
            here = Steps(at, key)
            if in_properties:
                below.append((value, here, around._replace(of_schema=key, key=key)))
            elif key in ("default", "enum", "const"):
                inner = _Around(about(around.of_schema or ""), key=around.of_schema or "")
                below.append((value, here, inner))
            elif key in _EXAMPLES:
                below.append((value, here, _Around(why=IN_EXAMPLE)))
            elif isinstance(value, str):
                if key != "pattern":
                    yield from tokens_for(IN_PROSE, value, here)
            else:
                below.append((value, here, around._replace(key=key)))

    def _meant(self, mapping: dict[str, Node], at: Steps | None, around: _Around) -> Iterator[Hint]:
        """Yield what is meant as an image by the structure: certain, outside of texts that a document holds."""
        certain = self._depth == 0
        volume = mapping.get("image")
        if isinstance(volume, dict) and _is_in(at, "volumes") and isinstance(volume.get("reference"), str):
            where = Steps(Steps(at, "image"), "reference")
            yield from self._explain(str(volume["reference"]), where, "image volume", certain=certain)
        kind = name_of_kind(mapping)
        if kind is not None and kind in self._kinds:
            yield from self._of_kind(mapping, at, kind)
        if mapping.get("kind") == "Kustomization":
            yield from self._kustomized(mapping.get("images"), Steps(at, "images"))
        elif not around.is_container or not isinstance(mapping.get("image"), str):
            yield from self._split(mapping, at, around)

    def _containers(self, node: Node, at: Steps) -> Iterator[Hint]:
        for number, container in enumerate(node if isinstance(node, list) else ()):
            if isinstance(container, dict) and isinstance(image := lookup(container, "image"), str):
                where = Steps(Steps(at, number), "image")
                yield from self._explain(image, where, "container", certain=self._depth == 0)

    def _of_kind(self, mapping: dict[str, Node], at: Steps | None, kind: str) -> Iterator[Hint]:
        for path in self._kinds[kind].images:
            for steps, text in texts_at(mapping, path):
                here = at
                for step in steps:
                    here = Steps(here, step)
                if here is not None and text:
                    yield from self._explain(text.removeprefix("docker://"), here, "kind", certain=self._depth == 0)
        for pattern in self._kinds[kind].composed:
            for text in compose(mapping, pattern):
                yield Hint(text, Steps(at, "spec"), "kind", quiet=True)

    def _explain(self, text: str, at: Steps, rule: str, *, certain: bool) -> Iterator[Hint]:
        way = at.all()
        if way in self._explained:
            return
        self._explained.add(way)
        if text == _INJECTED[0] and rule == "container":
            yield Hint(text, at, rule, reason=_INJECTED[1])
        else:
            yield Hint(text, at, rule, certain=certain)

    def _kustomized(self, node: Node, at: Steps) -> Iterator[Hint]:
        for number, image in enumerate(node if isinstance(node, list) else ()):
            if not isinstance(image, dict):
                continue
            name = image.get("newName") or image.get("name")
            tag, digest = image.get("newTag"), image.get("digest")
            if isinstance(name, str) and (tag or digest):
                text = f"{name}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"
                self._explained.add(Steps(at, number).all())
                yield Hint(text, Steps(at, number), "kustomize")

    def _split(self, mapping: dict[str, Node], at: Steps | None, around: _Around) -> Iterator[Hint]:
        """Yield the name that several keys make together."""
        split = join_split(mapping, about_images=bool(around.says)) if len(mapping) > 1 or around.says else None
        if split is None or (at is not None and at.all() in self._explained):
            return
        if split.is_whole:
            for key in split.keys:
                self._explained.add(Steps(at, key).all())
            yield Hint(split.text, at, "split", quiet=not around.says and "/" not in split.text)
        elif "/" in split.text and not isinstance(read_name(split.text, certain=True), str):
            yield from hints_of_scalar(split.text, at, About.IMAGE)

    def _decoded(self, text: Node, at: Steps, around: _Around) -> Iterator[Hint]:
        """Look into what a Secret holds."""
        try:
            decoded = base64.b64decode(text, validate=True).decode("utf-8") if isinstance(text, str) else ""
        except (binascii.Error, ValueError):
            decoded = ""
        if (decoded and decoded.isprintable()) or "\n" in decoded:
            yield from self._scalar(decoded, at, around._replace(says=about(str(at.step))))
        elif isinstance(text, str):
            yield from self._scalar(text, at, around)

    def _scalar(self, text: str, at: Steps | None, around: _Around) -> Iterator[Hint]:
        if not text or not (around.says or _is_worth_a_look(text)):
            return
        if around.why is not None:
            yield from tokens_for(around.why, text, at)
        elif _is_text(text):
            yield from self._text(text, at, around)
        elif at is None or at.all() not in self._explained:
            yield from hints_of_scalar(text, at, around.says)

    def _text(self, text: str, at: Steps | None, around: _Around) -> Iterator[Hint]:
        """Look into a text that a document holds: a document itself, or lines."""
        if self._depth < _DEEPEST and "{{" not in text and may_name_images(text) and _STRUCTURE.search(text):
            documents = list(iter_documents(text))
            if documents and all(isinstance(one.value, dict | list) for one in documents):
                inside = Walk(self._kinds, self._depth + 1)
                for document in documents:
                    step = "" if len(documents) == 1 else f"document {document.number}"
                    yield from inside.hints(document.value, Steps(at, f"!{step}"))
                for piece in iter_pieces(text):
                    if piece.comment:
                        yield Hint(piece.text, at, "", reason=COMMENT, tail=f"line {piece.line}")
                return
        for piece in iter_pieces(text):
            tail = f"line {piece.line}"
            if piece.comment:
                yield Hint(piece.text, at, "", reason=COMMENT, tail=tail)
            else:
                yield from hints_of_piece(piece, at, around.says, tail)


def show_way(at: Steps | None) -> str:
    """Return a way as people write it: ``spec.containers[0].image``; ``!`` begins a text within."""
    shown = ""
    for step in at.all() if at is not None else ():
        if isinstance(step, int):
            shown += f"[{step}]"
        elif step.startswith("!"):
            shown += f"!{step[1:]}!" if step[1:] else "!"
        else:
            plain = _plain(step)
            shown += plain if not shown or plain.startswith("[") or shown.endswith("!") else f".{plain}"
    return shown


@cache
def _plain(key: str) -> str:
    return key if key and all(char.isalnum() or char in "_-" for char in key) else f"[{key!r}]"


def _is_in(at: Steps | None, key: str) -> bool:
    """Whether a way ends in an item of the list ``key``."""
    return at is not None and isinstance(at.step, int) and at.before is not None and at.before.step == key


@cache
def _why(key: str) -> str | None:
    """Return the reason why nothing at a key is meant as an image."""
    if key == _LAST_APPLIED:
        return OUTDATED
    return IN_EXAMPLE if key in _EXAMPLES else IN_PROSE if key in _PROSE else None


def _is_worth_a_look(text: str) -> bool:
    """Whether a text that its key says nothing of can name an image."""
    return ":" in text or "@" in text or "/" in text or "\n" in text or "=" in text


def _is_text(value: str) -> bool:
    """Whether a value is a text of its own: a script, YAML, JSON."""
    return "\n" in value.strip() or value.lstrip().startswith(('{"', "[{", '["', "{'"))
