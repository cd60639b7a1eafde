"""Runs on several machines that share a build cache: each content is built by one of them."""

from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from tests.harness.conftest import Run, WriteProject

KUBEFILE = "FROM scratch\nCOPY a .\nRUN cp a b\n"


@pytest.mark.parametrize("place", ["folder", "registry"])
def test_the_second_machine_builds_nothing(
    project: WriteProject,
    run: Run,
    tmp_path: Path,
    fake_registry: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    settings = tmp_path / "settings/kubeimage"
    settings.mkdir(parents=True)
    (settings / "config.toml").write_text(f'[registry."{fake_registry.host}"]\nplain-http = true\n')
    monkeypatch.setenv("XDG_CONFIG_HOME", str(settings.parent))
    ref = f"oci:{tmp_path}/cache" if place == "folder" else f"{fake_registry.host}/team/cache"
    project(
        {
            "app/Kubefile": KUBEFILE,
            "app/a": "1",
            "test_app.py": """
import pytest

@pytest.mark.kubefile("app/Kubefile")
def test_hits(built_image):
    print("HITS", built_image.result.cache_hits)
""",
        }
    )
    shared = [f"--kubefile-cache-from={ref}", f"--kubefile-cache-to={ref}"]

    first = run("test_app.py", "app/Kubefile", "-s", "-p", "no:xdist", *shared, backend="copy")
    second = run("test_app.py", "app/Kubefile", "-s", "-p", "no:xdist", *shared, backend="copy")

    first.stdout.fnmatch_lines(["*HITS 0*"])
    second.stdout.fnmatch_lines(["*HITS 2*"])
    assert first.ret == second.ret == 0


def test_what_is_to_be_built_anew_is(project: WriteProject, run: Run, tmp_path: Path) -> None:
    """The check `reproducible` builds in a store of its own: a cache that others filled would say nothing."""
    project({"app/Kubefile": "FROM scratch\nRUN date +%N >now\n"})
    shared = [f"--kubefile-cache-from=oci:{tmp_path}/cache", f"--kubefile-cache-to=oci:{tmp_path}/cache"]

    result = run("--kubefile=app", "-k", "reproducible", *shared, backend="copy")

    result.assert_outcomes(failed=1)
