"""Advice on a Kubefile and its build context: all that can be known without building.

project     a Kubefile with the files that its COPYs would bring
copies      sources that are not there, names that mislead, keys, images that no build looks for
commands    files that CMD names and nothing brings
placements  COPYs that other rules would place elsewhere
manifests   YAML that is none, names of images that cannot be read
advise      all of it, in order, without what people have silenced
"""

from kubeimage.lint.advise import lint_bytes, lint_kubefile

__all__ = ["lint_bytes", "lint_kubefile"]
