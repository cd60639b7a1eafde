import json
import re
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry, Status

from .conftest import MakeContext, Run


@pytest.fixture
def name(fake_registry: FakeRegistry, run: Run, make_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of an image that is in the store, and could be in the registry."""
    monkeypatch.setenv("DOCKER_CONFIG", "/nowhere")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    name = f"{fake_registry.host}/team/app:v1"
    run("build", "-q", "-t", name, make_context({"Kubefile": "FROM scratch\nCOPY a .\n", "a": "1"}))
    return name


@pytest.fixture
def insecure(fake_registry: FakeRegistry) -> str:
    return f"--insecure=http://{fake_registry.host}"


def shape(text: str) -> list[str]:
    """Return the lines with digests and hosts left out."""
    return re.sub(r"127\.0\.0\.1:\d+", "HOST", re.sub(r"\b[0-9a-f]{12,64}\b", "…", text)).splitlines()


def test_push_and_pull_tell_what_they_do_and_print_the_digest(
    name: str, insecure: str, run: Run, tmp_path: Path
) -> None:
    pushed = run("push", insecure, name)
    again = run("push", insecure, name)
    pulled = run("pull", insecure, name, env={"KUBEIMAGE_ROOT": str(tmp_path / "other")})

    assert pushed.stdout == again.stdout == pulled.stdout
    assert shape(pushed.stdout) == ["sha256:…"]
    first, *blobs, last = shape(pushed.stderr)
    assert (first, last) == ("push HOST/team/app:v1", "pushed HOST/team/app:v1 as sha256:…")
    assert [line.rpartition(" B ")[2] for line in blobs] == ["pushed"] * 2
    assert [line.rpartition(" B ")[2] for line in again.stderr.splitlines()[1:3]] == ["there already"] * 2
    assert shape(pulled.stderr)[-1] == "pulled HOST/team/app:v1 as sha256:…"


def test_an_image_goes_to_sealer_and_comes_back_as_itself(name: str, insecure: str, run: Run, tmp_path: Path) -> None:
    other = {"KUBEIMAGE_ROOT": str(tmp_path / "other")}

    run("push", "--format=sealer", insecure, name)
    run("pull", insecure, name, env=other)

    ours, back = (json.loads(run("images", "--format=json", env=env).stdout)[0] for env in ({}, other))
    assert back["image_id"] == ours["image_id"]


def test_programs_get_one_object_a_line(name: str, insecure: str, run: Run) -> None:
    told = [json.loads(line) for line in run("push", insecure, name, "--progress=json").stderr.splitlines()]

    assert [one["event"] for one in told][:: len(told) - 1] == ["transfer_started", "transfer_finished"]
    assert {one["event"] for one in told[1:-1]} == {"blob_progress", "blob_finished"}
    assert all(one["direction"] == "push" for one in told)
    done = [one for one in told if one["event"] == "blob_finished"]
    assert [(one["moved"], one["mounted"]) for one in done] == [(True, False)] * 2


def test_quiet_is_quiet(name: str, insecure: str, run: Run) -> None:
    assert run("push", "-q", insecure, name).stderr == ""


def test_an_error_is_an_object_for_programs(name: str, insecure: str, run: Run, fake_registry: FakeRegistry) -> None:
    fake_registry.on("HEAD *", Status(403, code="DENIED"), times=None)

    failed = run("push", insecure, name, "--progress=json", status=1)

    error = json.loads(failed.stderr.splitlines()[-1])
    assert (error["event"], error["code"], error["exit_status"]) == ("error", "E0802", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["push", "app:v1", "--compression=lzma"], "E0101]: not a compression: 'lzma'"),
        (["push", "app@sha256:" + "0" * 64], "E0103]: NAME takes a name, found one with a digest"),
        (["push", "App"], "E0103]: not an image reference"),
        (["push", "app:v1", "--platform=a/b/c/d"], "E0105]: not a platform"),
        (["pull", "app:v1", "--platform=linux/amd64,"], "E0105]: not a platform"),
        (["pull", "app:v1", "--insecure=a/b"], "E0106]: --insecure: 'a/b' is not a registry"),
        (["login", "a b", "-u", "x", "--password-stdin"], "E0103]: not an image reference"),
        (["login", "a.example", "-u", "a:b", "--password-stdin"], "E0101]: not a user's name: 'a:b'"),
        (["login", "a.example", "-u", "a", "--password-stdin"], "E0101]: the password is empty"),
        (["logout", "a.example/path"], "E0103]: not an image reference"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_before_anything_is_done(arguments: list[str], message: str, run: Run, root: Path) -> None:
    failed = run(*arguments, status=2)

    assert message in failed.stderr
    assert not root.exists()


def test_the_configuration_file_can_be_named_before_and_behind_the_command(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("zz = 1\n")

    for arguments in (["--config", path, "images"], ["images", "--config", path]):
        failed = run(*arguments, status=2)
        assert f"error[E0106]: {path}: unknown key 'zz'" in failed.stderr


def test_names_are_shown_as_the_configuration_completes_them(name: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'default-domain = "{name.partition("/")[0]}"\ndefault-namespace = "team"\n')

    assert run("images", "--config", path).stdout.splitlines()[1].startswith("app:v1 ")
    assert run("rmi", "app:v1", "--config", path).stdout.splitlines()[0] == "untagged app:v1"
