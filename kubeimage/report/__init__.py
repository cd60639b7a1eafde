"""Diagnostics in the forms that people and programs read.

text        a compiler's message, with the line and a caret
columns     how much room a text takes on a terminal
github      annotations of a workflow run
gitlab      a Code Quality report
sarif       SARIF 2.1.0, for code scanning and editors
generated   writing pages of the documentation that are made from the code
places      a file as a report names it, and what tells two findings apart
"""

from kubeimage.report.text import format_diagnostics, format_error

__all__ = ["format_diagnostics", "format_error"]
