"""What a RUN sees of the host."""

import os
import re
from pathlib import Path

import pytest

from kubeimage.run import view
from kubeimage.run.view import ETC, SYSTEM, check_run_paths, host_view

PAGE = Path(__file__).parents[3] / "docs/kubefile-sealer-0.8.md"


def section() -> str:
    return PAGE.read_text().partition("### What a RUN sees of the machine")[2].partition("\n## ")[0]


def test_the_page_has_the_same_names() -> None:
    rows = re.findall(r"^\| [^|`]+ \| `([^|`]+)` \|$", section(), re.MULTILINE)

    assert sorted(name for row in rows for name in row.split()) == sorted(ETC)
    assert f"`{' '.join(SYSTEM)}`" in section()


def test_everything_that_is_shown_is_there() -> None:
    assert [one for one in host_view() if not one.is_link and not os.path.lexists(one.source)] == []


def test_no_private_key_and_no_password_is_shown() -> None:
    shown = [one.target for one in host_view()]

    for secret in (
        "/etc/shadow",
        "/etc/ssl/private",
        "/etc/pki/tls/private",
        "/etc/ssh",
        "/etc/kubernetes",
        "/etc/ssl",
    ):
        assert not any(secret == target or secret.startswith(f"{target}/") for target in shown)


@pytest.mark.parametrize(("mode", "is_shown"), [(0o644, True), (0o444, True), (0o640, False), (0o600, False)], ids=oct)
def test_a_closed_file_of_etc_is_left_out(
    mode: int, is_shown: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hosts").write_text("")
    (tmp_path / "hosts").chmod(mode)
    monkeypatch.setattr(view, "ETC_FOLDER", str(tmp_path))

    assert (f"{tmp_path}/hosts" in [one.source for one in host_view()]) == is_shown


def test_a_link_is_followed_and_a_broken_one_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/resolv.conf").write_text("nameserver 1.1.1.1\n")
    (tmp_path / "resolv.conf").symlink_to("run/resolv.conf")
    (tmp_path / "localtime").symlink_to("nowhere")
    monkeypatch.setattr(view, "ETC_FOLDER", str(tmp_path))

    found = {one.target: one.source for one in host_view() if one.target.startswith("/etc/")}

    assert found == {"/etc/resolv.conf": f"{tmp_path}/run/resolv.conf"}


def test_a_socket_in_the_place_of_a_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "hosts")
    monkeypatch.setattr(view, "ETC_FOLDER", str(tmp_path))

    assert [one for one in host_view() if one.target == "/etc/hosts"] == []


@pytest.mark.parametrize("odd", ["{0}/", "{0}//", "{0}/.", "{0}/../{1}", "/{0}"])
def test_a_run_path_is_one_path_however_it_is_spelt(tmp_path: Path, odd: str) -> None:
    assert check_run_paths([odd.format(tmp_path, tmp_path.name)]) == (str(tmp_path),)
