"""What every command says last, and ends with, where something is left undone; and that all is as it was then."""

import re
import shutil
from pathlib import Path

import pytest

from tests.kubeimage.cli.conftest import MakeContext, Run

KUBEFILE = "FROM scratch\nCOPY a .\n"
NAMES = ("one:v1", "two:v1", "three:v1")


@pytest.fixture
def three(run: Run, make_context: MakeContext) -> Run:
    """Build three images of different layers."""
    for name in NAMES:
        run("build", "-q", "-t", name, make_context({"Kubefile": KUBEFILE, "a": name}, name[:3]))
    return run


def flip(root: Path, run: Run, name: str) -> Path:
    """Change one byte of an image's only layer."""
    layer = re.search(r'"layer": "sha256:(\w+)"', run("history", name, "--format=json").stdout)
    assert layer is not None
    blob = root / "blobs/sha256" / layer[1]
    data = bytearray(blob.read_bytes())
    data[514] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    return blob


def listed(run: Run) -> list[str]:
    return sorted(line.split()[0] for line in run("images").stdout.splitlines()[1:])


NO_IMAGE = "error[E0501]: no image gone:v1 in the store\n"


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("rmi one:v1 gone:v1 two:v1", 1, NO_IMAGE),
        ("rmi one:v1 two:v1 gone:v1", 1, NO_IMAGE),
        ("rmi gone:v1 one:v1 two:v1", 1, NO_IMAGE),
        ("rmi --platform linux/s390x one:v1", 1, "error[E0501]: "),
        ("tag gone:v1 new:v1", 1, NO_IMAGE),
        ("inspect gone:v1", 1, NO_IMAGE),
        ("history gone:v1", 1, NO_IMAGE),
        ("export gone:v1 -o out", 1, NO_IMAGE),
        ("save gone:v1 -o out", 1, NO_IMAGE),
        ("merge one:v1 gone:v1 two:v1 -t new:v1", 1, NO_IMAGE),
        ("merge one:v1 two:v1 gone:v1 -t new:v1", 1, NO_IMAGE),
        ("diff one:v1 gone:v1", 1, NO_IMAGE),
        ("diff gone:v1 one:v1", 1, NO_IMAGE),
        ("verify gone:v1", 1, NO_IMAGE),
        ("images-of gone:v1", 1, NO_IMAGE),
        ("push gone:v1", 1, "error[E0501]: no image "),
        ("load -i none.tar", 2, "error[E0101]: there is no file 'none.tar'\n"),
        ("build nowhere -t new:v1", 2, "error[E0301]: "),
        ("plan nowhere", 2, "error[E0301]: "),
    ],
)
def test_who_cannot_do_all_does_nothing_and_says_so(
    three: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, status: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())

    result = three(*command.split(), status=status)

    assert result.stdout == ""
    assert said in result.stderr
    assert listed(three) == sorted(NAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert three("fsck").stdout == ""


@pytest.mark.parametrize("broken", [("two:v1",), ("one:v1", "three:v1"), NAMES], ids=["one", "two", "three"])
def test_a_repair_that_loses_images_names_each_and_fails(three: Run, root: Path, broken: tuple[str, ...]) -> None:
    for name in broken:
        flip(root, three, name)
    found = three("fsck", status=1)
    assert [name for name in NAMES if f"{name} is broken" in found.stdout] == [name for name in NAMES if name in broken]
    assert re.search(r"^\d+ damaged", found.stderr)
    assert listed(three) == sorted(NAMES)

    repaired = three("fsck", "--repair", status=1)

    assert repaired.stdout.count("lost: the image ") == len(broken)
    assert repaired.stdout.count("hint: build or load it again") == len(broken)
    images = "image" if len(broken) == 1 else "images"
    assert re.match(rf"the store is sound, {len(broken)} {images} lost, \d+ repaired", repaired.stderr)
    assert listed(three) == sorted({*NAMES} - {*broken})
    assert three("fsck", "--repair").stderr.startswith("the store is sound")
    for name in broken:
        three("build", "-q", "-t", name, str(root.parent / name[:3]))
    assert listed(three) == sorted(NAMES)
    assert three("fsck").stdout == ""


def test_a_repair_that_loses_nothing_succeeds(three: Run, root: Path) -> None:
    (root / "oci-layout").unlink()
    assert three("fsck", status=1).stderr == "1 damaged\n"

    repaired = three("fsck", "--repair")

    assert repaired.stdout.startswith("repaired: ")
    assert repaired.stderr == "the store is sound, 1 repaired\n"
    assert listed(three) == sorted(NAMES)


def test_three_names_of_one_image_go_one_by_one_and_its_layer_with_the_last(three: Run, root: Path) -> None:
    for name in ("a:1", "b:1"):
        three("tag", "one:v1", name)

    for name in ("one:v1", "a:1", "b:1"):
        assert name in listed(three)
        three("rmi", name)
        assert name not in listed(three)
        three("prune", "--keep-cache")
        assert three("fsck").stdout == ""
    assert listed(three) == ["three:v1", "two:v1"]


def test_what_a_prune_would_do_is_not_done(three: Run, root: Path) -> None:
    three("rmi", *NAMES)
    before = sorted(path for path in root.rglob("*") if path.is_file())

    assert re.fullmatch(r"would free .*, \d+ items?\n", three("prune", "--dry-run").stderr)

    assert sorted(path for path in root.rglob("*") if path.is_file()) == before


def test_three_images_merge_in_their_order(three: Run, tmp_path: Path) -> None:
    for order in (NAMES, NAMES[::-1], (NAMES[1], NAMES[2], NAMES[0])):
        three("merge", *order, "-t", "all:v1")
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        three("export", "all:v1", "-o", tmp_path / "out")

        assert (tmp_path / "out/a").read_text() == order[-1]


def test_three_images_come_back_from_one_archive_each(three: Run, tmp_path: Path) -> None:
    before = names_and_ids(three)
    for name in NAMES:
        three("save", name, "-o", tmp_path / f"{name[:3]}.tar")
    three("rmi", *NAMES)
    assert listed(three) == []

    for name in NAMES:
        three("load", "-i", tmp_path / f"{name[:3]}.tar")

    assert names_and_ids(three) == before


def names_and_ids(run: Run) -> list[list[str]]:
    """Give what is listed of images, but for when they were made and used."""
    return sorted(line.split()[:3] for line in run("images").stdout.splitlines())
