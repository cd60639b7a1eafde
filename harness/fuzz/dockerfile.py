"""The parser of the dialects after Docker's rules: what the one of sealer's must hold, holds for theirs."""

from __future__ import annotations

from harness.fuzz.parser import check
from harness.fuzz.target import Target
from harness.strategies import docker_texts

TARGET = Target(
    "dockerfile",
    docker_texts().map(lambda text: text.encode(errors="surrogateescape")),
    check,
    dump=bytes,
    load=bytes,
    show=lambda data: f"parse({data!r})",
)
