"""No command takes more than 300 MB for whatever it is given: files without end, headers of gigabytes, deep nests."""

import gzip
import hashlib
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

from harness.fakes.registry import Endless, FakeRegistry, Huge, WrongBytes
from harness.fakes.registry.faults import Fault
from tests.e2e.program import Program, write
from tests.kubeimage.signing.made import write_pair

MOST = 300 << 20
MANY = 512
"""MiB that a bomb unfolds to; the file itself is small."""

PATIENT = 900.0
"""How long a command may take here: its memory is judged, and never its time. Units: seconds."""

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


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layout(folder: Path, layer: bytes) -> Path:
    """Write an image layout with one image of one compressed layer, whose digests are right but for the diff id."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, kind: str) -> dict[str, object]:
        digest = digest_of(data)
        (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": len(data)}

    document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest_of(b"")]}}
    config = put(json.dumps(document).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "config": config, "layers": [put(layer, "layer.v1.tar+gzip")]}
    index = {"schemaVersion": 2, "manifests": [put(json.dumps(manifest).encode(), "manifest.v1+json")]}
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def endless(path: Path) -> Path:
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")
    return path


def with_layer(layer: Callable[[], bytes], *words: str) -> Prepare:
    """A command on an image that nobody has loaded, with a hostile layer."""

    def prepare(program: Program) -> tuple[str | Path, ...]:
        folder = layout(program.folder / "l", layer())
        return tuple(word.format(image=f"oci:{folder}", out=program.folder / "out") for word in words)

    return prepare


def without_end(name: str, *words: str) -> Prepare:
    """A command on an image layout one of whose files has no end; ``blob`` is the manifest."""

    def prepare(program: Program) -> tuple[str | Path, ...]:
        folder = layout(program.folder / "l", b"")
        manifest = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"].removeprefix("sha256:")
        endless(folder / name.replace("blob", f"blobs/sha256/{manifest}"))
        context = write(program.folder / "c", {"Kubefile": "FROM scratch\nCOPY a .\n", "a": "a"})
        return tuple(word.format(image=f"oci:{folder}", context=context) for word in words)

    return prepare


def endless_beside(name: str, *words: str) -> Prepare:
    """A command on a project, or an image in the store, with a file that has no end."""

    def prepare(program: Program) -> tuple[str | Path, ...]:
        context = write(program.folder / "c", {"Kubefile": "FROM scratch\nCOPY a .\n", "a": "a"})
        program.run("build", "-t", "a", "--progress=quiet", context)
        (program.folder / "parts").mkdir()
        endless(program.folder / name)
        return tuple(word.format(context=context, folder=program.folder) for word in words)

    return prepare


def large_image(*words: str) -> Prepare:
    """A command on an image of the store with a large layer."""

    def prepare(program: Program) -> tuple[str | Path, ...]:
        program.run(*large_source(program), "--progress=quiet")
        return tuple(word.format(folder=program.folder) for word in words)

    return prepare


def parts_of_bombs(program: Program) -> tuple[str | Path, ...]:
    write(program.folder / "parts", {"1.tar": "", "2.tar": ""})
    for name, kind in (("1.tar", tarfile.GNUTYPE_LONGNAME), ("2.tar", tarfile.XHDTYPE)):
        (program.folder / "parts" / name).write_bytes(long_header(kind))
    return ("load", "-i", program.folder / "parts")


CASES: dict[str, Prepare] = {
    "a Kubefile without end": endless_file("Kubefile"),
    "an ignore file without end": endless_file(".kubeignore"),
    "JSON that nests a million deep": document(b"[" * 10**6),
    "a list of a million images": document(json.dumps({"manifests": [{}] * 10**6}).encode()),
}
LARGE: dict[str, Prepare] = {
    "ls of an index without end": without_end("index.json", "ls", "{image}"),
    "cat of a manifest without end": without_end("blob", "cat", "{image}", "a"),
    "inspect of a manifest without end": without_end("blob", "inspect", "{image}"),
    "inventory of a manifest without end": without_end("blob", "inventory", "{image}"),
    "verify of a manifest without end": without_end("blob", "verify", "{image}"),
    "rehearse of a manifest without end": without_end("blob", "rehearse", "{image}"),
    "a cache of other machines without end": without_end(
        "index.json", "build", "-t", "b", "--cache-from", "{image}", "{context}"
    ),
    "ls of a layer of zeros": with_layer(lambda: zeros(MANY), "ls", "{image}"),
    "ls of a layer that is one long name": with_layer(lambda: long_header(tarfile.GNUTYPE_LONGNAME), "ls", "{image}"),
    "cat of a layer that is one long description": with_layer(
        lambda: long_header(tarfile.XHDTYPE), "cat", "{image}", "a"
    ),
    "export of a layer of zeros": with_layer(lambda: zeros(MANY), "export", "{image}", "{out}"),
    "diff of layers of zeros": with_layer(lambda: zeros(MANY), "diff", "{image}", "{image}"),
    "images-of a layer of zeros": with_layer(lambda: zeros(MANY), "images-of", "{image}"),
    "a lock without end": endless_beside("c/Kubefile.lock", "build", "-t", "b", "--locked", "{context}"),
    "lock --check of a lock without end": endless_beside("c/Kubefile.lock", "lock", "--check", "{context}"),
    "sign with a key without end": endless_beside("key", "sign", "--key", "{folder}/key", "a"),
    "sign with a passphrase without end": endless_beside(
        "word", "sign", "--key", "{folder}/c/Kubefile", "--passphrase", "file:{folder}/word", "a"
    ),
    "verify by a key without end": endless_beside("key", "verify", "--key", "{folder}/key", "a"),
    "a policy by a key without end": endless_beside(
        "key", "build", "-t", "b", "--cache-from", "oci:{folder}", "--cache-trust", "{folder}/key", "{context}"
    ),
    "an inventory without end": endless_beside(
        "inventory", "save", "a", "--since", "{folder}/inventory", "-o", "{folder}/a.tar"
    ),
    "a part without end": endless_beside("parts/1.tar", "load", "-i", "{folder}/parts"),
    "parts that are one long name": parts_of_bombs,
    "save of a large layer": large_image("save", "a", "-o", "{folder}/a.tar"),
    "save --split of a large layer": large_image("save", "a", "--split", "50MiB", "-o", "{folder}/parts"),
    "inventory of a large layer": large_image("inventory", "a"),
    "ls of a large layer": large_image("ls", "-R", "a"),
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

    patient = replace(kubeimage, patience=PATIENT)
    assert peak(patient, *prepare(patient)) < MOST


ASKING: dict[str, tuple[str, ...]] = {
    "pull": ("pull", "{host}/team/app:1"),
    "pull --referrers": ("pull", "--referrers", "all", "{host}/team/app:1"),
    "sign": ("sign", "--key", "{folder}/key.pem", "docker://{host}/team/app:1"),
    "verify": ("verify", "--key", "{folder}/key.pub", "docker://{host}/team/app:1"),
    "inspect": ("inspect", "docker://{host}/team/app:1"),
    "ls": ("ls", "docker://{host}/team/app:1"),
    "build on it": ("build", "-t", "b", "{folder}/c"),
    "build --cache-from": ("build", "-t", "b", "--cache-from", "{host}/team/cache", "{folder}/d"),
}
LIES: dict[str, tuple[str, Fault]] = {
    "manifests without end": ("GET */manifests/*", Endless()),
    "blobs without end": ("GET */blobs/*", Endless()),
    "lists without end": ("GET */referrers/*", Endless()),
    "half a gigabyte of manifest": ("GET */manifests/*", Huge(MANY << 20)),
    "half a gigabyte of blob": ("GET */blobs/*", Huge(MANY << 20)),
    "manifests of large blobs": ("GET */manifests/*", WrongBytes(b"")),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("command", ASKING)
def test_no_command_takes_much_from_a_registry_that_lies(
    kubeimage: Program, fake_registry: FakeRegistry, command: str, lie: str
) -> None:
    if not FULL and (command, lie) != ("verify", "half a gigabyte of blob"):
        pytest.skip("takes seconds: KUBEIMAGE_STRESS=full")
    patient, host = replace(kubeimage, patience=PATIENT), fake_registry.host
    write_pair(patient.folder, name="key")
    name, insecure = f"{host}/team/app:1", f"--insecure=http://{host}"
    write(patient.folder / "c", {"Kubefile": f"FROM {name}\nCOPY a b\n", "a": "a"})
    context = write(patient.folder / "d", {"Kubefile": "FROM scratch\nCOPY a .\n", "a": "a"})
    patient.run("build", "-t", name, f"--cache-to={host}/team/cache", insecure, context)
    patient.run("push", insecure, name)
    patient.run("sign", insecure, f"--key={patient.folder}/key.pem", f"docker://{name}")

    pattern, fault = LIES[lie]
    if lie == "manifests of large blobs":
        fault = WrongBytes(_of_large_blobs(fake_registry))
    fake_registry.on(pattern, fault, times=None)
    words = [one.format(host=host, folder=patient.folder) for one in ASKING[command]]

    assert peak(patient.with_root(patient.folder / "other"), *words, insecure) < MOST


def _of_large_blobs(registry: FakeRegistry) -> bytes:
    """Return the manifest of the image with sizes that its blobs have not."""
    manifest = json.loads(registry.manifest("team/app", "1").data)
    for one in (manifest["config"], *manifest["layers"]):
        one["size"] = MANY << 20
    return json.dumps(manifest).encode()


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
        alarm = threading.Timer(program.patience, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        process.communicate()
        alarm.cancel()
        alarm.join()
    assert process.returncode in (0, 1, 2), f"ended with {process.returncode}"
    return int(told.read_text()) << 10
