"""Projects in the dialect sealos: equal on every backend, from the cache and anew."""

from tempfile import TemporaryDirectory

from hypothesis import event, given

from harness.stateful.agreement import build_project, project_backends
from harness.strategies import Project
from harness.strategies.sealos import sealos_projects
from harness.trees import write_tree
from kubeimage import BuildOptions, build_image, open_backends
from kubeimage.errors import KubeimageError
from kubeimage.image.platform import Platform
from kubeimage.kubefile import parse, render
from tests.properties.examples import examples


def outcome(project: Project, folder: str) -> tuple[str, str]:
    """Build a project on disk, twice: return the code or the id of each."""
    write_tree(f"{folder}/context", project.context)
    options = BuildOptions(platform=Platform.parse(project.platform))
    found = []
    for _ in range(2):
        with open_backends(f"{folder}/store") as backends:
            try:
                built = build_image(project.kubefile, f"{folder}/context", backends, options=options)
                found.append(str(built.image.id))
            except KubeimageError as error:
                found.append(error.code)
    return found[0], found[1]


@examples(0.3)
@given(sealos_projects())
def test_memory_disk_and_cache_give_one_image(project: Project) -> None:
    backends = project_backends(project)
    try:
        in_memory = str(build_project(project, backends).image.id)
    except KubeimageError as error:
        in_memory = error.code

    with TemporaryDirectory() as folder:
        first, again = outcome(project, folder)

    event("built" if in_memory.startswith("sha256") else in_memory)
    assert first == again == in_memory


@examples(1)
@given(sealos_projects())
def test_a_kubefile_is_what_is_read_from_what_it_is_rendered_to(project: Project) -> None:
    assert parse(render(project.kubefile)) == project.kubefile
