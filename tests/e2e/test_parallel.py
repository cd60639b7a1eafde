"""Builds that run at the same time on one store."""

import json
from pathlib import Path

from tests.e2e.program import PATIENCE, Program, write


def test_builds_at_once_are_all_recorded(based: Program, projects: Path) -> None:
    names = [f"metrics:v{number}" for number in range(4)]
    started = [
        based.start("build", "-t", name, "--build-arg", f"VERSION={number % 2}", projects / "templated")
        for number, name in enumerate(names)
    ]

    ended = [process.communicate(timeout=PATIENCE) for process in started]

    assert [process.returncode for process in started] == [0, 0, 0, 0], ended
    ids = [based.inspect(name)["spec"]["id"] for name in names]
    assert (ids[0], ids[1]) == (ids[2], ids[3])
    assert ids[0] != ids[1]
    listed = json.loads(based.run("images", "--format=json").stdout)
    assert len(listed) == len(names) + 2


def test_the_same_build_twice_at_once_gives_one_image(kubeimage: Program) -> None:
    files = {f"files/{number}": str(number) * 1000 for number in range(200)}
    context = write(kubeimage.folder / "context", {"Kubefile": "FROM scratch\nCOPY files .\nRUN rm files/1\n", **files})
    started = [kubeimage.start("build", "-t", "same:v1", context) for _ in range(2)]

    ended = [process.communicate(timeout=PATIENCE) for process in started]

    assert [process.returncode for process in started] == [0, 0], ended
    assert len(json.loads(kubeimage.run("images", "--format=json").stdout)) == 1
    assert len(list((kubeimage.export("same:v1") / "files").iterdir())) == len(files) - 1


def test_a_running_build_keeps_its_base_whatever_happens_to_its_name(kubeimage: Program) -> None:
    base = write(kubeimage.folder / "base", {"Kubefile": "FROM scratch\nCOPY etc .\n", "etc/base": "base\n"})
    kubefile = "FROM base:v1\nRUN echo begun-$((40 + 2)) && sleep 1\nRUN cat etc/base > etc/derived\n"
    context = write(kubeimage.folder / "context", {"Kubefile": kubefile})
    kubeimage.build("base:v1", base)

    with kubeimage.start("build", "-t", "derived:v1", "--progress=plain", context) as process:
        assert process.stderr is not None
        assert any("begun-42" in line for line in process.stderr)
        kubeimage.run("rmi", "base:v1")
        kubeimage.run("prune")
        _, stderr = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0, stderr
    assert (kubeimage.export("derived:v1") / "etc/derived").read_text() == "base\n"
    kubeimage.run("fsck")
