r"""What a build must come to: slow, obvious, pure, and written from the project's design instead of from the code.

    image = build(Request(parse("FROM scratch\nCOPY a etc"), {"a": "1"})).image
    assert image.tree == {"etc": Folder(0o755), "etc/a": File(b"1")}

A tree is a dict, a build is a fold over the instructions. It uses the parsed Kubefile and the values of kubeimage, and
no line of what it judges: neither the executor, nor the collector, nor how layers are merged and compared.
"""

from harness.model.build import Cache, Image, Outcome, Request, Step, Work, build
from harness.model.failure import Failed
from harness.model.shell import Unknown
from harness.model.tree import Layer, Node, Tree, apply, complete, diff, flatten

__all__ = [
    "Cache",
    "Failed",
    "Image",
    "Layer",
    "Node",
    "Outcome",
    "Request",
    "Step",
    "Tree",
    "Unknown",
    "Work",
    "apply",
    "build",
    "complete",
    "diff",
    "flatten",
]
