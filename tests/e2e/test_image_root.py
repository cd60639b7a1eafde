"""RUN inside the image's own root, in the dialect sealos: its shell, its user, its folder, and nothing left behind."""

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.disk import folder_on_disk
from tests.e2e import buildah
from tests.e2e.layouts import Found, Read, read_layout
from tests.e2e.program import Program

BASE = "FROM scratch\nCOPY root /\n"
LOOP = "RUN for i in 1 2; do echo $i >> /lines; done\n"
RUNS = f"""FROM localhost/base:v1
ARG V=1
ENV A="two words" B=2
RUN echo "$A $B $V $HOME" > /env
WORKDIR /work
RUN echo "$PWD" > here
RUN ["/bin/sh", "-c", "echo exec > form"]
{LOOP}SHELL ["/bin/sh", "-ec"]
RUN false || echo "shell" > /shell
RUN echo x > /tmp/kept; test -e /etc/resolv.conf && test -e /etc/hosts && test -e /proc/self/status
RUN umask > /umask; test -c /dev/null
"""
DOCUMENT = """RUN <<EOF
for i in 1 2; do
  echo $i >> /lines
done
EOF
"""
IDS = """FROM localhost/base:v1
USER 1000:1001
RUN while read -r line; do case $line in Uid*|Gid*) echo "$line" >> /tmp/ids;; esac; done < /proc/self/status
"""


def programs() -> list[Path]:
    """Return a shell and what it links to."""
    shell = shutil.which("dash") or "/bin/sh"
    linked = subprocess.run(["ldd", shell], capture_output=True, text=True, check=True).stdout
    return [Path(shell), *(Path(found) for found in re.findall(r"(/\S+) \(0x", linked))]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A context whose folder root holds a shell."""
    root = tmp_path / "context/root"
    shell, *libraries = programs()
    for path, place in ((shell, "bin/sh"), *((path, str(path).lstrip("/")) for path in libraries)):
        target = root / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.resolve(), target)
        target.chmod(0o755)
    (root / "etc").mkdir()
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o777)
    return tmp_path / "context"


def build(program: Program, context: Path, text: str, *options: str) -> Found:
    """Build a file on the base, and return the image's tree."""
    (context / "Base").write_text(BASE)
    (context / "Dockerfile").write_text(text)
    program.build("localhost/base:v1", context, "--dialect=sealos", "-f", context / "Base")
    program.build("judged:v1", context, "--dialect=sealos", "-f", context / "Dockerfile", *options)
    return read_layout(program.root, "judged:v1").tree


def fail(program: Program, context: Path, text: str, *options: str) -> str:
    """Build a file that cannot be built, and return what is said of it."""
    (context / "Dockerfile").write_text(text)
    return program.run("build", "-t", "x", "-f", context / "Dockerfile", *options, context, status=1).stderr


def content(tree: Found, path: str) -> str:
    """Return a file's text."""
    found = tree[path][2]
    assert isinstance(found, bytes)
    return found.decode().strip()


@pytest.mark.parametrize("mount", ["overlay", "copy"])
def test_a_run_is_inside_the_image_and_leaves_only_what_it_made(kubeimage: Program, context: Path, mount: str) -> None:
    tree = build(kubeimage, context, RUNS.replace(LOOP, DOCUMENT), f"--mount={mount}")

    texts = {
        path: content(tree, path) for path in ("env", "work/here", "work/form", "lines", "shell", "tmp/kept", "umask")
    }
    assert list(texts.values()) == ["two words 2 1 /", "/work", "exec", "1\n2", "shell", "x", "0022"]
    assert not {"proc", "dev", "etc/resolv.conf", "etc/hosts"} & tree.keys()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is but one user")
def test_a_run_has_the_numbers_of_its_user(kubeimage: Program, context: Path) -> None:
    found = content(build(kubeimage, context, IDS), "tmp/ids").split()

    assert (found[1], found[6]) == ("1000", "1001")


def test_a_run_is_cached_by_its_user_its_shell_and_its_variables(kubeimage: Program, context: Path) -> None:
    def hits(text: str) -> list[bool]:
        (context / "Dockerfile").write_text(text)
        told = kubeimage.run("build", "-t", "x", "--progress=json", "-f", context / "Dockerfile", context).events
        return [one["cached"] for one in told if one["event"] == "step_finished" and one["text"].startswith("RUN")]

    text = "FROM localhost/base:v1\nENV A=1\nRUN echo a > /a\n"
    build(kubeimage, context, text)

    assert hits(text) == [True]
    assert hits(text.replace("A=1", "A=2")) == [False]
    # An ordinary user is but one user.
    assert os.geteuid() != 0 or hits(text.replace("RUN", "USER 0:5\nRUN")) == [False]
    assert hits(text.replace("RUN", 'SHELL ["/bin/sh", "-ec"]\nRUN')) == [False]
    assert hits(text.replace("RUN", "WORKDIR /w\nRUN")) == [False]


@pytest.mark.parametrize(
    ("change", "message"),
    [("rm bin/sh", "the image has no /bin/sh"), ("ln -s /var/tmp proc", "the image has a symlink at /proc")],
)
def test_an_image_that_no_run_can_be_in_is_an_error(
    kubeimage: Program, context: Path, change: str, message: str
) -> None:
    subprocess.run(["sh", "-c", change], cwd=context / "root", check=True)

    assert message in fail(kubeimage, context, "FROM scratch\nCOPY root /\nRUN echo a > /a\n")


def test_a_symlink_in_etc_is_never_followed_out_of_the_image(kubeimage: Program, context: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (context / "root/etc/resolv.conf").symlink_to(trap)
    (context / "root/etc/hosts").symlink_to("../../../../../../../.." + str(trap))

    tree = build(kubeimage, context, "FROM localhost/base:v1\nRUN echo a > /a\n")

    assert not trap.exists()
    assert tree["etc/resolv.conf"] == ("symlink", 0o777, str(trap))


def test_a_run_that_fails_says_how(kubeimage: Program, context: Path) -> None:
    build(kubeimage, context, "FROM localhost/base:v1\n")

    said = fail(kubeimage, context, "FROM localhost/base:v1\nRUN echo told; exit 7\n")

    assert "told" in said
    assert "exit status 7" in said


@pytest.mark.parametrize("isolation", ["none", "landlock"])
def test_where_there_is_no_root_of_its_own_the_error_says_so(kubeimage: Program, context: Path, isolation: str) -> None:
    build(kubeimage, context, "FROM localhost/base:v1\n")

    text = "FROM localhost/base:v1\nRUN echo a > /a\n"
    said = fail(kubeimage, context, text, f"--isolation={isolation}", "--mount=copy")

    assert "a RUN inside the image's own root cannot be made" in said


@pytest.mark.needs("buildah")
def test_a_run_makes_what_it_makes_with_buildah(kubeimage: Program, context: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("buildah is asked as root: an ordinary user's needs subordinate ids and a storage configuration")
    ours = build(kubeimage, context, RUNS)
    buildah.keep(context, tmp_path / "judge", context / "Base", "localhost/base:v1")

    theirs = buildah.build(context, tmp_path / "judge", context / "Dockerfile").tree

    # What buildah makes to mount on it leaves in the image.
    left = {path for path in theirs.keys() - ours.keys() if path.split("/")[0] in {"dev", "proc", "sys", "run", "etc"}}
    assert ours == {path: found for path, found in theirs.items() if path not in left}


MEETING = """FROM localhost/base:v1 AS one
RUN echo one > /tmp/one
FROM localhost/base:v1 AS two
RUN echo two > /tmp/two
FROM one
COPY --from=two /tmp/two /tmp/
RUN read -r a < /tmp/one && read -r b < /tmp/two && echo $a $b > /both
"""
NEVER = "while :; do :; done"


def test_stages_run_in_roots_of_their_own(kubeimage: Program, context: Path) -> None:
    assert content(build(kubeimage, context, MEETING), "both") == "one two"


def test_a_run_ends_when_another_stage_fails(kubeimage: Program, context: Path) -> None:
    build(kubeimage, context, "FROM scratch\n")
    text = MEETING.replace("RUN echo one", f"RUN {NEVER}; echo one").replace("RUN echo two", "RUN exit 7; echo two")

    said = fail(kubeimage, context, text)

    assert "RUN ended with exit status 7" in said
    assert "Dockerfile:4:1" in said
    assert [path for path in (kubeimage.root / "ingest").rglob("*") if path.is_file()] == []


OWNED = """FROM localhost/base:v1
COPY --chown=5:6 --chmod=4755 Base /own
RUN read -r line < /own && echo new > /made
USER 1000:1001
RUN echo mine > /tmp/mine
USER 7
RUN echo more > /tmp/more && (echo > /tmp/mine) || echo refused > /tmp/no
"""
OWNERS = {
    "own": (5, 6),
    "made": (0, 0),
    "tmp": (0, 0),
    "tmp/mine": (1000, 1001),
    "tmp/more": (7, 0),
    "tmp/no": (7, 0),
    "bin/sh": (0, 0),
}


def owned(program: Program, context: Path, *options: str) -> Read:
    build(program, context, OWNED, *options)
    return read_layout(program.root, "judged:v1")


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is but one user")
@pytest.mark.parametrize("mount", ["overlay", "copy"])
def test_a_run_sees_and_keeps_owners(kubeimage: Program, context: Path, mount: str) -> None:
    found = owned(kubeimage, context, f"--mount={mount}")

    assert {path: found.owners[path] for path in OWNERS} == OWNERS
    assert found.tree["own"][1] == 0o4755
    assert content(found.tree, "tmp/mine") == "mine"
    assert not {"proc", "dev", "etc/resolv.conf", "etc/hosts"} & found.tree.keys()


def test_an_ordinary_user_is_told_what_it_takes(kubeimage: Program, context: Path) -> None:
    if os.geteuid() == 0:
        # Root without any right beyond his own files, who is no more than one user either.
        kubeimage = replace(kubeimage, prefix=("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"))
    build(kubeimage, context, "FROM scratch\n")

    said = fail(kubeimage, context, "FROM localhost/base:v1\nUSER 7\nRUN echo > /x\n", "--isolation=sandbox")

    assert "error[E0721]" in said
    assert "USER 7" in said
    assert "newuidmap" in said


MOUNTS = """FROM localhost/base:v1 AS tool
RUN echo tool > /tool
FROM localhost/base:v1
RUN --mount=type=cache,target=/cache/here echo line >> /cache/here/log
RUN --mount=type=cache,target=/cache/here while read -r line; do echo "$line"; done < /cache/here/log > /kept
RUN --mount=target=/ctx --mount=from=tool,source=tool,target=/etc/tool read -r a < /ctx/Base; read -r b < /etc/tool; \\
    echo "$a $b" > /seen; (echo > /ctx/Base) 2> /tmp/said || echo refused > /no
RUN --mount=target=/rw,source=root/etc,rw echo x > /rw/new && read -r a < /rw/new && echo "$a" > /wrote
RUN --mount=type=tmpfs,target=/memory/of,size=64k echo x > /memory/of/x && echo yes > /room
"""


@pytest.mark.parametrize("mount", ["overlay", "copy"])
def test_what_is_mounted_is_seen_and_leaves_nothing(kubeimage: Program, context: Path, mount: str) -> None:
    tree = build(kubeimage, context, MOUNTS, f"--mount={mount}")

    found = {path: content(tree, path) for path in ("kept", "seen", "no", "wrote", "room")}
    assert found == {"kept": "line", "seen": "FROM scratch tool", "no": "refused", "wrote": "x", "room": "yes"}
    assert not {"cache", "ctx", "etc/tool", "rw", "memory", "tool"} & tree.keys()
    assert not (context / "root/etc/new").exists()
    kubeimage.build("again:v1", context, "--dialect=sealos", "-f", context / "Dockerfile", "--no-cache")
    again = read_layout(kubeimage.root, "again:v1").tree
    assert content(again, "kept") == "line\nline"
    kubeimage.run("fsck")


def test_a_mount_never_follows_a_symlink_out_of_the_image(kubeimage: Program, context: Path) -> None:
    # Pytest's own folders may be below /dev, and nothing is mounted in the image's.
    with folder_on_disk() as trap:
        (context / "root/out").symlink_to(f"../../../../../../../../..{trap}")
        text = "FROM localhost/base:v1\nRUN --mount=type=tmpfs,target=/out/deep echo x > /out/deep/x\n"

        build(kubeimage, context, text)

        assert list(trap.iterdir()) == []


def test_a_secret_is_shown_inside_the_image_and_leaves_nothing(kubeimage: Program, context: Path) -> None:
    (context.parent / "token").write_text("0123456789abcdef\n")
    text = (
        "FROM localhost/base:v1\n"
        "RUN --mount=type=secret,id=token,env=TOKEN read -r x < /run/secrets/../secrets/token || x=; "
        'echo "${#x} ${#TOKEN}" > /sizes\n'
        "RUN --mount=type=secret,id=token read -r x < /run/secrets/token; echo ${#x} > /size\n"
    )

    found = build(kubeimage, context, text, "--secret", f"id=token,src={context.parent}/token")

    assert found["sizes"][2] == b"0 17\n"
    assert found["size"][2] == b"16\n"
    assert not [path for path in found if path.startswith("run")]
