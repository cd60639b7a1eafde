"""Files from the web are locked by what they hold, and a locked build takes nothing else."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.building import build_image
from kubeimage.api.locking import check_lock, lock_project
from kubeimage.builder.plan import BuildOptions
from kubeimage.errors import KubeimageError, LockStaleError
from kubeimage.image.digest import Digest
from kubeimage.kubefile import parse
from kubeimage.lock.lockfile import LockedURL


class Web(ThreadingHTTPServer):
    """One file, at every path."""

    content = b"old"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/tool"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Web)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[Web]:
    with Web(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def backends(tmp_path: Path) -> Iterator[Backends]:
    with open_backends(str(tmp_path / "store"), mount="copy", isolation="none") as opened:
        yield opened


def test_a_file_from_the_web_is_what_it_was_or_the_build_fails(web: Web, backends: Backends, tmp_path: Path) -> None:
    kubefile = parse(f"FROM scratch\nADD {web.url} bin/\n", file="Kubefile", dialect="sealos")
    other = parse(f"FROM scratch\nADD {web.url}2 bin/\n", file="Kubefile", dialect="sealos")
    context = str(tmp_path)
    lock = lock_project(kubefile, context, backends)
    options = BuildOptions(lock=lock)
    first = build_image(kubefile, context, backends, options=options).image
    unlocked = build_image(kubefile, context, backends).image
    web.content = b"new"

    again = build_image(kubefile, context, backends, options=options).image

    assert lock.urls == (LockedURL(web.url, Digest.of(b"old")),)
    assert first.id == again.id == unlocked.id
    assert [one[:3] for one in check_lock(lock, kubefile, context, backends)] == [("url", web.url, "changed")]
    with pytest.raises(KubeimageError, match="tool"):
        build_image(kubefile, context, backends, options=BuildOptions(lock=lock, use_cache=False))
    with pytest.raises(LockStaleError) as caught:
        build_image(other, context, backends, options=options)
    assert caught.value.differences == (
        f"the url {web.url} is in the lock, and nothing names it",
        f"the url {web.url}2 is not in the lock",
    )
