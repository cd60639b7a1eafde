"""Programs for another processor, and the handlers that the kernel has for them."""

from pathlib import Path

import pytest

from kubeimage.errors import PlatformMismatchError
from kubeimage.image.platform import Platform
from kubeimage.run.foreign import check_platform

# What the kernel shows of a handler that qemu-user-static has registered.
HANDLER = """\
{state}
interpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""
ARM64 = Platform("linux", "arm64")


@pytest.fixture
def handlers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Platform, "host", lambda: Platform("linux", "amd64"))
    (tmp_path / "register").write_text("")
    (tmp_path / "status").write_text("enabled\n")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        None,
        HANDLER.format(state="disabled"),
        HANDLER.format(state="enabled").replace("b700", "1600"),
        "enabled\ninterpreter /usr/bin/python3\nflags:\noffset 0\nmagic 6f0d0d0a\n",
        "enabled\nmagic 7f454c46\n",
        "enabled\nmagic 7f4\n",
    ],
    ids=["none", "disabled", "another machine's", "another format's", "too short", "odd"],
)
def test_without_a_handler_a_foreign_program_is_refused(handlers: Path, text: str | None) -> None:
    if text is not None:
        (handlers / "one").write_text(text)

    with pytest.raises(PlatformMismatchError, match="binfmt handler for arm64"):
        check_platform(ARM64, str(handlers))


def test_a_kernel_without_binfmt_refuses_too(handlers: Path) -> None:
    with pytest.raises(PlatformMismatchError, match="binfmt"):
        check_platform(ARM64, str(handlers / "missing"))


def test_with_a_handler_a_foreign_program_can_run(handlers: Path) -> None:
    (handlers / "whatever-it-is-called").write_text(HANDLER.format(state="enabled"))

    check_platform(ARM64, str(handlers))


def test_a_machines_own_programs_need_none(handlers: Path) -> None:
    check_platform(Platform("linux", "amd64", "v3"), str(handlers / "missing"))
