"""RUN in the surroundings that CI jobs have, made from namespaces and filters: it works, walled, or says why not."""

import base64
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubeimage.run import inside, landlock
from kubeimage.run.seccomp import Rule, make_filter
from tests.kubeimage.run.processes import locked_down

# Behind one more user namespace, for whoever masks may unmask.
MASK = ["sh", "-c", 'mount --bind /dev/null /proc/version && exec unshare -U -r -m -- "$@"', "masked"]
MASKED = ["unshare", "-U", "-r", "-m", *MASK]
AS_ROOT = ["unshare", "-U", "-r"]
NAMESPACES = (
    Rule("unshare", errno.EPERM),
    Rule("clone", errno.EPERM, argument=0, if_any_bit=0x7E020000),
    Rule("clone3", errno.ENOSYS),
    Rule("mount", errno.EPERM),
)
NO_PIVOT = (Rule("pivot_root", errno.EPERM),)

WORKS = {
    "an ordinary machine": ([], (), "sandbox"),
    "uid 0 in a user namespace": (AS_ROOT, (), "sandbox"),
    "a masked /proc": (MASKED, (), "sandbox"),
    "no pivot_root": ([], NO_PIVOT, "sandbox"),
    "uid 0 in a user namespace, no pivot_root": (AS_ROOT, NO_PIVOT, "sandbox"),
    "a masked /proc, no pivot_root": (MASKED, NO_PIVOT, "sandbox"),
    "no namespaces, by a setting": (locked_down(), (), "landlock"),
    "no namespaces, by a filter": ([], NAMESPACES, "landlock"),
    "no namespaces, by a filter, and a masked /proc": (MASKED, NAMESPACES, "landlock"),
}
SCRIPT = 'mkdir d && echo x > d/f && chmod 711 d && ! cat "$SECRET" && ! touch /etc/x /usr/x && ! unshare -U true'


class Place:
    """A store and a project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = folder / "secret"
        self.secret.write_text("s3cr3t")
        self.secret.chmod(0o600)
        (folder / "app").mkdir()
        script = SCRIPT.replace('"$SECRET"', str(self.secret))
        (folder / "app/Kubefile").write_text(f"FROM scratch\nRUN {script}\n")

    def build(self, name: str, before: list[str], rules: tuple[Rule, ...], *options: str) -> tuple[str, str]:
        """Return what a build that begins with ``before`` says on standard output and on standard error."""
        argv = [sys.executable, "-m", "kubeimage", "--root", f"{self.folder}/{name}", "build", "-t", "a:v1", *options]
        argv = [*before, *argv, f"{self.folder}/app"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        read, write = os.pipe()
        program = base64.b64encode(make_filter(rules)).decode() if rules else None
        # The filter comes first: `before` is then started in it.
        plan = inside.Plan(("/usr/bin/env", *argv), environment, "/", filter=program)
        with open(write, "wb") as file:
            file.write(plan.to_json())
        try:
            start = [sys.executable, inside.__file__, str(read)]
            done = subprocess.run(start, capture_output=True, text=True, check=False, pass_fds=[read])
        finally:
            os.close(read)
        return done.stdout, done.stderr


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize(("before", "rules", "isolation"), WORKS.values(), ids=WORKS)
def test_a_run_works_behind_walls(place: Place, before: list[str], rules: tuple[Rule, ...], isolation: str) -> None:
    if isolation == "landlock" and landlock.why_not() is not None:
        pytest.skip(f"no Landlock to try: {landlock.why_not()}")
    if before is MASKED and rules is NAMESPACES:
        pytest.skip("the filter comes first, and lets nobody mask anything")

    here, _ = place.build("here", [], ())
    there, said = place.build("there", before, rules)

    assert f"--isolation={isolation})" in said
    assert (there, "s3cr3t" in said) == (here, False), said


@pytest.mark.parametrize(
    ("before", "rules", "cause", "way_out"),
    [
        (locked_down(), (), "user.max_user_namespaces is 0 here", "sysctl user.max_user_namespaces=15000"),
        ([], NAMESPACES, "seccomp filter refuses namespaces", "--security-opt seccomp=unconfined"),
    ],
    ids=["a setting", "a filter"],
)
def test_where_no_sandbox_can_be_made_the_true_cause_is_named_and_the_way_out(
    place: Place, before: list[str], rules: tuple[Rule, ...], cause: str, way_out: str
) -> None:
    image_id, said = place.build("there", before, rules, "--isolation=sandbox")

    assert image_id == ""
    assert "error[E0720]: no sandbox can be made here: " in said
    assert cause in said
    assert way_out in said
    assert "--mount=copy --isolation=none" in said
    assert "No space left" not in said
    assert "unshare failed" not in said


def test_root_of_a_user_namespace_gets_an_overlay_as_an_ordinary_user_does(place: Place) -> None:
    here, said_here = place.build("here", [], ())
    there, said_there = place.build("there", AS_ROOT, ())

    if "--mount=overlay" not in said_here:
        pytest.skip(f"no overlay to try: {said_here}")
    assert "--mount=overlay" in said_there
    assert here == there


def test_without_walls_it_works_everywhere(place: Place) -> None:
    (place.folder / "app/Kubefile").write_text("FROM scratch\nRUN echo x > made\n")

    image_id, said = place.build("there", locked_down(), (), "--isolation=none")

    assert image_id.startswith("sha256:"), said


def test_a_plan_reads_back_as_it_was_written() -> None:
    plan = inside.Plan(("a",), {"b": "c"}, "/d", view=(("bind", "/e", "/f"),), rules=(("/g", 1),), capabilities=(1,))

    assert inside.Plan(**json.loads(plan.to_json())).to_json() == plan.to_json()
