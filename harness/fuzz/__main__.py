"""``python -m harness.fuzz``."""

from harness.fuzz.command import fuzz

fuzz(prog_name="python -m harness.fuzz")
