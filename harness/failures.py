"""Keeping what a failed check was about, so that it can be looked at after the run."""

from __future__ import annotations

import os
import re
import shlex

from harness.case import Case
from harness.copies import copy_context
from harness.workshop import remove_tree

_REPORT = "report.txt"


def save_failure(folder: str, node_id: str, case: Case, text: str) -> str:
    """Write the Kubefile, its context and the report below ``folder``, and give the path of what was written.

    Shape: NODE-ID/report.txt, NODE-ID/Kubefile, NODE-ID/context/. What an earlier run left there goes.
    """
    place = os.path.join(folder, re.sub(r"[^A-Za-z0-9._-]+", "-", node_id).strip("-"))
    if os.path.isdir(place):
        remove_tree(place)
    os.makedirs(place)
    _write(os.path.join(place, _REPORT), f"{text}\n\nagain: {_command(case, node_id)}\n".encode())
    if os.path.isfile(case.subject.path):
        with open(case.subject.path, "rb") as stream:
            _write(os.path.join(place, "Kubefile"), stream.read())
    if os.path.isdir(case.context):
        copy_context(case.context, os.path.join(place, "context"), disguised=False, leave_out=folder)
    return place


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(data)


def _command(case: Case, node_id: str) -> str:
    return shlex.join(["pytest", *case.settings.command_line(), node_id])
