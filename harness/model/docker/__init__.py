r"""The dialects after Docker's rules, once more: slow, obvious, and written from the rules instead of from the code.

    image = build(Request(parse("FROM scratch\nCOPY d x", dialect="sealos"), {"d/a": "1"})).image
    assert image.tree == {"x": Owned(Folder(0o755)), "x/a": Owned(File(b"1"))}

It uses the parsed Kubefile, as `harness.model` does, and no line of what it judges.
"""

from harness.model.docker.build import Outcome, Request, build
from harness.model.docker.config import Config
from harness.model.docker.image import Image
from harness.model.docker.owned import Owned, OwnedTree
from harness.model.docker.running import describe_run
from harness.model.docker.words import expand

__all__ = ["Config", "Image", "Outcome", "Owned", "OwnedTree", "Request", "build", "describe_run", "expand"]
