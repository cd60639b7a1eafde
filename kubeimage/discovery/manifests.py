"""Where Kubernetes manifests name images.

Certain: containers of a pod spec, wherever one stands (a template of any kind, a list, a custom resource), image
volumes, and what is known of a kind (`kinds.py`). Guesses: keys that mean images, names split over several keys, and
all that is written as a name with a registry or digest, wherever it stands: keys, arguments, annotations, texts within
texts to any depth. What reads as a name and is none, or stands where none is meant, is passed over with the reason.
"""

from __future__ import annotations

import re

from kubeimage.discovery.documents import Document, Node, iter_documents, line_of
from kubeimage.discovery.findings import COMMENT, Findings, Found, Notebook, Place, Skipped, Unreadable
from kubeimage.discovery.hints import About, Hint, hints_of_piece
from kubeimage.discovery.kinds import Kinds, known_kinds, name_of_kind
from kubeimage.discovery.names import TEMPLATE, Form, iter_tokens, suggest
from kubeimage.discovery.references import has_template, read_name
from kubeimage.discovery.text import iter_pieces
from kubeimage.discovery.walk import Walk, may_name_images, show_way

TEMPLATE_SUFFIX = ".tmpl"
_UNPLACED = "it reads as a name, where no value stands"
_LONGEST_SHOWN = 200
_COMMENT_START = re.compile(r"(?:^|\s)#")


def find_in_manifest(text: str, file: str, kinds: Kinds | None = None) -> Findings:
    """Find the images that the documents of ``text`` name."""
    reader = _Reader(text, file, known_kinds() if kinds is None else kinds)
    for document in iter_documents(text):
        reader.read(document)
    reader.add_unseen()
    return reader.notes.close()


def find_in_text(text: str, file: str) -> Findings:
    """Find the images that lines of ``text`` seem to name."""
    reader = _Reader(text, file, {})
    reader.read_lines(Document(1, 1, text))
    return reader.notes.close()


def list_in_file(text: str, file: str) -> Findings:
    """List the names with a registry or digest in a file that is no manifest: nothing says that they are meant."""
    reader = _Reader(text, file, {})
    reader.add_unseen("in a file that is no manifest")
    return reader.notes.close()


class _Reader:
    """Reads one file."""

    def __init__(self, text: str, file: str, kinds: Kinds) -> None:
        self.notes = Notebook()
        self._text = text
        self._file = file
        self._kinds = kinds
        self._is_template = file.lower().endswith(TEMPLATE_SUFFIX)
        self._seen = set[str]()

    def read(self, document: Document) -> None:
        """Read a document: its structure, or its lines where it has none."""
        if document.problem is not None:
            if not self._is_template and not has_template(document.text):
                self.notes.warnings.append(
                    f"{self._file}: not YAML: {document.problem}; what its lines seem to name is guessed"
                )
            self.read_lines(document)
            return
        if may_name_images(document.text) or self._is_known(document.value):
            for hint in Walk(self._kinds).hints(document.value):
                self._judge(hint, document)

    def _is_known(self, value: Node) -> bool:
        """Whether a document, or an item of a list of them, is of a known kind."""
        if not isinstance(value, dict):
            return False
        items = value.get("items")
        inside = items if isinstance(items, list) else []
        return any(name_of_kind(one) in self._kinds for one in (value, *inside) if isinstance(one, dict))

    def read_lines(self, document: Document) -> None:
        """Read a document by its lines alone."""
        for piece in iter_pieces(document.text):
            tail = f"line {document.line - 1 + piece.line}"
            if piece.comment:
                self._judge(Hint(piece.text, None, "", reason=COMMENT, tail=tail), document)
                continue
            for hint in hints_of_piece(piece, None, About.NOTHING, tail):
                self._judge(hint, document)

    def add_unseen(self, reason: str = _UNPLACED) -> None:
        """List the names that nothing else has seen, such as those in comments: nothing is left out in silence."""
        unseen = {
            token.text
            for token in iter_tokens(self._text)
            if token.form is Form.HOST and token.text not in self._seen and not token.address
        }
        for name in sorted(unseen):
            before, _, _ = self._text.partition(name)
            in_comment = _COMMENT_START.search(before.rpartition("\n")[2]) is not None
            place = Place(self._file, path=f"line {before.count(chr(10)) + 1}")
            self.notes.skipped.append(Skipped(name, place, COMMENT if in_comment else reason))

    def _judge(self, hint: Hint, document: Document) -> None:
        text = hint.text.strip()
        self._seen.add(text)
        if hint.reason is not None:
            self._skip(hint, document, hint.reason)
            return
        image = read_name(text, certain=hint.certain)
        if not isinstance(image, str):
            self.notes.found.append(Found(image, self._place(hint, document), hint.rule, hint.certain))
        elif not hint.certain:
            if not hint.quiet:
                self._skip(hint, document, image)
        elif self._is_template or has_template(text):
            self._skip(hint, document, TEMPLATE)
        else:
            self._refuse(hint, document, image)

    def _skip(self, hint: Hint, document: Document, reason: str) -> None:
        self.notes.skipped.append(Skipped(hint.text[:_LONGEST_SHOWN], self._place(hint, document), reason))

    def _refuse(self, hint: Hint, document: Document, reason: str) -> None:
        line = line_of(document.text, hint.at.all()) if hint.at is not None else None
        place, text = self._place(hint, document), hint.text[:_LONGEST_SHOWN]
        at = document.line - 1 + line if line is not None else 0
        self.notes.unreadable.append(Unreadable(text, place, at, reason, suggest(hint.text[:_LONGEST_SHOWN])))

    def _place(self, hint: Hint, document: Document) -> Place:
        way = show_way(hint.at)
        separator = ", " if way and hint.tail else ""
        return Place(self._file, document.number, f"{way}{separator}{hint.tail}")
