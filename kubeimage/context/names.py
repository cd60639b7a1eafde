"""What the name of a file alone says about it: refused, left out, or worth a warning.

Source: the project's design, "The language" (COPY); OCI image-spec v1.1, layer.md, "Whiteouts".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kubeimage.errors import UnsupportedSourceError
from kubeimage.layer.entry import WHITEOUT_PREFIX
from kubeimage.lock.lockfile import FIRST_LINE, KNOWN_NAMES, SUFFIX

AUTH_LIST = "imageListWithAuth.yaml"
"""The list of registries with their passwords: read by the builder, never copied into a layer."""

_SECRET_NAMES = frozenset(
    {
        ".dockercfg",
        ".dockerconfigjson",
        ".git-credentials",
        ".htpasswd",
        ".netrc",
        ".npmrc",
        ".pgpass",
        ".pypirc",
        "admin.conf",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        "id_rsa",
        "kubeconfig",
        "privkey.pem",
    }
)
_SECRET_ENDINGS = (".key", "-key.pem", ".p12", ".pfx", ".kubeconfig")
_NOTABLE_NAMES = _SECRET_NAMES | {AUTH_LIST}
_NOTABLE_ENDINGS = (*_SECRET_ENDINGS, SUFFIX)
_MOST_WARNINGS = 10


def are_plain(names: Sequence[str]) -> bool:
    """Whether `check_name`, `AUTH_LIST`, `is_lock` and `looks_secret` have nothing to say about any of ``names``.

    All names of a directory are asked about at once, in a few calls: one by one would take as long as their lstat.
    """
    text = "/" + "/".join(names) + "/"
    return (
        text.isascii()
        and _NOTABLE_NAMES.isdisjoint(names)
        and "/" + WHITEOUT_PREFIX not in text
        and not any(ending + "/" in text for ending in _NOTABLE_ENDINGS)
    )


def looks_secret(name: str) -> bool:
    """Whether a file of that name is likely to hold a private key or a password."""
    return name in _SECRET_NAMES or name.endswith(_SECRET_ENDINGS)


def is_lock(name: str, begins: Callable[[bytes], bool]) -> bool:
    """Whether a file is the lock of a Kubefile, by its name, or by how it ``begins``, whatever the Kubefile's name is.

    Every project has locks of other tools, which are files as any other.
    """
    return name.endswith(SUFFIX) and (name in KNOWN_NAMES or begins(FIRST_LINE.encode()))


def is_text(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8: bytes of a name that are not come as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_name(name: str, path: str) -> None:
    """Refuse a name that no layer can hold; ``path`` is where it stands in the context.

    Raises: UnsupportedSourceError.
    """
    if name.startswith(WHITEOUT_PREFIX):
        raise UnsupportedSourceError(
            f"COPY found {path!r}: a name that starts with {WHITEOUT_PREFIX!r} marks a deletion in a layer",
            hint="rename the file, or leave it out with a .kubeignore",
        )
    if not is_text(name):
        raise UnsupportedSourceError(
            f"COPY found {path!r}: a layer holds names that are UTF-8, and this one is not",
            hint="rename the file, or leave it out with a .kubeignore",
        )


def secret_warnings(paths: Iterable[str]) -> list[str]:
    """Say which files look as if they should not be in an image; a crowd is only counted."""
    found = list(paths)
    shown = [f"{path!r} looks like a private key or a credential, and is copied into the image" for path in found]
    more = len(found) - _MOST_WARNINGS
    return shown if more <= 0 else [*shown[:_MOST_WARNINGS], f"… and so do {more} more files"]


def auth_list_warnings(paths: Iterable[str]) -> list[str]:
    """Say which lists of passwords were left out."""
    return [f"{path!r} holds credentials and was left out: no layer ever has it" for path in paths]
