"""Hypothesis strategies for Kubefiles, build contexts, and projects of both that fit together.

All are valid by construction; nothing is filtered. The simplest choice comes first, so that what fails shrinks to the
shortest Kubefile and the smallest context that still do.
"""

from harness.strategies.contexts import build_contexts
from harness.strategies.kubefiles import instructions, kubefiles
from harness.strategies.projects import Project, projects

__all__ = ["Project", "build_contexts", "instructions", "kubefiles", "projects"]
