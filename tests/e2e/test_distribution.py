"""Images to a real registry and back, and what other tools make of them."""

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from zstandard import ZstdDecompressor

from harness.fakes.registry import FakeRegistry, Slow
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import DEFAULT_DOMAIN, DEFAULT_NAMESPACE
from tests.e2e.program import REPOSITORY, Ended, Program, tree, wait_until, write
from tests.kubeimage.store.foreign import make_foreign, tar_of
from tests.registries import docker_registry

pytestmark = pytest.mark.needs("docker-registry")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the host of a registry that asks nobody for a login."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as url:
        yield url.removeprefix("http://")


@pytest.fixture
def online(based: Program, registry: str, request: pytest.FixtureRequest) -> Program:
    """Return the program with the base images, whose short names mean a place of the test's own in the registry."""
    place = f"test-{Digest.of(request.node.nodeid.encode()).short}"
    return configured(based, f'default-domain = "{registry}"\ndefault-namespace = "{place}"\n', registry)


def configured(program: Program, settings: str, *plain_hosts: str) -> Program:
    """Return the program with a configuration file."""
    hosts = "".join(f'[registry."{host}"]\nplain-http = true\n' for host in plain_hosts)
    write(program.folder / "settings", {"kubeimage/config.toml": settings + hosts})
    environment = {"XDG_CONFIG_HOME": str(program.folder / "settings"), "DOCKER_CONFIG": str(program.folder / "docker")}
    return replace(program, environment={**program.environment, **environment})


def skopeo(*arguments: str) -> str:
    command = ["skopeo", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def copy(source: str, target: str, *options: str) -> None:
    skopeo("copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", *options, source, target)


@pytest.fixture
def dashboard(online: Program, registry: str, projects: Path) -> str:
    """Build an image that is to travel, and give its name."""
    name = f"{registry}/{place_of(online)}/dashboard:v1"
    online.run("tag", f"{DEFAULT_DOMAIN}/{DEFAULT_NAMESPACE}/rootfs:v1", "rootfs:v1")
    online.build(name, projects / "templated")
    return name


def place_of(program: Program) -> str:
    text = (program.folder / "settings/kubeimage/config.toml").read_text()
    return text.split('default-namespace = "')[1].partition('"')[0]


FORMS = {
    "oci gzip": [],
    "docker": ["--format=docker"],
    "oci zstd": ["--compression=zstd"],
    "oci zstd:9": ["--compression=zstd:9"],
}


@pytest.mark.needs("skopeo", "umoci")
@pytest.mark.parametrize("form", ["oci gzip", "docker"])
def test_what_is_pushed_is_unpacked_by_others_as_exported(form: str, online: Program, dashboard: str) -> None:
    online.run("push", dashboard, *FORMS[form])

    layout, bundle = online.folder / "layout", online.folder / "bundle"
    copy(f"docker://{dashboard}", f"oci:{layout}:v1")
    subprocess.run(["umoci", "unpack", "--rootless", "--image", f"{layout}:v1", bundle], check=True)
    assert tree(bundle / "rootfs") == tree(online.export(dashboard))


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("form", ["oci zstd:9"])
def test_zstd_layers_are_those_of_the_config(form: str, online: Program, dashboard: str) -> None:
    online.run("push", dashboard, *FORMS[form])

    folder = online.folder / "copied"
    copy(f"docker://{dashboard}", f"dir:{folder}")
    manifest = json.loads((folder / "manifest.json").read_text())
    found = []
    for layer in manifest["layers"]:
        assert layer["mediaType"].endswith("+zstd")
        blob = folder / layer["digest"].removeprefix("sha256:")
        found.append(str(Digest.of(ZstdDecompressor().decompressobj().decompress(blob.read_bytes()))))
    assert found == online.inspect(dashboard)["rootfs"]["diff_ids"]


@pytest.mark.parametrize("form", ["oci gzip", "docker"])
def test_an_unchanged_image_is_pushed_without_sending_a_blob(form: str, online: Program, dashboard: str) -> None:
    first = online.run("push", dashboard, *FORMS[form])

    again = online.run("push", dashboard, *FORMS[form], "--progress=json")

    told = [event for event in again.events if event["event"] == "blob_finished"]
    assert len(told) == len(online.inspect(dashboard)["rootfs"]["diff_ids"]) + 1
    assert not any(event["moved"] for event in told)
    assert again.stdout == first.stdout


@pytest.mark.parametrize("form", ["docker", "oci zstd"])
def test_an_image_comes_back_as_it_went(form: str, online: Program, dashboard: str) -> None:
    pushed = online.run("push", dashboard, *FORMS[form]).stdout
    other = online.with_root(online.folder / "other")

    pulled = other.run("pull", dashboard).stdout

    assert pulled == pushed
    assert tree(other.export(dashboard)) == tree(online.export(dashboard))
    assert other.inspect(dashboard)["spec"]["image_config"] == online.inspect(dashboard)["spec"]["image_config"]
    other.run("fsck")
    assert other.run("push", dashboard).stdout == pushed


@pytest.mark.needs("skopeo")
@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_a_base_that_skopeo_brought_is_fetched_and_built_on(
    form: str, online: Program, dashboard: str, registry: str
) -> None:
    base = f"{registry}/{place_of(online)}/base:v1"
    copy(f"oci:{online.root}:{dashboard}", f"docker://{base}", f"--format={form}")
    kubefile = "FROM base:v1\nCOPY extra etc\nRUN ls etc >listed\n"
    context = write(online.folder / "context", {"Kubefile": kubefile, "extra": ""})
    other = online.with_root(online.folder / "other")

    other.build("app:v1", context)

    digest = "sha256:" + Digest.of(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{base}").encode()).hex
    manifest = manifest_of(other, "app:v1")
    assert manifest["annotations"]["org.opencontainers.image.base.digest"] == digest
    assert manifest["annotations"]["org.opencontainers.image.base.name"] == base
    expected = {**tree(online.export(dashboard)), "etc/extra": ("file", 0o644, b"")}
    built = tree(other.export("app:v1"))
    assert built.pop("listed")[2] != b""
    assert built == expected


def manifest_of(program: Program, name: str) -> Any:
    (manifest,) = [
        row["manifest"] for row in json.loads(program.run("images", "--format=json").stdout) if row["name"] == name
    ]
    return json.loads((program.root / "blobs/sha256" / manifest.removeprefix("sha256:")).read_text())


@pytest.mark.needs("skopeo")
def test_an_image_for_several_platforms_goes_and_comes(online: Program, projects: Path, registry: str) -> None:
    place = f"{registry}/{place_of(online)}"
    listed = []
    for architecture in ("amd64", "arm64"):
        name = f"{place}/multi:{architecture}"
        online.build(name, projects / "multiarch", f"--platform=linux/{architecture}")
        online.run("push", name)
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}").encode()
        described = Descriptor.of("application/vnd.oci.image.manifest.v1+json", raw)
        listed.append({**described.to_json(), "platform": {"os": "linux", "architecture": architecture}})
    put_index(registry, f"{place_of(online)}/multi", "v1", listed)
    other = online.with_root(online.folder / "other")

    other.run("pull", "multi:v1", "--platform=arm64")
    assert [row["platform"] for row in json.loads(other.run("images", "--format=json").stdout)] == ["linux/arm64"]
    stopped = other.run("push", "multi:v1", "--platform=s390x", status=1)
    assert "error[E0501]" in stopped.stderr
    digest = other.run("pull", "multi:v1", "--platform=all").stdout
    other.run("tag", "multi:v1", "copy:v1")
    assert other.run("push", "copy:v1").stdout == digest
    copy(f"docker://{place}/copy:v1", f"oci:{other.folder}/layout:v1", "--all")
    assert tree(other.export("multi:v1")) == tree(online.export(f"{place}/multi:amd64"))


def put_index(host: str, repository: str, tag: str, listed: list[dict[str, Any]]) -> None:
    """Put an index as another tool would."""
    media_type = "application/vnd.oci.image.index.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": listed})
    connection = http.client.HTTPConnection(host)
    connection.request("PUT", f"/v2/{repository}/manifests/{tag}", body, {"Content-Type": media_type})
    assert connection.getresponse().status == 201
    connection.close()


@pytest.fixture
def sealer(tmp_path: Path) -> Iterator[str]:
    """Return a registry that holds what sealer v0.8 pushed."""
    folder = tmp_path / "sealer"
    (folder / "data").mkdir(parents=True)
    archive = REPOSITORY / "fixtures/sealer-v08/registry.tar.gz"
    subprocess.run(["tar", "-xzf", archive, "-C", folder / "data"], check=True)
    with docker_registry(folder) as url:
        yield url.removeprefix("http://")


def test_images_that_sealer_made_are_bases(sealer: str, kubeimage: Program) -> None:
    program = configured(kubeimage, f'default-domain = "{sealer}"\ndefault-namespace = "demo"\n', sealer)
    kubefile = "FROM app:v1\nCOPY mine etc\nCMD echo mine\n"
    context = write(program.folder / "context", {"Kubefile": kubefile, "mine": "1"})

    program.build("own:v1", context)

    inherited = ["echo base", "kubectl apply -f manifests/dash.yaml"]
    assert program.inspect("own:v1")["spec"]["image_config"]["cmd"] == {"parent": inherited, "current": ["echo mine"]}
    exported = tree(program.export("own:v1"))
    assert {"bin/kubelet", "etc/a.yaml", "etc/mine"} <= exported.keys()
    program.run("push", "own:v1", "--format=docker")
    program.run("fsck")


def test_base_images_are_fetched_as_the_policy_says(online: Program, dashboard: str, projects: Path) -> None:
    context = write(online.folder / "context", {"Kubefile": "FROM dashboard:v1\nCOPY a .\n", "a": "1"})
    other = online.with_root(online.folder / "other")
    online.run("push", dashboard)

    never = other.run("build", "-t", "x", "--pull=never", context, status=1)
    assert "error[E0402]" in never.stderr
    old = other.build("x:v1", context)
    online.build(dashboard, projects / "rootfs")
    online.run("push", dashboard)
    assert other.build("x:v1", context) == old
    assert other.build("x:v1", context, "--pull=always") != old


def test_a_base_that_cannot_be_fetched_is_told_with_what_to_do(kubeimage: Program) -> None:
    program = configured(kubeimage, "", "127.0.0.1:1")
    context = write(program.folder / "context", {"Kubefile": "FROM 127.0.0.1:1/a:v1\nCOPY a .\n", "a": "1"})

    ended = program.run("build", "-t", "x", context, status=1)

    said = "the base image 127.0.0.1:1/a:v1 is not in the store, and cannot be fetched: cannot connect to the registry"
    assert f"error[E0801]: {said} 127.0.0.1:1: Connection refused" in ended.stderr
    assert f"{context}/Kubefile:1:1" in ended.stderr
    assert "hint: check the address, and that the registry runs" in ended.stderr


def test_a_base_that_is_nowhere_is_told_with_both_places(online: Program, registry: str) -> None:
    context = write(online.folder / "context", {"Kubefile": "FROM nowhere:v1\nCOPY a .\n", "a": "1"})

    ended = online.run("build", "-t", "x", context, status=1)

    assert "error[E0402]: the base image nowhere:v1 is not in the store for " in ended.stderr
    assert f"and {registry} refuses GET http://{registry}/v2/" in ended.stderr


def test_a_damaged_base_is_not_missing(online: Program, dashboard: str) -> None:
    context = write(online.folder / "context", {"Kubefile": "FROM dashboard:v1\nCOPY a .\n", "a": "1"})
    online.run("push", dashboard)
    layer = online.root / "blobs/sha256" / online.inspect(dashboard)["rootfs"]["diff_ids"][0].removeprefix("sha256:")
    layer.chmod(0o644)
    layer.write_bytes(b"x" * layer.stat().st_size)

    ended = online.run("build", "-t", "x", context, status=1)

    assert "error[E0506]" in ended.stderr
    online.run("build", "-t", "x", "--pull=always", context)


def test_a_login_is_checked_kept_and_forgotten(tmp_path: Path, based: Program) -> None:
    folder = tmp_path / "private"
    folder.mkdir()
    with docker_registry(folder, password=True) as url:
        host = url.removeprefix("http://")
        program = configured(based, "", host)
        name = f"{host}/team/rootfs:v1"
        program.run("tag", "rootfs:v1", name)

        assert "error[E0802]" in program.run("push", name, status=1).stderr
        wrong = log_in(program, host, "hunter2", status=1)
        assert "does not take this name and password" in wrong.stderr
        assert "hunter2" not in wrong.stderr
        assert not (program.folder / "docker").exists()
        log_in(program, host, "secret")
        assert (program.folder / "docker/config.json").stat().st_mode & 0o777 == 0o600
        program.run("push", name)
        program.with_root(tmp_path / "other").run("pull", name)
        program.run("logout", host)
        assert f"log in: kubeimage login {host}" in program.run("pull", name, status=1).stderr


def log_in(program: Program, host: str, password: str, *, status: int = 0) -> Ended:
    return program.run("login", host, "-u", "anna", "--password-stdin", status=status, given=f"{password}\n")


def test_a_login_without_a_terminal_needs_the_password_on_standard_input(kubeimage: Program) -> None:
    ended = kubeimage.run("login", "a.example", "-u", "anna", status=2)

    assert "login needs --password-stdin where nobody can be asked" in ended.stderr


def test_an_interrupted_pull_ends_at_once_and_shows_nothing(kubeimage: Program) -> None:
    with FakeRegistry() as registry:
        publish(registry)
        registry.on("GET */blobs/*", Slow(30), times=None)
        program = configured(kubeimage, "", registry.host)
        process = program.start("pull", f"{registry.host}/team/app:v1", "--platform=all")
        wait_until(lambda: any("/blobs/" in call for call in registry.calls()), "for the first blob to be asked for")

        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert program.run("images", "--format=json").stdout == "[]\n"
    assert not any((program.root / "ingest").iterdir())


def publish(registry: FakeRegistry) -> None:
    """Put an image of two layers into the registry."""
    image = make_foreign(tar_of({"a": b"1"}), tar_of({"b": b"2"}))
    for data in image.blobs.values():
        registry.put_blob("team/app", data)
    registry.put_manifest("team/app", "v1", image.manifest)
