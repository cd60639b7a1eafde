"""Files of the web: fetched whole, held against their checksums, and from nobody who leads elsewhere in the dark."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.fakes.stores import MemoryLayerStore
from harness.stateful.agreement import build_project, project_backends
from harness.strategies import Project
from kubeimage.api.fetching import Fetcher, shown
from kubeimage.api.roots import OutsideRoots
from kubeimage.errors import AdditionError
from kubeimage.image.digest import Digest
from kubeimage.protocols.context import Remote
from kubeimage.settings import Settings

DATA = b"tool" * 1000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to"))
            self.end_headers()
        elif self.path == "/round":
            self.send_response(301)
            self.send_header("Location", "/round")
            self.end_headers()
        elif self.path.startswith("/gone"):
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA) + (10 if self.path == "/cut" else 0)))
            self.end_headers()
            self.wfile.write(DATA)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def fetcher(tmp_path: Path) -> Iterator[Fetcher]:
    with Fetcher(Settings(), str(tmp_path), most=len(DATA)) as found:
        yield found


@pytest.mark.parametrize("path", ["/a/tool", "/to/to/a/tool", "/a/tool?signed=1"])
def test_a_file_is_fetched_through_redirects(fetcher: Fetcher, web: str, path: str) -> None:
    checksum = Digest.of(DATA)

    entry = fetcher.fetch(Remote(web + path, checksum))

    assert (entry.path, entry.mode, entry.size, entry.digest) == ("tool", 0o600, len(DATA), bytes.fromhex(checksum.hex))
    assert isinstance(entry.source, str)
    assert Path(entry.source).read_bytes() == DATA


@pytest.mark.parametrize(
    ("path", "message"),
    [("/gone", "answers 404"), ("/round", "more than 10 times"), ("/cut", "cannot be fetched"), ("/to/gone", "404")],
)
def test_what_cannot_be_had_is_an_error_that_says_why(fetcher: Fetcher, web: str, path: str, message: str) -> None:
    with pytest.raises(AdditionError, match=message) as caught:
        fetcher.fetch(Remote(web + path))
    assert "registry" not in caught.value.message


def test_another_checksum_is_an_error_that_names_both(fetcher: Fetcher, web: str) -> None:
    wanted = Digest("0" * 64)

    with pytest.raises(AdditionError) as caught:
        fetcher.fetch(Remote(f"{web}/tool?token=secret", wanted))

    assert hashlib.sha256(DATA).hexdigest() in caught.value.message
    assert str(wanted) in caught.value.message
    assert "secret" not in caught.value.message


def test_more_bytes_than_are_allowed_are_not_kept(web: str, tmp_path: Path) -> None:
    with Fetcher(Settings(), str(tmp_path), most=10) as fetcher, pytest.raises(AdditionError, match="more than the 10"):
        fetcher.fetch(Remote(f"{web}/tool"))


def test_nothing_that_was_fetched_is_left(web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    roots = OutsideRoots(MemoryLayerStore(), settings=Settings())

    with roots.fetch([Remote(f"{web}/one"), Remote(f"{web}/two")]) as entries:
        assert [entry.path for entry in entries] == ["one", "two"]
    assert list(tmp_path.iterdir()) == []


def test_people_are_shown_no_credentials_and_no_query() -> None:
    assert shown("https://user:word@example.org/a?token=1#x") == "https://example.org/a"


def test_an_application_from_the_web_is_one_from_the_cache_as_well(web: str) -> None:
    checksum = hashlib.sha256(DATA).hexdigest()
    project = Project.of(f"# syntax=sealer-0.9\nFROM scratch\nAPP m {web}/a.yaml#sha256:{checksum}\nLAUNCH m\n")
    backends = project_backends(project)
    first, again = build_project(project, backends), build_project(project, backends)

    assert (again.cache_misses, again.image.id) == (0, first.image.id)
    assert again.image.manifest_annotations == first.image.manifest_annotations
    assert again.image.runtime.cmd == ("kubectl apply -f application/apps/m/a.yaml",)
