"""Every edge where data becomes an argument, a path, a line or a header: what would end it early is refused."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from harness.contracts import one_file
from harness.fakes.registry import FakeRegistry
from kubeimage.context import ContextCollector
from kubeimage.errors import KubeimageError, RegistryError
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Scope, parse
from kubeimage.layer.entry import symlink
from kubeimage.layer.header import render_header
from kubeimage.protocols.context import CopyRequest
from kubeimage.protocols.running import Command
from kubeimage.registry.auth import Authenticator
from kubeimage.registry.connection import Patience
from kubeimage.registry.credentials import Credentials, CredentialStore
from kubeimage.registry.helper import CredentialHelper
from kubeimage.registry.http import HttpTransport
from kubeimage.registry.messages import Request
from kubeimage.registry.tls import Trust
from kubeimage.settings import Settings
from kubeimage.store import Store

NUL, LINE, RETURN = "a\0--bind\0/\0/", "a\nb", "a\rb"


def copy(source: str, destination: str) -> None:
    ContextCollector(os.curdir).collect(CopyRequest((source,), destination))


def read_token(text: str) -> object:
    authenticator = Authenticator("a.example", lambda: None, lambda _request: None, lambda _realm: None)  # type: ignore[arg-type, return-value]
    return authenticator._read_token(json.dumps({"token": text}).encode())


EDGES: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "the script of a RUN": (Command, (NUL,)),
    "a variable of a RUN": (lambda text: Command(":", {"A": text}), (NUL,)),
    "a variable's name": (lambda text: Command(":", {text: "v"}), (NUL, LINE, RETURN, "A=B", "")),
    "a build argument": (lambda text: Scope.of(parse(b"FROM scratch\nARG A\n"), {"A": text}), (NUL,)),
    "a build argument's name": (lambda text: Scope.of(parse(b"FROM scratch\n"), {text: "v"}), (NUL, LINE)),
    "a Kubefile": (lambda text: parse(f"FROM scratch\nRUN {text}\n".encode()), (NUL,)),
    "the name of an image": (Reference.parse, (NUL, LINE, RETURN, "app:v1\n", "app:v1\0")),
    "a digest": (Digest.parse, (f"sha256:{'0' * 64}\n", f"sha256:{'0' * 64}\0")),
    "a platform": (Platform.parse, ("linux/a\0b", "linux/a\nb")),
    "a source of a COPY": (lambda text: copy(text, "x"), (NUL,)),
    "a destination of a COPY": (lambda text: copy("*", text), (NUL,)),
    "a build context": (ContextCollector, (NUL,)),
    "the path of a store": (Store.open, (NUL, "\0")),
    "a path in a layer": (lambda text: render_header(one_file(b"")[-1]._replace(path=text)), (NUL,)),
    "the target of a symlink": (lambda text: render_header(symlink("s", text)), (NUL,)),
    "the xattr of a file": (
        lambda text: render_header(one_file(b"")[-1]._replace(xattrs=((f"user.{text}", b""),))),
        (NUL, "a=b"),
    ),
    "what a credential helper is asked for": (
        lambda text: CredentialHelper("wallet", where="there").get(text),
        (NUL, LINE, RETURN),
    ),
    "the name of a credential helper": (lambda text: CredentialHelper(text, where="there"), (NUL, LINE, "../x", "-x")),
    "the registry of a login": (lambda text: CredentialStore().put(text, Credentials("u", "p")), (NUL, LINE, RETURN)),
    "the user of a login": (lambda text: Credentials(text, "p").basic, ("a:b",)),
    "a registry's token": (read_token, (NUL, LINE, RETURN)),
}

ROWS = [pytest.param(use, text, id=f"{name}: {text!r}") for name, (use, texts) in EDGES.items() for text in texts]


@pytest.mark.parametrize(("use", "text"), ROWS)
def test_what_would_end_early_is_refused_in_our_words(
    use: Callable[[str], object], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))

    with pytest.raises(KubeimageError):
        use(text)

    assert not (tmp_path / "docker").exists()


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("v2/", "a\r\nInjected: 1"),
        ("v2/", "a\nInjected: 1"),
        ("v2/ HTTP/1.1\r\nInjected: 1\r\n\r\nGET /", "plain"),
        ("v2/?q=a\nInjected:1", "plain"),
    ],
)
def test_no_request_holds_a_header_of_somebody_else(fake_registry: FakeRegistry, path: str, header: str) -> None:
    transport = HttpTransport(Trust(Settings()), Patience(connect=5))

    with suppress(RegistryError):
        transport.send(Request("GET", f"{fake_registry.url}/{path}", {"X-Odd": header})).close()

    transport.close()
    assert all("injected" not in {name.lower() for name in one.headers} for one in fake_registry.requests)
