"""No command takes more than 300 MB for whatever it is given: files without end, headers of gigabytes, deep nests."""

import gzip
import io
import json
import os
import signal
import sys
import tarfile
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.program import PATIENCE, Program, write

MOST = 300 << 20
MANY = 512
"""MiB that a bomb unfolds to; the file itself is small."""

Prepare = Callable[[Program], tuple[str | Path, ...]]
FULL = os.environ.get("KUBEIMAGE_STRESS") == "full"


def zeros(mebibytes: int) -> bytes:
    """Give so many zeros, compressed."""
    return gzip.compress(bytes(1 << 20)) * mebibytes


def long_header(kind: bytes) -> bytes:
    """Give a compressed tar whose first header says that a name, or what describes the next file, is that long."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, MANY << 20
    return gzip.compress(header.tobuf(tarfile.GNU_FORMAT)) + zeros(MANY)


def endless_file(name: str) -> Prepare:
    def prepare(program: Program) -> tuple[str | Path, ...]:
        context = write(program.folder / "c", {"Kubefile": "FROM scratch\nCOPY a .\n", "a": ""})
        (context / name).unlink(missing_ok=True)
        (context / name).symlink_to("/dev/zero")
        return ("build", "-t", "a", context)

    return prepare


def chart(content: bytes) -> Prepare:
    def prepare(program: Program) -> tuple[str | Path, ...]:
        context = write(program.folder / "c", {"Kubefile": "FROM scratch\nCOPY charts charts\n"})
        (context / "charts").mkdir()
        (context / "charts/bomb.tgz").write_bytes(content)
        return ("build", "-t", "a", context)

    return prepare


def archive(content: bytes) -> Prepare:
    def prepare(program: Program) -> tuple[str | Path, ...]:
        (program.folder / "a.tar").write_bytes(content)
        return ("load", "-i", program.folder / "a.tar")

    return prepare


def document(content: bytes) -> Prepare:
    """An image layout whose only document is ``content``."""

    def prepare(program: Program) -> tuple[str | Path, ...]:
        layout = io.BytesIO()
        with tarfile.open(fileobj=layout, mode="w") as tar:
            for name, data in (("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", content)):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return archive(layout.getvalue())(program)

    return prepare


def run_that(script: str) -> Prepare:
    def prepare(program: Program) -> tuple[str | Path, ...]:
        return ("build", "-t", "a", write(program.folder / "c", {"Kubefile": f"FROM scratch\nRUN {script}\n"}))

    return prepare


def large_source(program: Program) -> tuple[str | Path, ...]:
    context = write(program.folder / "c", {"Kubefile": "FROM scratch\nCOPY a b .\n", "b": ""})
    (context / "a").touch()
    os.truncate(context / "a", MANY << 20)
    return ("build", "-t", "a", context)


CASES: dict[str, Prepare] = {
    "a Kubefile without end": endless_file("Kubefile"),
    "an ignore file without end": endless_file(".kubeignore"),
    "JSON that nests a million deep": document(b"[" * 10**6),
    "a list of a million images": document(json.dumps({"manifests": [{}] * 10**6}).encode()),
}
LARGE: dict[str, Prepare] = {
    "an image list without end": endless_file("manifests"),
    "an archive that is one long name": archive(long_header(tarfile.GNUTYPE_LONGNAME)),
    "an archive that is one long description": archive(long_header(tarfile.XHDTYPE)),
    "an archive of zeros": archive(zeros(MANY)),
    "a chart that is one long name": chart(long_header(tarfile.GNUTYPE_LONGNAME)),
    "a chart that is one long description": chart(long_header(tarfile.XHDTYPE)),
    "a chart of zeros": chart(zeros(MANY)),
    "a large file": large_source,
    "a RUN that writes a large file": run_that(f"head -c {MANY << 20} /dev/zero > a"),
    "a RUN that prints no end of a line": run_that("head -c 50000000 /dev/zero | tr '\\0' x"),
}


@pytest.mark.parametrize("prepare", (CASES | LARGE).values(), ids=CASES | LARGE)
def test_no_command_takes_much(kubeimage: Program, prepare: Prepare, request: pytest.FixtureRequest) -> None:
    if not FULL and request.node.callspec.id in LARGE:
        pytest.skip("takes seconds: KUBEIMAGE_STRESS=full")

    assert peak(kubeimage, *prepare(kubeimage)) < MOST


_MEASURE = """
import os, sys
child = os.fork()
if not child:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(used.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""
"""A small program between: a process begins with the peak of the one that started it, and pytest's own is large."""


def peak(program: Program, *arguments: str | Path) -> int:
    """Run the program, and return what it or a child of it had in memory at most. Units: bytes."""
    told = program.folder / "peak"
    measured = replace(program, prefix=(*program.prefix, sys.executable, "-I", "-S", "-c", _MEASURE, str(told)))
    with measured.start(*arguments) as process:
        alarm = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        process.communicate()
        alarm.cancel()
        alarm.join()
    assert process.returncode in (0, 1, 2), f"ended with {process.returncode}"
    return int(told.read_text()) << 10
