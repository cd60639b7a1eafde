"""RUN in real containers, as Docker starts them by default and with the switches that CI jobs set.

Only root can start Docker here, so the ordinary user's run skips these, also where all tools are required. What they
find is tried without Docker in tests/kubeimage/run/test_surroundings.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubeimage.run.landlock import why_not

ROOT = Path(__file__).parents[2]
PATIENCE = 60
UNCONFINED = ("--security-opt", "seccomp=unconfined")
ADMIN = ("--cap-add", "SYS_ADMIN")
USER = ("--user", "1000:1000")
SWITCHES = {
    "default": ((), "landlock"),
    "no capability": (("--cap-drop", "ALL"), "landlock"),
    "seccomp unconfined": (UNCONFINED, "sandbox"),
    "CAP_SYS_ADMIN": (ADMIN, "sandbox"),
    "seccomp and /proc unconfined": ((*UNCONFINED, "--security-opt", "systempaths=unconfined"), "sandbox"),
}
# What a default container holds and a RUN is not to reach; what it may is done, so that there is a layer.
SCRIPT = """mkdir -p d/e && echo x > d/e/f && chmod 711 d && ln d/e/f g && (setsid sleep 77777 &) && \
! cat /home/secret && ! touch /etc/x /usr/x /home/x && ! unshare -U true && ! mount -t tmpfs t d"""

pytestmark = [
    pytest.mark.needs("dockerd", "docker"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start Docker"),
]


@dataclass(frozen=True)
class Docker:
    """A Docker of this test's own."""

    socket: str
    image: str

    def run(self, *argv: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run a program in a new container that has this machine's programs and this repository."""
        shown = {"/usr", sys.prefix, sys.base_prefix, str(ROOT)}
        volumes = [word for path in sorted(shown) for word in ("--volume", f"{path}:{path}:ro")]
        variables = ["--env", "HOME=/tmp", "--env", f"PYTHONPATH={ROOT}", "--env", "PYTHONDONTWRITEBYTECODE=1"]
        words = ["run", "--rm", "--network=none", *volumes, *variables, *options, self.image, *argv]
        return self.command(*words)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the client."""
        argv = ["docker", "--host", f"unix://{self.socket}", *words]
        environment = {"PATH": os.environ["PATH"], "HOME": os.path.dirname(self.socket)}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=PATIENCE)


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    """Return a daemon of our own, with an image that holds next to nothing."""
    folder = tmp_path_factory.mktemp("docker")
    places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid", "host": "s"}
    options = [f"--{name}={'unix://' if name == 'host' else ''}{folder}/{path}" for name, path in places.items()]
    argv = ["dockerd", *options, "--iptables=false", "--ip6tables=false", "--bridge=none"]
    with open(folder / "log", "wb") as log, subprocess.Popen(argv, stdout=log, stderr=log) as daemon:
        try:
            docker = Docker(f"{folder}/s", "kubeimage-test")
            deadline = time.monotonic() + PATIENCE
            while docker.command("version").returncode != 0:
                if daemon.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"dockerd does not start here:\n{(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.1)
            make_root(folder / "root", folder / "root.tar")
            done = docker.command("import", f"{folder}/root.tar", docker.image)
            assert done.returncode == 0, done.stderr
            yield docker
        finally:
            daemon.terminate()


def make_root(root: Path, archive: Path) -> None:
    """Write a root filesystem whose programs are those of this machine, once they are bound to its /usr."""
    for name in ("etc", "proc", "sys", "dev", "usr", "root", "run", "var", "home", "project"):
        (root / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nu:x:1000:1000::/home:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nu:x:1000:\n")
    (root / "home/secret").write_text("s3cr3t\n")
    (root / "project/Kubefile").write_text(f"FROM scratch\nRUN {SCRIPT}\n")
    with tarfile.open(archive, "w") as tar:
        for path in sorted(root.iterdir()):
            tar.add(path, path.name)
        # What lies there says where libraries and the usual programs are.
        for name in filter(os.path.exists, ("/etc/ld.so.cache", "/etc/ld.so.conf.d", "/etc/alternatives")):
            tar.add(name, name.lstrip("/"))


@pytest.fixture(scope="module")
def outside(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what a build of the same project says on this machine itself."""
    store, project = tmp_path_factory.mktemp("store"), f"{os.path.dirname(docker.socket)}/root/project"
    argv = [sys.executable, "-m", "kubeimage", "--root", str(store), "build", "-t", "a:v1", project]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=environment).stdout


def build(docker: Docker, *options: str, switches: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "kubeimage", "--root", "/tmp/store", "build", "-t", "a:v1", *options, "/project"]
    return docker.run(*argv, options=switches)


@pytest.mark.parametrize("user", [(), USER], ids=["root", "an ordinary user"])
@pytest.mark.parametrize(("switches", "isolation"), SWITCHES.values(), ids=SWITCHES)
def test_a_run_works_behind_walls(
    docker: Docker,
    outside: str,
    switches: tuple[str, ...],
    isolation: str,
    user: tuple[str, ...],
) -> None:
    if isolation == "landlock" and why_not() is not None:
        pytest.skip(f"no Landlock to try: {why_not()}")

    done = build(docker, switches=(*switches, *user))

    assert done.returncode == 0, done.stderr
    assert f"--isolation={isolation})" in done.stderr
    assert "s3cr3t" not in done.stderr
    assert done.stdout == outside


@pytest.mark.parametrize("user", [(), USER], ids=["root", "an ordinary user"])
def test_the_default_container_is_named_as_the_cause(docker: Docker, user: tuple[str, ...]) -> None:
    done = build(docker, "--isolation=sandbox", switches=user)

    assert done.returncode == 1
    assert "no sandbox can be made here: this container's seccomp filter refuses namespaces" in done.stderr
    assert "--security-opt seccomp=unconfined" in done.stderr
    assert "--mount=copy --isolation=none" in done.stderr
