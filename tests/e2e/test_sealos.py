"""The dialect sealos, beside buildah: one file, one context, the same tree and the same config."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings

from harness.strategies import Project
from harness.strategies.sealos import sealos_projects
from harness.trees import write_tree
from kubeimage import BuildOptions, Reference, build_image, open_backends
from kubeimage.errors import KubeimageError
from tests.e2e import buildah
from tests.e2e.layouts import Read, read_layout
from tests.e2e.program import Program

# Each row has a folder of its own, so that one build with buildah is enough for all.
COPIES = """
a.yaml x
a.yaml x/
a.yaml x/y/z.yaml
a.yaml x/|b.yaml x
a.yaml x|b.yaml x
a.yaml b.yaml x
d x
d/ x
d x/
d .
d d
d/* x/
empty x
/a.yaml x/
../a.yaml .
a.yaml ../../up/
["a.yaml","x y/"]
--chmod=700 d/sub x
run.sh bin/
run.sh bin
d/lnk x
d/lnk x/
?.yaml x/
[ab].yaml .
d/sub/../x x
.hidden .
d/. x
d x/.
"""
CONFIG = r"""FROM scratch
ARG Z
ARG V=v1
ENV A="x\y\"z\$q\n" B='s\t $X' C=a\ b D=p\\q E="p\\q" F=${H:-" --set a=1 "} G=${A:+set} I=$Z/x J="$"
ENV N "a.b"  c
ENV O  two   words 'q' $A
ENV A=2 K=$A L=${V}
ENV DIR=/opt/${N} W=${UNSET:-${A}}
LABEL "x y"=1 l2=$A\$A init="a \$r"
LABEL old some value
LABEL l2=again "sealos.io.type"="application" note=${V}
USER $A:$A
EXPOSE 80 443/udp $Z 99
VOLUME /a /b
VOLUME ["/c d"]
STOPSIGNAL SIGTERM
CMD echo  "a  b"   $X
CMD ["first ${X}","second $(Y)"]
MAINTAINER a
MAINTAINER a b  "c" $X
WORKDIR rel
WORKDIR $A
"""
COMMANDS = [
    'CMD ["a ${X}","b $(Y)"]',
    'CMD echo  "a  b"   $X',
    "CMD ['broken, $X']",
    'CMD ["c2"]\nCMD ["c3"]',
    'ENTRYPOINT ["e2"]',
    'ENTRYPOINT ["e2"]\nCMD ["c"]',
    'CMD ["c"]\nENTRYPOINT ["e2"]',
    "ENTRYPOINT bash run.sh $X",
]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """The context of the rows."""
    root = tmp_path / "context"
    for path, content in {
        "a.yaml": "a",
        "b.yaml": "b",
        ".hidden": "h",
        "run.sh": "r",
        "d/x": "x",
        "d/sub/y": "y",
        "reg_amd64/blob": "blob",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    (root / "empty").mkdir()
    (root / "d/lnk").symlink_to("x")
    for found in (root, *root.rglob("*")):
        if not found.is_symlink():
            found.chmod(0o755 if found.is_dir() else 0o644)
    (root / "run.sh").chmod(0o4755)
    (root / "d/sub").chmod(0o750)
    (root / "b.yaml").chmod(0o600)
    return root


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """An empty folder for buildah."""
    if os.geteuid() != 0:
        pytest.skip("buildah is asked as root: an ordinary user's needs subordinate ids and a storage configuration")
    return tmp_path / "judge"


def build(program: Program, context: Path, file: Path, *options: str) -> Read:
    """Build with kubeimage, and read what other tools would."""
    program.build("judged:v1", context, "--dialect=sealos", "-f", str(file), *options)
    return read_layout(program.root, "judged:v1")


def rows() -> str:
    """Return a file with all rows of COPIES, each in a folder of its own."""
    lines = ["FROM scratch"]
    for number, row in enumerate(COPIES.strip().splitlines()):
        lines += [f"WORKDIR /row{number}/w", *(f"COPY {one}" for one in row.split("|"))]
    return "\n".join([*lines, ""])


BASE = """FROM scratch
ENV A=1 B=2
LABEL a=1 b=2
USER 1
WORKDIR /w
EXPOSE 1
MAINTAINER base
CMD ["basecmd"]
"""


@pytest.mark.needs("buildah")
def test_a_base_is_inherited_as_with_buildah(kubeimage: Program, context: Path, judge: Path, tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(BASE)
    buildah.keep(context, judge, file, "localhost/base:v1")
    kubeimage.build("localhost/base:v1", context, "--dialect=sealos", "-f", str(file))

    for commands in ("", *COMMANDS):
        file.write_text(f"FROM localhost/base:v1\nENV B=3 C=$A\nLABEL b=3\nWORKDIR x\nEXPOSE 2\n{commands}\n")
        theirs = buildah.build(context, judge, file)
        ours = build(kubeimage, context, file)
        assert buildah.comparable(ours) == buildah.comparable(theirs), commands


def build_here(project: Project, folder: Path) -> Read:
    """Build a project whose context is in ``folder``, in this process: many are built."""
    options = BuildOptions(references=(Reference.parse("judged:v1"),))
    with open_backends(str(folder / "store")) as backends:
        build_image(project.kubefile, str(folder / "context"), backends, options=options)
    return read_layout(folder / "store", "judged:v1")


@pytest.mark.timeout(3600)
@pytest.mark.needs("buildah")
def test_generated_projects_are_what_buildah_makes_of_them(
    judge: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    default = settings.default
    assert default is not None
    number = 1_000 if default.max_examples > 1_000 else 8

    @settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))
    @given(sealos_projects())
    def judged(project: Project) -> None:
        folder = tmp_path_factory.mktemp("project")
        write_tree(str(folder / "context"), project.context)
        (folder / "Dockerfile").write_text(project.text)
        try:
            theirs = buildah.build(folder / "context", folder / "judge", folder / "Dockerfile")
        except buildah.RefusedError:
            with pytest.raises(KubeimageError):
                build_here(project, folder)
            return
        ours = build_here(project, folder)
        theirs = buildah.without_volumes(theirs, ours)
        assert buildah.comparable(ours) == buildah.comparable(theirs)
        assert ours.tree == theirs.tree
        assert ours.owners == theirs.owners
        shutil.rmtree(folder)

    judged()


FROM_IMAGE = """FROM scratch
COPY --from=localhost/other:v1 d/sub /s
COPY --from=localhost/other:v1 / /all
COPY --from=localhost/other:v1 a.yaml renamed
COPY --from=localhost/other:v1 run.sh b.yaml bin/
COPY --from=localhost/other:v1 --chmod=700 d/* flat/
COPY --from=localhost/other:v1 empty void
WORKDIR /w
COPY --from=localhost/other:v1 d .
"""


@pytest.mark.needs("buildah")
def test_another_image_s_files_land_where_buildah_puts_them(
    kubeimage: Program, context: Path, judge: Path, tmp_path: Path
) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text("FROM scratch\nCOPY . .\n")
    buildah.keep(context, judge, file, "localhost/other:v1")
    kubeimage.build("localhost/other:v1", context, "--dialect=sealos", "-f", str(file))
    file.write_text(FROM_IMAGE)
    (context / ".dockerignore").write_text("**")
    theirs = buildah.build(context, judge, file).tree

    ours = build(kubeimage, context, file).tree
    again = kubeimage.run("build", "-t", "x", "--progress=json", "--dialect=sealos", "-f", file, context)

    assert ours == theirs
    assert all(event["cached"] for event in again.events if event["event"] == "step_finished" and event["layer"])
    planned = kubeimage.run("plan", "--dialect=sealos", "-f", file, context).stdout
    assert planned.count(" hit ") == FROM_IMAGE.count("COPY") + 1


def test_an_image_to_copy_from_that_is_not_there_is_an_error(kubeimage: Program, context: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY --from=gone:v1 a b\n")

    ended = kubeimage.run("build", "-t", "x", "--pull=never", "-f", tmp_path / "Dockerfile", context, status=1)

    assert "gone:v1 is not in the store" in ended.stderr
    assert "Dockerfile:2:1" in ended.stderr


@pytest.mark.needs("buildah")
def test_every_copy_lands_where_buildah_puts_it(kubeimage: Program, context: Path, judge: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(rows())
    theirs = buildah.build(context, judge, tmp_path / "Dockerfile").tree

    ours = build(kubeimage, context, tmp_path / "Dockerfile").tree

    assert ours == theirs


@pytest.mark.needs("buildah")
def test_a_config_is_what_buildah_makes_of_it(kubeimage: Program, context: Path, judge: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(CONFIG)
    theirs = buildah.build(context, judge, tmp_path / "Dockerfile")

    ours = build(kubeimage, context, tmp_path / "Dockerfile")

    assert buildah.comparable(ours) == buildah.comparable(theirs)
    assert ours.tree == theirs.tree


STAGES = """ARG G=glob
FROM scratch AS one
ARG G
ENV E=one
LABEL l=$G
WORKDIR /w
COPY a.yaml one.yaml
COPY d /d
CMD ["c1"]
FROM scratch AS two
COPY --from=one /w /of-one
COPY --from=one /d/sub /d/x flat/
COPY b.yaml b
FROM scratch AS unused
COPY nothere x
FROM one AS three
LABEL e="$E" g="x$G"
ENTRYPOINT ["e"]
COPY run.sh .
COPY --from=1 /of-one/one.yaml renamed
COPY --from=two --chmod=700 / all/
"""


@pytest.mark.needs("buildah")
@pytest.mark.parametrize("options", [[], ["--target", "two"], ["--build-arg", "G=x", "--target", "one"]])
def test_stages_come_to_what_buildah_makes_of_them(
    kubeimage: Program, context: Path, judge: Path, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "Dockerfile").write_text(STAGES)
    theirs = buildah.build(context, judge, tmp_path / "Dockerfile", *options)

    ours = build(kubeimage, context, tmp_path / "Dockerfile", *options)

    assert buildah.comparable(ours) == buildah.comparable(theirs)
    assert ours.tree == theirs.tree


ADDED = """FROM scratch
COPY lists /etc
ADD a.tar /tar
ADD a.tgz /tgz/
ADD a.tbz2 /deep/er/tbz
ADD a.txz /txz
ADD a.tar.zst /zst
ADD renamed.bin /renamed
ADD broken.tar one.gz empty /files/
ADD --chown=9:9 --chmod=711 a.tar /own
ADD d /d
ADD a.tar a.tgz a.yaml /several/
ADD *.tgz /wild
ADD --chmod=4755 --chown=app run.sh /set
USER 3:4
WORKDIR /work
ADD a.tar .
COPY --chown=app a.tar /copied
COPY --chown=app:extra d /copied2
COPY --chown=1234 a.tar /new/folders/c3
COPY --chown=1000 a.tar /c5
USER 1000
WORKDIR /of/1000
USER app
WORKDIR /of/app
USER 77
WORKDIR /of/77
COPY --chown=:7 a.tar /c4
COPY --chown=5 d /tar
"""
TAKEN = """FROM scratch AS one
COPY --chown=5:6 d /a
COPY --chown=5:6 a.tar /b/
COPY --chown=5:6 --chmod=4755 run.sh /s
FROM scratch
COPY --from=one /a /c
COPY --from=one /b/a.tar /d
COPY --from=one --chown=8:9 /a /e
COPY --from=one /s /s
COPY --from=one / /all
"""


def pack_archives(context: Path) -> None:
    """Put archives into a context, in each coding, and files that only look like some."""
    members: dict[str, tarfile.TarInfo] = {}
    for path, kind, mode, owner in (
        ("x", tarfile.REGTYPE, 0o4755, (5, 6)),
        ("sub", tarfile.DIRTYPE, 0o700, (7, 8)),
        ("sub/y", tarfile.REGTYPE, 0o640, (0, 0)),
        ("link", tarfile.SYMTYPE, 0o777, (0, 0)),
        ("again", tarfile.LNKTYPE, 0o4755, (5, 6)),
    ):
        members[path] = one = tarfile.TarInfo(path)
        one.type, one.mode, (one.uid, one.gid) = kind, mode, owner
    members["x"].size = members["sub/y"].size = 1
    members["link"].linkname = members["again"].linkname = "x"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, member in members.items():
            archive.addfile(member, io.BytesIO(path[-1].encode()))
    plain = stream.getvalue()
    for name, data in {
        "a.tar": plain,
        "a.tgz": gzip.compress(plain),
        "a.tbz2": bz2.compress(plain),
        "a.txz": lzma.compress(plain),
        "a.tar.zst": zstandard.compress(plain),
        "renamed.bin": gzip.compress(plain),
        "broken.tar": b"no tar" * 200,
        "one.gz": gzip.compress(b"x"),
        "lists/passwd": b"root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n",
        "lists/group": b"root:x:0:\nextra:x:2000:app\n",
    }.items():
        (context / name).parent.mkdir(exist_ok=True)
        (context / name).write_bytes(data)
        (context / name).chmod(0o644)
    (context / "lists").chmod(0o755)


@pytest.mark.needs("buildah")
@pytest.mark.parametrize("text", [ADDED, TAKEN], ids=["added", "taken"])
def test_archives_and_owners_are_what_buildah_makes_of_them(
    kubeimage: Program, context: Path, judge: Path, tmp_path: Path, text: str
) -> None:
    pack_archives(context)
    (tmp_path / "Dockerfile").write_text(text)
    theirs = buildah.build(context, judge, tmp_path / "Dockerfile")

    ours = build(kubeimage, context, tmp_path / "Dockerfile")

    assert ours.tree == theirs.tree
    assert ours.owners == theirs.owners
