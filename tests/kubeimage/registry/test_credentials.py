import json
import os
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.faults.powercuts import PowerCut
from kubeimage.errors import CredentialsError
from kubeimage.registry.credentials import Credentials, CredentialStore

Write = Callable[[object], CredentialStore]

ANNA = "YW5uYTpzZWNyZXQ="  # anna:secret
AS_ANNA = Credentials("anna", "secret")

HELPER = """\
#!/bin/sh
# Keeps what it is given in a file beside it, as the real ones do in a wallet.
kept="$0.kept"
case $1 in
store) cat >"$kept" ;;
get) read -r server
  if grep -q "\\"ServerURL\\": *\\"$server\\"" "$kept" 2>/dev/null; then cat "$kept"
  else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm "$kept" 2>/dev/null || { echo "credentials not found in native keychain"; exit 1; } ;;
esac
"""


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program docker-credential-wallet, on the PATH."""
    program = tmp_path / "bin" / "docker-credential-wallet"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


@pytest.mark.parametrize(
    "key", ["a.example", "https://a.example", "http://a.example/", "https://a.example/v1/", "https://a.example/v2/"]
)
def test_a_registry_is_found_by_all_its_names(key: str, docker_config: Write) -> None:
    assert docker_config({"auths": {key: {"auth": ANNA}}}).get("a.example") == AS_ANNA


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_a_key_of_its_own(host: str, docker_config: Write) -> None:
    assert docker_config({"auths": {"https://index.docker.io/v1/": {"auth": ANNA}}}).get(host) == AS_ANNA


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"auth": ANNA}, AS_ANNA),
        ({"username": "anna", "password": "secret"}, AS_ANNA),
        ({"auth": "YW5uYTphOmI="}, Credentials("anna", "a:b")),
        ({"auth": f"{ANNA}\n"}, AS_ANNA),
        ({"auth": f"{ANNA[:4]}\r\n{ANNA[4:]}\r\n"}, AS_ANNA),
        ({"auth": "YW5uYTo=", "identitytoken": "t"}, Credentials("anna", "", "t")),
        ({"identitytoken": "t"}, Credentials("", "", "t")),
        ({}, None),
        ({"email": "anna@a.example"}, None),
    ],
    ids=[
        "auth",
        "plain",
        "colon in it",
        "line break at its end",
        "wrapped",
        "token",
        "only a token",
        "empty",
        "nothing of use",
    ],
)
def test_entries_of_all_kinds_are_read(entry: object, found: Credentials | None, docker_config: Write) -> None:
    assert docker_config({"auths": {"a.example": entry}}).get("a.example") == found


def test_the_longest_part_of_a_name_counts(docker_config: Write) -> None:
    store = docker_config({"auths": {"a.example/team": {"auth": ANNA}, "a.example": {"auth": "Yjpi"}}})

    assert store.get("a.example", "team/app") == AS_ANNA
    assert store.get("a.example", "teams/app") == Credentials("b", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"auths": []}', "'auths' is not an object"),
        ('{"auths": {"a.example": {"auth": "%%%"}}}', "the credentials for a.example cannot be read"),
        ('{"auths": {"a.example": {"auth": "YW5uYQ=="}}}', "the credentials for a.example cannot be read"),
        ('{"credsStore": 1}', "names a credential helper that is no text"),
        ('{"credsStore": "../../bin/sh"}', "a credential helper that cannot be one"),
        ('{"credsStore": "not-installed"}', "docker-credential-not-installed, which .* names, is not installed"),
    ],
    ids=["no JSON", "list", "auths", "base64", "no colon", "number", "path", "missing"],
)
def test_a_file_that_cannot_be_followed_is_an_error_and_stays(text: str, message: str, docker_config: Write) -> None:
    store = docker_config(text)
    if 'auth"' not in text:
        with pytest.raises(CredentialsError, match=message):
            store.put("a.example", AS_ANNA)

    with pytest.raises(CredentialsError, match=message):
        store.get("a.example")

    assert Path(store.path).read_text() == text


def test_a_new_file_is_for_this_user_alone(tmp_path: Path) -> None:
    store = CredentialStore({"DOCKER_CONFIG": str(tmp_path / "new")})
    umask = os.umask(0)
    try:
        store.put("a.example", AS_ANNA)
    finally:
        os.umask(umask)

    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o700
    assert os.listdir(tmp_path / "new") == ["config.json"]


def test_all_other_fields_are_kept(docker_config: Write) -> None:
    before: dict[str, Any] = {"HttpHeaders": {"X": "1"}, "auths": {"b.example": {"auth": "Yjpi"}}, "psFormat": "é"}
    store = docker_config(before)
    os.chmod(store.path, 0o644)

    store.put("a.example", AS_ANNA)

    after = json.loads(Path(store.path).read_text())
    assert after == {**before, "auths": {**before["auths"], "a.example": {"auth": ANNA}}}
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o600
    assert store.delete("a.example")
    assert json.loads(Path(store.path).read_text()) == before


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").symlink_to("../real/config.json")
    store = CredentialStore({"DOCKER_CONFIG": str(tmp_path / "docker")})

    store.put("a.example", AS_ANNA)

    assert os.path.islink(store.path)
    assert store.get("a.example") == AS_ANNA


def test_to_forget_nothing_writes_nothing(tmp_path: Path) -> None:
    store = CredentialStore({"DOCKER_CONFIG": str(tmp_path)})

    assert not store.delete("a.example")
    assert os.listdir(tmp_path) == []


def test_logins_at_once_are_all_kept(tmp_path: Path) -> None:
    store = CredentialStore({"DOCKER_CONFIG": str(tmp_path)})
    threads = [threading.Thread(target=store.put, args=(f"{n}.example", AS_ANNA)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [store.get(f"{n}.example") for n in range(8)] == [AS_ANNA] * 8


def test_containers_auth_json_is_read_behind_docker_s(tmp_path: Path) -> None:
    (tmp_path / "run/containers").mkdir(parents=True)
    (tmp_path / "run/containers/auth.json").write_text(json.dumps({"auths": {"a.example": {"auth": ANNA}}}))
    environment = {"DOCKER_CONFIG": str(tmp_path / "docker"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}

    assert CredentialStore(environment).get("a.example") == AS_ANNA


def test_registry_auth_file_is_the_only_one_where_it_is_set(tmp_path: Path) -> None:
    others = {"DOCKER_CONFIG": str(tmp_path / "docker"), "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    chosen = {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"), **others}
    CredentialStore(others).put("b.example", AS_ANNA)
    (tmp_path / "run/containers").mkdir(parents=True)
    (tmp_path / "run/containers/auth.json").write_text(json.dumps({"auths": {"c.example": {"auth": ANNA}}}))

    CredentialStore(chosen).put("a.example", AS_ANNA)

    assert [CredentialStore(chosen).get(f"{name}.example") for name in "bc"] == [None, None]
    assert list(json.loads((tmp_path / "auth.json").read_text())["auths"]) == ["a.example"]


@pytest.mark.parametrize(
    "config", [{"credsStore": "wallet"}, {"credHelpers": {"a.example": "wallet"}}], ids=["all", "one"]
)
def test_a_helper_keeps_the_secret_and_the_file_only_the_name(
    config: Mapping[str, Mapping[str, str] | str], helper: Path, docker_config: Write
) -> None:
    store = docker_config(config)

    assert store.get("a.example") is None
    assert store.put("a.example", AS_ANNA) == "docker-credential-wallet"
    assert store.get("a.example") == AS_ANNA
    assert json.loads(Path(store.path).read_text()) == {**config, "auths": {"a.example": {}}}
    assert store.delete("a.example")
    assert store.get("a.example") is None


@pytest.mark.parametrize("entry", ["", ".", "bin", "./bin", "../here/bin"])
def test_a_helper_is_looked_for_in_absolute_folders_alone(
    entry: str, tmp_path: Path, helper: Path, docker_config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    (here / "bin").mkdir(parents=True)
    for folder in (here, here / "bin"):
        planted = folder / helper.name
        planted.write_text("#!/bin/sh\ntouch stolen\n")
        planted.chmod(0o755)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", f"{entry}:/nowhere:{entry}")

    with pytest.raises(CredentialsError, match="is not installed"):
        docker_config({"credsStore": "wallet"}).get("a.example")

    monkeypatch.setenv("PATH", f"{entry}:{helper.parent}:{os.defpath}")
    assert docker_config({"credsStore": "wallet"}).get("a.example") is None
    assert not (here / "stolen").exists()


def test_a_helper_s_token_is_an_identity_token(helper: Path, docker_config: Write) -> None:
    store = docker_config({"credsStore": "wallet"})

    store.put("a.example", Credentials(identity_token="t"))

    assert store.get("a.example") == Credentials(identity_token="t")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo the wallet is locked; exit 1", "failed to get credentials: the wallet is locked"),
        ("echo no display >&2; exit 7", "failed to get credentials: no display"),
        ("exit 3", "failed to get credentials: exit status 3"),
        ("echo hunter2", "gave an answer for a.example that is not understood"),
        ('echo \'{"Username": "anna"}\'', "gave an answer for a.example that is not understood"),
    ],
    ids=["says why", "on stderr", "silent", "no JSON", "half"],
)
def test_a_helper_that_fails_says_so(script: str, message: str, helper: Path, docker_config: Write) -> None:
    helper.write_text(f"#!/bin/sh\n{script}\n")

    with pytest.raises(CredentialsError, match=message) as caught:
        docker_config({"credsStore": "wallet"}).get("a.example")

    assert "hunter2" not in f"{caught.value} {caught.value.__context__}"


def test_nothing_shows_a_secret() -> None:
    assert "secret" not in repr(Credentials("anna", "secret", "token-secret"))


def test_a_power_cut_leaves_the_old_passwords_or_the_new_ones(
    tmp_path: Path, power_cuts: Callable[..., Iterator[PowerCut]]
) -> None:
    folder = tmp_path / "docker"
    store = CredentialStore({"DOCKER_CONFIG": str(folder)})
    store.put("old.example.com", AS_ANNA)
    before = (folder / "config.json").read_bytes()

    cuts = list(power_cuts(folder, lambda: store.put("new.example.com", AS_ANNA), limit=100))

    after = (folder / "config.json").read_bytes()
    assert len(cuts) > 5
    for cut in cuts:
        cut.write_to(tmp_path / "place")
        assert (tmp_path / "place" / "config.json").read_bytes() in (before, after), str(cut)
