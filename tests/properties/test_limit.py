"""The limit of 128 layers, whoever spends them."""

from hypothesis import example, given
from hypothesis import strategies as st

from harness import model
from harness.fakes.runner import ShellInterpreter
from harness.stateful.agreement import expected, project_backends, try_project
from harness.strategies import Project
from harness.strategies.images import PLATFORMS
from tests.properties.examples import examples


def deep(base_layers: int, copies: int, runs: int) -> Project:
    layers = tuple(model.complete({f"base/{number}": "1"}) for number in range(base_layers))
    base = model.Image(PLATFORMS[0], layers, (("COPY", "x ."),) * base_layers, (("COPY x .", True),) * base_layers)
    text = "FROM base:1\n" + "".join(f"COPY a d{number}\n" for number in range(copies))
    text += "".join(f"RUN touch r{number}\n" for number in range(runs))
    return Project.of(text, {"a": "1"}, base=base)


# At the limit itself first of all.
@examples(0.3)
@given(total=st.sampled_from((128, 129, 127)) | st.integers(124, 132), runs=st.integers(0, 3), part=st.floats(0, 1))
@example(total=129, runs=0, part=1.0)
def test_128_layers_are_built_and_never_more(total: int, runs: int, part: float) -> None:
    base_layers = round(part * (total - runs))
    project = deep(base_layers, total - runs - base_layers, runs)
    backends = project_backends(project)

    seen = try_project(project, backends)

    assert seen == expected(model.build(project.request))
    assert seen.error == (None if total <= 128 else "E0401")
    if seen.image is not None:
        assert len(seen.image.layers) == total


@examples(0.1)
@given(total=st.integers(129, 400))
def test_too_many_layers_fail_before_any_work(total: int) -> None:
    project = Project.of("FROM scratch\n" + "RUN false\n" * total)
    backends = project_backends(project)

    assert try_project(project, backends).error == "E0401"
    assert isinstance(backends.runner, ShellInterpreter)
    assert backends.runner.commands == []
