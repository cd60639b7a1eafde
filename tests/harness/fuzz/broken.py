"""``python -m harness.fuzz`` with a parser that has what bug the variable BROKEN says. Run as a program."""

import os
import signal
import sys
import time
from pathlib import Path

from hypothesis import strategies as st

from harness.fuzz import command, team
from harness.fuzz.target import Target


def check(text: str) -> None:
    """Wait, or be killed once and fail from then on, for a text of three letters or more."""
    kind, folder = os.environ["BROKEN"].split(":")
    if len(text) < 3:
        return
    if kind == "killed" and not Path(folder, "killed").exists():
        Path(folder, "killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "waits":
        Path(folder, f"waits-{os.getpid()}").touch()
        time.sleep(60)
    assert kind == "nothing", "too long"


if __name__ == "__main__":
    import harness.fuzz.parser

    team.PROGRAM = (sys.executable, __file__)
    harness.fuzz.parser.TARGET = Target("parser", st.text(), check, dump=str.encode, load=bytes.decode)
    command.fuzz(prog_name="fuzz")
