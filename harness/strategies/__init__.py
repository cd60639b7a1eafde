"""Hypothesis strategies for Kubefiles, build contexts, base images, and projects of all of them that fit together.

All are valid by construction; nothing is filtered. The simplest choice comes first, so that what fails shrinks to the
shortest Kubefile and the smallest context that still do, and prints as what can be pasted into a test.
"""

from harness.strategies.contexts import build_contexts
from harness.strategies.dialects import docker_edits, docker_projects, docker_texts
from harness.strategies.edits import Edit, context_edits, edits
from harness.strategies.images import base_images, layers
from harness.strategies.kubefiles import instructions, kubefiles
from harness.strategies.project import Project
from harness.strategies.projects import build_args, projects
from harness.strategies.scripts import scripts
from harness.strategies.sealos import sealos_projects
from harness.strategies.tars import hostile_tars
from harness.strategies.texts import (
    InvalidKubefile,
    WrittenKubefile,
    hostile_kubefiles,
    invalid_kubefiles,
    written_kubefiles,
)

__all__ = [
    "Edit",
    "InvalidKubefile",
    "Project",
    "WrittenKubefile",
    "base_images",
    "build_args",
    "build_contexts",
    "context_edits",
    "docker_edits",
    "docker_projects",
    "docker_texts",
    "edits",
    "hostile_kubefiles",
    "hostile_tars",
    "instructions",
    "invalid_kubefiles",
    "kubefiles",
    "layers",
    "projects",
    "scripts",
    "sealos_projects",
    "written_kubefiles",
]
