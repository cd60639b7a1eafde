"""Kubefiles in build contexts, and the advice on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kubeimage.errors import Diagnostic
from kubeimage.lint import lint_bytes

Advise = Callable[[Mapping[str, str]], tuple[Diagnostic, ...]]


@pytest.fixture
def advise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Advise:
    """Lint a project of ``files``, whose folder is the current one; what other rules would make of it is left out."""

    def advise(files: Mapping[str, str]) -> tuple[Diagnostic, ...]:
        for path, text in files.items():
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        monkeypatch.chdir(tmp_path)
        return lint_bytes(files["Kubefile"].encode(), file="Kubefile", context=".", allow=("W23",))

    return advise


def places(advice: tuple[Diagnostic, ...]) -> list[tuple[str, str, int, int]]:
    """Return code, file, line and column of each."""
    return [(one.code, *one.location[:3]) for one in advice if one.location is not None]
