"""Which proxy is used, and that it is."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from kubeimage.errors import UsageError
from kubeimage.registry.http import HttpTransport
from kubeimage.registry.messages import Request
from kubeimage.registry.origin import origin_of
from kubeimage.registry.proxy import Proxy, find_proxy
from kubeimage.registry.tls import Trust
from kubeimage.settings import Settings

PROXY = {"HTTPS_PROXY": "http://proxy.example:3128"}


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://a.example/", {}, None),
        ("https://a.example/", PROXY, Proxy("proxy.example", 3128)),
        ("http://a.example/", PROXY, None),
        ("http://a.example/", {"all_proxy": "proxy.example:1"}, Proxy("proxy.example", 1)),
        ("http://a.example/", {"http_proxy": "http://proxy.example"}, Proxy("proxy.example", 80)),
        ("https://a.example/", {**PROXY, "NO_PROXY": "b.example, a.example"}, None),
        ("https://x.a.example/", {**PROXY, "NO_PROXY": ".a.example"}, None),
        ("https://xa.example/", {**PROXY, "NO_PROXY": "a.example"}, Proxy("proxy.example", 3128)),
        ("https://a.example/", {**PROXY, "NO_PROXY": "*"}, None),
        ("https://a.example/", {**PROXY, "NO_PROXY": ""}, Proxy("proxy.example", 3128)),
        ("https://127.0.0.1:5000/", PROXY, None),
        ("https://localhost/", PROXY, None),
        ("https://[::1]:5000/", PROXY, None),
    ],
)
def test_the_environment_says_which_proxy(url: str, environment: dict[str, str], proxy: Proxy | None) -> None:
    assert find_proxy(origin_of(url), environment) == proxy


def test_a_proxy_s_password_is_sent_and_not_shown() -> None:
    proxy = find_proxy(origin_of("https://a.example/"), {"HTTPS_PROXY": "http://anna:hunter2@proxy.example:1"})

    assert proxy is not None
    assert proxy.headers == {"Proxy-Authorization": "Basic YW5uYTpodW50ZXIy"}
    assert "hunter2" not in repr(proxy)


@pytest.mark.parametrize("url", ["socks5://anna:hunter2@proxy.example", "https://anna:hunter2@proxy.example"])
def test_another_sort_of_proxy_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="is not an HTTP proxy") as caught:
        find_proxy(origin_of("https://a.example/"), {"HTTPS_PROXY": url})

    assert "hunter2" not in str(caught.value)


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A proxy that answers with the address that it is asked for."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("proxy")
def test_a_request_goes_through_the_proxy() -> None:
    transport = HttpTransport(Trust(Settings()))

    with transport.send(Request("GET", "http://a.invalid/v2/?n=1")) as response:
        answer = response.read(1000)
    transport.close()

    assert answer == b"http://a.invalid/v2/?n=1"
