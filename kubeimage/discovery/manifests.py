"""Where Kubernetes manifests name images.

Certain: containers of a pod spec, wherever one stands (a template of any kind, a list, a custom resource), and image
volumes. Guesses: any other key that ends in ``image``, environment variables and arguments that say they hold one,
kustomize's ``images``, and the lines of texts that are held as data, such as scripts and YAML in a ConfigMap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from kubeimage.discovery.documents import MERGE, Document, Node, iter_documents, lookup
from kubeimage.discovery.findings import Findings, Found, Notebook, Place, Skipped
from kubeimage.discovery.references import read_name
from kubeimage.discovery.text import iter_lines

_CONTAINER_LISTS = frozenset({"containers", "initContainers", "ephemeralContainers"})
# What people write for people, and what kubectl remembers of an older state.
_PROSE = frozenset({"description", "kubectl.kubernetes.io/last-applied-configuration", "caBundle", "summary"})
_SCHEMAS = frozenset({"openAPIV3Schema", "validation"})

LINE_RULE = "line"


class _Hint(NamedTuple):
    """A text that may be a name."""

    text: str
    path: str
    rule: str
    certain: bool


def find_in_manifest(text: str, file: str) -> Findings:
    """Find the images that the documents of ``text`` name."""
    notes = Notebook()
    for document in iter_documents(text, containing="image"):
        if document.problem is not None:
            _judge(notes, file, document, _hints_of_lines(document.text, "", document.line - 1))
            continue
        _judge(notes, file, document, _walk(document.value))
    return notes.close()


def find_in_text(text: str, file: str) -> Findings:
    """Find the images that lines of ``text`` seem to name."""
    notes = Notebook()
    _judge(notes, file, Document(1, 1, text), _hints_of_lines(text, "", 0))
    return notes.close()


def _judge(notes: Notebook, file: str, document: Document, hints: Iterator[_Hint]) -> None:
    for hint in hints:
        place = Place(file, document.number, hint.path)
        image = read_name(hint.text, certain=hint.certain)
        if isinstance(image, str):
            notes.skipped.append(Skipped(hint.text[:200], place, image))
        else:
            notes.found.append(Found(image, place, hint.rule, hint.certain))


def _hints_of_lines(text: str, path: str, before: int) -> Iterator[_Hint]:
    for number, value in iter_lines(text):
        line = f"line {before + number}"
        yield _Hint(value, f"{path}, {line}" if path else line, LINE_RULE, certain=False)


def _walk(root: Node) -> Iterator[_Hint]:
    """Look at every part once, however often it is referred to."""
    todo: list[tuple[Node, str]] = [(root, "")]
    seen: set[int] = set()
    while todo:
        node, path = todo.pop()
        if not isinstance(node, dict | list) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, list):
            yield from _texts_of_list(node, path)
            todo += [(one, f"{path}[{number}]") for number, one in enumerate(node)][::-1]
            continue
        yield from _hints_of(node, path)
        below = [(one, _join(path, key)) for key, one in node.items() if key not in _SCHEMAS]
        todo += below[::-1]


def _hints_of(mapping: Mapping[str, Node], path: str) -> Iterator[_Hint]:
    explained = set[str]()
    for key, value in mapping.items():
        if key in _CONTAINER_LISTS:
            yield from _containers(value, _join(path, key))
    if _is_container(path):
        explained.add("image")
        yield from _environment(lookup(mapping, "env"), _join(path, "env"))
        for key in ("command", "args"):
            yield from _arguments(lookup(mapping, key), _join(path, key))
    if path.rpartition(".")[2].startswith("volumes[") and isinstance(volume := mapping.get("image"), dict):
        reference = volume.get("reference")
        if isinstance(reference, str):
            yield _Hint(reference, f"{path}.image.reference", "image volume", certain=True)
    if mapping.get("kind") == "Kustomization":
        yield from _kustomized(mapping.get("images"), _join(path, "images"))
    for key, value in mapping.items():
        if isinstance(value, str) and key not in explained:
            yield from _texts(key, value, _join(path, key))


def _is_container(path: str) -> bool:
    head, bracket, _ = path.rpartition(".")[2].partition("[")
    return bool(bracket) and head in _CONTAINER_LISTS


def _containers(node: Node, path: str) -> Iterator[_Hint]:
    for number, container in enumerate(node if isinstance(node, list) else ()):
        if not isinstance(container, dict):
            continue
        image = lookup(container, "image")
        if isinstance(image, str):
            yield _Hint(image, f"{path}[{number}].image", "container", certain=True)


def _environment(node: Node, path: str) -> Iterator[_Hint]:
    for number, variable in enumerate(node if isinstance(node, list) else ()):
        if isinstance(variable, dict) and isinstance(value := variable.get("value"), str):
            name = variable.get("name")
            # OpenShift's operators call them RELATED_IMAGE_…
            if isinstance(name, str) and (name.lower().endswith("image") or name.startswith("RELATED_IMAGE_")):
                yield _Hint(value, f"{path}[{number}].value", "environment", certain=False)


def _arguments(node: Node, path: str) -> Iterator[_Hint]:
    words = [one if isinstance(one, str) else "" for one in node] if isinstance(node, list) else []
    for number, word in enumerate(words):
        key, equals, value = word.partition("=")
        if not key.startswith("-") or "\n" in word:
            continue
        if not equals and key.lower().endswith("image") and number + 1 < len(words):
            yield _Hint(words[number + 1], f"{path}[{number + 1}]", "argument", certain=False)
        elif equals and (key.lower().endswith("image") or _has_host(value)):
            yield _Hint(value, f"{path}[{number}]", "argument", certain=False)


def _has_host(value: str) -> bool:
    """Whether a value is so much like an image's name that its key need not say so."""
    host, slash, rest = value.partition("/")
    if not slash or "." not in host or "://" in value or ":" not in rest:
        return False
    return not isinstance(read_name(value, certain=False), str)


def _kustomized(node: Node, path: str) -> Iterator[_Hint]:
    for number, image in enumerate(node if isinstance(node, list) else ()):
        if not isinstance(image, dict):
            continue
        name = image.get("newName") or image.get("name")
        tag, digest = image.get("newTag"), image.get("digest")
        if isinstance(name, str) and (tag or digest):
            text = f"{name}{f':{tag}' if tag else ''}{f'@{digest}' if digest else ''}"
            yield _Hint(text, f"{path}[{number}]", "kustomize", certain=False)


def _texts(key: str, value: str, path: str) -> Iterator[_Hint]:
    if key in _PROSE:
        return
    if _is_text(value):
        yield from _hints_of_lines(value, path, 0)
    elif key.lower().endswith("image") and value:
        yield _Hint(value, path, "key", certain=False)


def _texts_of_list(items: list[Node], path: str) -> Iterator[_Hint]:
    for number, item in enumerate(items):
        if isinstance(item, str) and _is_text(item):
            yield from _hints_of_lines(item, f"{path}[{number}]", 0)


def _is_text(value: str) -> bool:
    """Whether a value is a text of its own: a script, YAML, JSON."""
    return "\n" in value.strip() or value.lstrip().startswith(('{"', "[{"))


def _join(path: str, key: str) -> str:
    if key == MERGE:
        return path
    shown = key if key and all(char.isalnum() or char in "_-" for char in key) else f"[{key!r}]"
    if not path:
        return shown
    return f"{path}{shown}" if shown.startswith("[") else f"{path}.{shown}"
