"""A signed image goes to a site and is verified there: signed, pulled, saved, loaded, pushed and checked."""

import json
from pathlib import Path

import pytest

from tests.e2e.program import Program
from tests.kubeimage.signing.made import write_pair
from tests.registries import docker_registry


@pytest.mark.needs("docker-registry")
def test_a_signature_goes_all_the_way(kubeimage: Program, tmp_path: Path) -> None:
    """Two stock registries, three stores, and a folder in between."""
    key = write_pair(tmp_path)
    site, far = kubeimage.with_root(tmp_path / "site"), kubeimage.with_root(tmp_path / "far")
    (context := tmp_path / "context").mkdir()
    (context / "Kubefile").write_text("FROM scratch\nCOPY a .\n")
    (context / "a").write_text("1")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    with docker_registry(tmp_path / "one") as first, docker_registry(tmp_path / "two") as second:
        here, there = (f"{url.removeprefix('http://')}/team/app:1" for url in (first, second))
        insecure = [f"--insecure={first}", f"--insecure={second}"]
        kubeimage.build(here, context)
        kubeimage.run("sign", "--key", key, here)
        kubeimage.run("push", *insecure, here)

        pulled = site.run("pull", "--referrers=all", "--progress=json", *insecure, here)
        site.run("save", here, "-o", "app.tar")
        site.pipe("mkdir layout && tar -C layout -xf app.tar")
        far.run("load", "-i", "layout")
        far.run("tag", here, there)
        pushed = far.run("push", *insecure, there)
        verified = far.run("verify", *insecure, "--identity=any", "--key", key.with_suffix(".pub"), f"docker://{there}")

    found = [event for event in pulled.events if event["event"] == "referrer_finished"]
    (listed,) = json.loads(far.run("inspect", there, "--format=json").stdout)["referrers"]
    assert [one["digest"] for one in found] == [listed["digest"]]
    assert (found[0]["label"], listed["kind"], listed["subject"]) == ("signature", "signature", pushed.stdout.strip())
    assert "1 of 1 image signed" in verified.stderr
    assert far.run("fsck").status == 0
    far.run("rmi", here, there)
    far.run("prune")
    assert not (tmp_path / "far/blobs/sha256" / listed["digest"].removeprefix("sha256:")).exists()
