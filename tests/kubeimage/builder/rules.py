"""A few lines of a Kubefile in a dialect after Docker's rules, built in memory and held against the model."""

from collections.abc import Mapping
from typing import Any

from harness.stateful.dockeragreement import docker_backends, expected_of_docker, try_docker_project
from harness.strategies import Project
from harness.strategies.sealos import archive_of
from harness.trees import Content, File, Folder, Link

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONTEXT: Mapping[str, Content] = {
    "a.yaml": "a",
    "b.yaml": "b",
    "d/x": "x",
    "d/lnk": Link("x"),
    "d/sub/y": "y",
    "reg_amd64/blob": "amd64",
    "reg_arm64/blob": "arm64",
    "run.sh": File("r", 0o4755),
    "arc.tgz": File(archive_of(("o/x", 0o4750, (5, 6)))),
    "empty": Folder(),
    "lists/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/:/bin/sh\n",
    "lists/group": "root:x:0:\nextra:x:2000:\n",
    "root/bin/sh": File("#!", 0o755),
}


def seen(lines: str, *, dialect: str = "sealos", **options: Any) -> dict[str, Any] | str:
    """Build lines, parted by two semicolons, and return what was made, or the code of an error; the model agrees."""
    text = "\n".join([f"# syntax={dialect}", *lines.split(" ;; "), ""])
    context = {**CONTEXT, **options.pop("context", {})}
    project = Project.of(text, context, **options)
    found = try_docker_project(project, docker_backends(project))
    assert found[:2] == expected_of_docker(project)[:2]
    return found.image if found.image is not None else str(found.error)


def made(lines: str, **options: Any) -> dict[str, Any]:
    found = seen(lines, **options)
    assert isinstance(found, dict), found
    return found


def files(image: Mapping[str, Any]) -> list[str]:
    """Return the paths of an image that are no folders, and the folders in which nothing is."""
    tree = image["tree"]
    above = {path.rpartition("/")[0] for path in tree}
    return sorted(path + "/" * one.is_folder for path, one in tree.items() if not (one.is_folder and path in above))
