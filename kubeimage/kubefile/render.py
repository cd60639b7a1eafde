"""``Kubefile`` to text: canonical, one line an instruction."""

from __future__ import annotations

from kubeimage.errors import KubefileError
from kubeimage.image.compatibility import DEFAULT_DIALECT
from kubeimage.kubefile.instructions import Kubefile
from kubeimage.kubefile.parser import parse


def render(kubefile: Kubefile) -> str:
    """Write ``kubefile`` so that ``parse`` gives it back.

    Raises: ValueError for one that no text gives, as with a RUN of two lines; ``parse`` never makes such.
    """
    text = _head(kubefile) + "".join(f"{one.keyword} {one.value}\n" for one in kubefile.instructions)
    try:
        same = parse(text) == kubefile
    except KubefileError as error:
        raise ValueError(f"no Kubefile can say this: {error}") from error
    if not same:
        raise ValueError("no Kubefile can say this: it would be read as something else")
    return text


def _head(kubefile: Kubefile) -> str:
    """Return the comment lines that say how the rest is to be read."""
    if kubefile.dialect == DEFAULT_DIALECT:
        return ""
    escape = f"# escape={kubefile.escape}\n" if kubefile.escape != "\\" else ""
    return f"# syntax={kubefile.dialect}\n{escape}"
