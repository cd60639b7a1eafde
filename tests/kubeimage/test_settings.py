from pathlib import Path

import pytest

from kubeimage.errors import SettingsError
from kubeimage.image.reference import DEFAULT_DOMAIN, DEFAULT_NAMESPACE, Naming, Reference
from kubeimage.settings import (
    HostSettings,
    RunSettings,
    Settings,
    parse_settings,
    parse_size,
    read_settings,
    settings_path,
)

WHOLE = b"""\
default-domain = "registry.example.com:5000"
default-namespace = "team"
certs-dirs = ["certs", "/etc/certs"]

[registry."10.0.0.5:5000"]
insecure = true

[registry."plain.example"]
plain-http = true

[registry."private.example"]
ca-file = "ca.pem"

[mirror."docker.io"]
locations = ["mirror.local:5000/hub"]
fallback = false

[mirror."docker.io/library"]
locations = ["one.local/lib", "two.local/x/y"]
"""

LAST = "stat-index, stat-index-age, registry, mirror, run, trust"


def parse(text: str | bytes) -> Settings:
    return parse_settings(text if isinstance(text, bytes) else text.encode(), file="/conf/config.toml")


def test_every_setting_is_read() -> None:
    settings = parse(WHOLE)

    assert settings.naming == Naming("registry.example.com:5000", "team")
    assert settings.certs_dirs == ("/conf/certs", "/etc/certs")
    assert settings.host("10.0.0.5:5000") == HostSettings(insecure=True)
    assert settings.host("plain.example") == HostSettings(plain_http=True)
    assert settings.host("private.example") == HostSettings(ca_file="/conf/ca.pem")
    assert settings.host("other.example") == HostSettings()


def test_an_empty_file_changes_nothing() -> None:
    assert parse("") == Settings()
    assert Settings().naming == Naming(DEFAULT_DOMAIN, DEFAULT_NAMESPACE)


def test_short_names_are_completed_as_it_says() -> None:
    naming = parse(WHOLE).naming

    assert str(naming.parse("app:v1")) == "registry.example.com:5000/team/app:v1"
    assert naming.familiar(naming.parse("app:v1")) == "app:v1"
    assert naming.familiar(Reference.parse("app:v1")) == f"{DEFAULT_DOMAIN}/{DEFAULT_NAMESPACE}/app:v1"


def test_no_namespace_is_one_too() -> None:
    naming = parse('default-domain = "a.example"\ndefault-namespace = ""\n').naming

    assert str(naming.parse("app")) == "a.example/app:latest"


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("docker.io/library/nginx:1", ["one.local/lib/nginx:1", "two.local/x/y/nginx:1", "docker.io/library/nginx:1"]),
        ("docker.io/other/app:1", ["mirror.local:5000/hub/other/app:1"]),
        ("docker.io/librarian/app:1", ["mirror.local:5000/hub/librarian/app:1"]),
        ("quay.io/x:1", ["quay.io/x:1"]),
    ],
    ids=["longest", "no fallback", "whole words", "no mirror"],
)
def test_mirrors_stand_for_names_that_begin_so(name: str, places: list[str]) -> None:
    assert list(map(str, parse(WHOLE).places(Reference.parse(name)))) == places


def test_a_mirror_of_one_repository_must_name_its_own() -> None:
    settings = parse('[mirror."a.example/app"]\nlocations = ["b.example"]\n')

    with pytest.raises(SettingsError, match=r"the mirror 'b\.example' has no repository for a\.example/app:v1"):
        settings.places(Reference.parse("a.example/app:v1"))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("a b\n", r"/conf/config\.toml: it is not TOML: .*\(at line 1, column 3\)", None),
        (b"a = '\xff'\n", r"config\.toml: it is not UTF-8 at byte 5$", None),
        ("default-domian = 'x'\n", r"unknown key 'default-domian'", "did you mean default-domain?"),
        (
            "zzz = 1\n",
            r"unknown key 'zzz'",
            f"known are default-domain, default-namespace, dialect, referrers, certs-dirs, image-kinds, {LAST}",
        ),
        ("default-domain = 1\n", r"default-domain is a text, found a number: 1", None),
        ("default-domain = ''\n", r"default-domain is empty", None),
        ("default-domain = 'a b'\n", r"default-domain or default-namespace: .*'a b' is not a registry host", None),
        ("default-namespace = 'A'\n", r"default-domain or default-namespace: .*upper case", None),
        ("certs-dirs = 'x'\n", r"certs-dirs is a list, found a text: 'x'", None),
        ("certs-dirs = [1]\n", r"certs-dirs is a list of texts, found a number: 1 in it", None),
        ("registry = 1\n", r"registry is a table, found a number", None),
        ("[registry]\na = 1\n", r'\[registry\."a"\] is a table, found a number', None),
        ("[registry.a]\ninsecure = 'yes'\n", r'\[registry\."a"\] insecure is true or false, found a text', None),
        ("[registry.a]\ninsecur = true\n", r"""unknown key 'insecur' in \[registry\."a"\]""", "did you mean insecure?"),
        ("[registry.'a/b']\n", r"'a/b' is not a registry", None),
        ("[mirror.'a']\nlocations = ['http://b']\n", r"'http://b' is not a registry", None),
        ("[mirror.'a']\nfallback = false\n", r'\[mirror\."a"\] names no locations and has no fallback', None),
    ],
)
def test_what_cannot_be_followed_is_told_with_its_place(text: str | bytes, message: str, hint: str | None) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        parse(text)

    assert hint is None or caught.value.hint == hint


def test_a_registry_is_made_insecure_by_name_alone() -> None:
    settings = Settings().with_insecure(["a.example", "http://b.example:5000"])

    assert settings.host("a.example") == HostSettings(insecure=True)
    assert settings.host("b.example:5000") == HostSettings(insecure=True, plain_http=True)
    assert settings.host("127.0.0.1:5000") == HostSettings()


@pytest.mark.parametrize("name", ["", "a b", "a.example/path", "ftp://a.example"])
def test_what_is_no_registry_cannot_be_made_insecure(name: str) -> None:
    with pytest.raises(SettingsError, match="--insecure: "):
        Settings().with_insecure([name])


def test_the_usual_ports_need_not_be_said() -> None:
    assert Settings().with_insecure(["a.example:443"]).host("a.example").insecure


def test_the_file_is_where_xdg_says(tmp_path: Path) -> None:
    assert settings_path({"XDG_CONFIG_HOME": "/x"}) == "/x/kubeimage/config.toml"
    assert settings_path({}).endswith("/.config/kubeimage/config.toml")


def test_a_file_that_was_named_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert read_settings() == Settings()
    with pytest.raises(SettingsError, match="there is no configuration file"):
        read_settings(str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="cannot read the configuration file"):
        read_settings(str(tmp_path))


def test_how_a_run_is_run_can_be_set() -> None:
    text = b'[run]\nnetwork = "none"\npaths = ["/opt/a", "b"]\nmemory = "2GiB"\npids = 5\ntmp-size = "512MB"\n'

    run = parse_settings(text, file="/etc/kubeimage/config.toml").run

    assert run == RunSettings("none", ("/opt/a", "/etc/kubeimage/b"), 2 << 30, 5, 512_000_000)
    assert run.but(network="host", paths=("/c",), memory=1) == RunSettings(
        "host", ("/opt/a", "/etc/kubeimage/b", "/c"), 1, 5, 512_000_000
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('network = "wifi"', r"\[run\] network = 'wifi': it is one of host, private, none"),
        ('memory = "much"', r"\[run\] memory = 'much': it is a number of bytes above 0"),
        ('tmp-size = "0"', r"\[run\] tmp-size = '0': it is a number of bytes above 0"),
        ("pids = 0", r"\[run\] pids is a number above 0"),
        ("pids = true", r"\[run\] pids is a number above 0"),
        ('path = ["/opt"]', r"unknown key 'path' in \[run\]"),
    ],
)
def test_what_cannot_hold_for_a_run_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        parse_settings(f"[run]\n{text}\n".encode(), file="config.toml")


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("512MB", 512_000_000), ("2GiB", 2 << 30), ("3 kB", 3000), ("4Ki", 4096), ("5B", 5), ("1T", 10**12)],
)
def test_a_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5GB", "1XB", "\u0661", "1 0", "GB", "0kB"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert parse_size(text) is None


TRUST = """\
default-namespace = "team"

[trust."*"]
require = "reject"

  [ trust . "registry.example.com/team" ]  # ours
require = "signed"
keys = ["team.pub", "/keys/release.pub"]
identity = "exact"
"""


def test_rules_of_trust_say_where_they_stand() -> None:
    every, team = parse(TRUST).trust.rules

    assert (every.scope, every.require, every.place) == ("*", "reject", "/conf/config.toml:3")
    assert (team.scope, team.require, team.identity) == ("registry.example.com/team", "signed", "exact")
    assert team.keys == ("/conf/team.pub", "/keys/release.pub")
    assert team.place == "/conf/config.toml:6"


def test_a_rule_of_trust_written_in_one_line_names_the_file() -> None:
    (rule,) = parse('trust = {"*" = {require = "accept"}}').trust.rules

    assert rule.place == "/conf/config.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", '[trust."a.example"] require is missing: it is one of accept, reject, signed'),
        ('require = "sign"', "require = 'sign': it is one of accept, reject, signed"),
        ('require = "signed"', '[trust."a.example"] names no keys'),
        ('require = "reject"\nkeys = ["a.pub"]', "names keys, and its images need not be signed"),
        ('require = "signed"\nkeys = "a.pub"', "keys is a list, found a text"),
        ('require = "accept"\nidentity = "none"', "identity = 'none': it is one of repository, exact, any"),
        ('require = "accept"\nkey = 1', "unknown key 'key'"),
    ],
)
def test_a_rule_of_trust_that_cannot_be_followed_is_an_error(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(f'[trust."a.example"]\n{text}')

    assert said in str(caught.value)


def test_a_rule_of_trust_is_about_a_registry_or_a_path_in_it() -> None:
    with pytest.raises(SettingsError, match="is not a registry"):
        parse('[trust."a.example/app:1"]\nrequire = "accept"')
