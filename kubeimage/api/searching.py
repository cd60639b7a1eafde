"""How container images are looked for: what a caller wrote, and what the build context says itself."""

from __future__ import annotations

import os
from collections.abc import Sequence

from kubeimage.discovery.references import Choice, parse_ignore_file, parse_image
from kubeimage.discovery.search import Guesses, Search, Values
from kubeimage.disk.smallfile import read_small
from kubeimage.errors import UsageError
from kubeimage.patterns import pattern

_SET = pattern(r"([A-Za-z0-9][A-Za-z0-9_-]*)@")
IGNORE_FILES = (".imageignore", ".sealignore")
_LARGEST_VALUES = 16 << 20


def read_search(
    context: str | None,
    *,
    folders: Sequence[str] = (),
    ignored_images: Sequence[str] = (),
    added_images: Sequence[str] = (),
    ignored_charts: Sequence[str] = (),
    values: Sequence[str] = (),
    guesses: Guesses = "pack",
    kinds: Sequence[bytes] = (),
    namespace: str | None = None,
    kube_version: str | None = None,
    api_versions: Sequence[str] = (),
) -> Search:
    """Return how to look for container images, for ``BuildOptions`` and for ``images_of_image``.

    Shape:  ``context`` is a build context, whose ``.imageignore`` and ``.sealignore`` count, or None.
            ``folders`` are searched beside manifests/ and charts/; ``.`` is all of the image.
            ``ignored_images`` and ``ignored_charts`` are patterns, ``added_images`` are names.
            ``values`` are files for charts, as ``FILE`` or ``CHART=FILE``; ``SET@`` in front makes several sets.
            ``namespace``, ``kube_version`` and ``api_versions`` are what charts are rendered for.
            ``kinds`` are the contents of files that say where custom resources name images.
    Raises: UsageError for a folder that is none of the image, and for a file that cannot be read;
            ReferenceFormatError.
    """
    return Search(
        folders=tuple(_parse_folder(folder) for folder in folders),
        values=tuple(_read_values(text) for text in values),
        ignored_charts=tuple(ignored_charts),
        choice=Choice(
            ignored=(*_read_ignore_files(context), *ignored_images),
            added=tuple(parse_image(name) for name in added_images),
        ),
        guesses=guesses,
        kinds=tuple(kinds),
        namespace=namespace,
        kube_version=kube_version,
        api_versions=tuple(api_versions),
    )


def _parse_folder(text: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not text or ".." in parts:
        raise UsageError(f"--discover takes a folder of the image, found {text!r}", hint="as in: --discover addons")
    return "/".join(parts)


def _read_values(text: str) -> Values:
    found = _SET.match(text)
    group, text = (found[1], text[found.end() :]) if found else ("", text)
    chart, equals, path = text.partition("=")
    if not equals:
        chart, path = "", text
    try:
        return Values(chart or None, path, read_small(path, most=_LARGEST_VALUES), group)
    except OSError as error:
        raise UsageError(f"--values: cannot read {path!r}: {error.strerror}") from error


def _read_ignore_files(context: str | None) -> tuple[str, ...]:
    if context is None:
        return ()
    paths = [os.path.join(context, name) for name in IGNORE_FILES]
    return tuple(pattern for path in paths for pattern in _read_ignore_file(path))


def _read_ignore_file(path: str) -> tuple[str, ...]:
    try:
        text = read_small(path, within=os.path.dirname(path)).decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path!r}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from error
    return parse_ignore_file(text)


__all__ = ["read_search"]
