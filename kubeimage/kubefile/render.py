"""``Kubefile`` to text: canonical, one line an instruction."""

from __future__ import annotations

from kubeimage.errors import KubefileError
from kubeimage.kubefile.instructions import Kubefile
from kubeimage.kubefile.parser import parse


def render(kubefile: Kubefile) -> str:
    """Write ``kubefile`` so that ``parse`` gives it back.

    Raises: ValueError for one that no text gives, as with a RUN of two lines; ``parse`` never makes such.
    """
    text = "".join(f"{instruction.keyword} {instruction.value}\n" for instruction in kubefile.instructions)
    try:
        same = parse(text) == kubefile
    except KubefileError as error:
        raise ValueError(f"no Kubefile can say this: {error}") from error
    if not same:
        raise ValueError("no Kubefile can say this: it would be read as something else")
    return text
