"""The language of Kubefiles: text in, data out, and no I/O.

    text --decode--> Source --logical_lines--> LogicalLine --Statement.split--> Statement --parse--> Kubefile

``parse`` reads a file and reports all mistakes at once, ``render`` writes one back, ``lint`` gives advice, ``Scope``
tells which ARG values each instruction sees. ``CODES`` lists every code that can come up.
"""

from kubeimage.kubefile.codes import CODES, Advice, Mistake
from kubeimage.kubefile.expansion import expand, names_used
from kubeimage.kubefile.instructions import KEYWORDS, Add, Arg, Cmd, Configure, Copy, From, Instruction, Kubefile, Run
from kubeimage.kubefile.lint import lint, looks_secret
from kubeimage.kubefile.parser import parse
from kubeimage.kubefile.render import render
from kubeimage.kubefile.scope import ARCHITECTURE, Scope, Visible
from kubeimage.kubefile.source import NOWHERE, Source, Span

__all__ = [
    "ARCHITECTURE",
    "CODES",
    "KEYWORDS",
    "NOWHERE",
    "Add",
    "Advice",
    "Arg",
    "Cmd",
    "Configure",
    "Copy",
    "From",
    "Instruction",
    "Kubefile",
    "Mistake",
    "Run",
    "Scope",
    "Source",
    "Span",
    "Visible",
    "expand",
    "lint",
    "looks_secret",
    "names_used",
    "parse",
    "render",
]
