"""``imageListWithAuth.yaml``: images to pack, with the credentials that their registries want.

    - registry: registry.example.com
      username: anna
      password: ...
      images:
        - team/app:v1                       # or registry.example.com/team/app:v1

It stands in the build context and is read for a build alone: it enters no layer, and what it says of a registry enters
no message, cache or image.

Source: sealer v0.8, build/layerutils/middleware.go.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from kubeimage.discovery.documents import Node, iter_documents
from kubeimage.discovery.references import parse_image
from kubeimage.disk.smallfile import read_small
from kubeimage.errors import CredentialsError, ReferenceFormatError
from kubeimage.image.reference import Reference
from kubeimage.registry.credentials import Credentials, CredentialStore
from kubeimage.values import dataclass

FILE = "imageListWithAuth.yaml"
_KEYS = ("registry", "username", "password", "images")


@dataclass(frozen=True)
class Section:
    """One registry's images. Its ``repr`` tells no secret."""

    registry: str
    images: tuple[Reference, ...]
    credentials: Credentials | None = None


class ListedCredentials(CredentialStore):
    """The credentials of the sections, and for all else those of this user."""

    def __init__(self, sections: Sequence[Section]) -> None:
        super().__init__()
        self._sections = [one for one in sections if one.credentials is not None]

    def get(self, host: str, repository: str = "") -> Credentials | None:
        """Return the credentials of the section that lists the repository, else of one for the registry.

        Raises: CredentialsError.
        """
        own = [one for one in self._sections if one.registry == host]
        listing = [one for one in own if any(image.repository == repository for image in one.images)]
        for section in (*listing, *own):
            return section.credentials
        return super().get(host, repository)


def read_auth_list(context: str) -> tuple[Section, ...]:
    """Read the file in a build context; none where there is none.

    Raises: CredentialsError, which names the section and tells nothing of it.
    """
    path = os.path.join(context, FILE)
    try:
        text = read_small(path, within=context).decode("utf-8")
    except FileNotFoundError:
        return ()
    except UnicodeDecodeError:
        raise CredentialsError(f"{FILE} is not UTF-8") from None
    except OSError as error:
        raise CredentialsError(f"{FILE} cannot be read: {error.strerror}") from error
    sections: list[Section] = []
    for document in iter_documents(text):
        if document.problem is not None:
            line = document.problem.partition(":")[0]
            raise CredentialsError(f"{FILE} is not YAML: {line if line.startswith('line ') else 'see its form'}")
        if not isinstance(document.value, list):
            raise CredentialsError(f"{FILE} is not a list of sections", hint=_HINT)
        sections += [_read_section(one, number) for number, one in enumerate(document.value, len(sections) + 1)]
    return tuple(sections)


_HINT = "a section has registry, username, password and images"


def _read_section(value: Node, number: int) -> Section:
    where = f"section {number} of {FILE}"
    if not isinstance(value, dict):
        raise CredentialsError(f"{where} is not a mapping", hint=_HINT)
    unknown = sorted(value.keys() - set(_KEYS))
    if unknown:
        raise CredentialsError(f"{where} has a key that means nothing: {unknown[0]!r}", hint=_HINT)
    registry, user, password = (_text(value, key, where) for key in _KEYS[:3])
    if bool(user) != bool(password):
        missing = "password" if user else "username"
        raise CredentialsError(f"{where} has no {missing}: it needs both, or neither", hint=_HINT)
    images = value.get("images") or []
    if not isinstance(images, list) or not all(isinstance(one, str) for one in images):
        raise CredentialsError(f"{where}: images is not a list of names", hint=_HINT)
    host = registry.removeprefix("https://").removeprefix("http://").rstrip("/")
    parsed = tuple(_read_image(str(one), host, where) for one in images)
    if not host and user:
        raise CredentialsError(f"{where} does not say for which registry it is", hint=_HINT)
    return Section(host, parsed, Credentials(user, password) if user else None)


def _text(value: dict[str, Node], key: str, where: str) -> str:
    found = value.get(key) or ""
    if not isinstance(found, str):
        raise CredentialsError(f"{where}: {key} is not a text", hint=_HINT)
    return found


def _read_image(name: str, host: str, where: str) -> Reference:
    """Read a name; one that says no registry means the section's."""
    head, slash, _ = name.partition("/")
    has_host = slash and (any(char in head for char in ".:") or head == "localhost")
    try:
        return parse_image(name if has_host or not host else f"{host}/{name}")
    except ReferenceFormatError as error:
        raise CredentialsError(f"{where}: {error.message}", hint=error.hint) from error
