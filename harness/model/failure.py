"""How the model says that a build fails."""

from __future__ import annotations


class Failed(Exception):  # noqa: N818 - what is expected of a build, no error of the model
    """The build fails with an error of this code, as docs/kubefile*.md and `kubeimage.errors` list them."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code
