"""Which proxy is used, and that it is."""

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage.errors import RegistryConnectionError, UsageError
from kubeimage.registry.http import HttpTransport
from kubeimage.registry.messages import Request
from kubeimage.registry.origin import Origin, origin_of
from kubeimage.registry.proxy import Proxy, find_proxy
from kubeimage.registry.tls import Trust
from kubeimage.settings import HostSettings, Settings
from tests.kubeimage.registry.proxies import http_proxy, socks_proxy

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


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://proxy.example", Proxy("proxy.example", 443, "https")),
        ("socks5://proxy.example", Proxy("proxy.example", 1080, "socks5")),
        ("socks5h://anna:hunter%402@proxy.example:9", Proxy("proxy.example", 9, "socks5h", ("anna", "hunter@2"))),
        ("http://[fd00::1]:3128", Proxy("fd00::1", 3128)),
    ],
)
def test_a_proxy_is_of_a_sort(url: str, proxy: Proxy) -> None:
    assert find_proxy(origin_of("https://a.example/"), {"ALL_PROXY": url}) == proxy


@pytest.mark.parametrize(
    "url", ["socks4://anna:hunter2@p.example", "ftp://anna:hunter2@p.example", "http://p:x", "http://"]
)
def test_another_sort_of_proxy_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(UsageError, match="the proxy in HTTPS_PROXY is none that can be used") as caught:
        find_proxy(origin_of("https://a.example/"), {"HTTPS_PROXY": url})

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("excepted", "url", "is_excepted"),
    [
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.1.2.3", "https://10.1.2.3:5000/", True),
        ("fd00::/8", "https://[fd00::1]:5000/", True),
        ("a.example:5000", "https://a.example:5000/", True),
        ("a.example:5000", "https://a.example/", False),
        ("[fd00::1]", "https://[fd00::1]/", True),
        ("b.example a.example", "https://a.example/", True),
        ("*.example", "https://a.example/", True),
        ("A.Example", "https://a.example/", True),
        ("/8", "https://a.example/", False),
    ],
)
def test_hosts_are_excepted_by_name_port_address_and_network(excepted: str, url: str, is_excepted: bool) -> None:
    found = find_proxy(origin_of(url), {**PROXY, "NO_PROXY": excepted})

    assert (found is None) is is_excepted


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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for the names of these tests, with its key, which nobody knows."""
    folder = tmp_path_factory.mktemp("tls")
    key, made, both = folder / "key.pem", folder / "ca.crt", folder / "both.pem"
    names = "subjectAltName=IP:127.0.0.1,DNS:registry.example"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=tests", "-addext", names, "-days", "2", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(key.read_text() + made.read_text())
    return both


def use(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("ALL_PROXY", url)


def ask(scheme: str, *authorities: str, certificate: Path | None = None) -> bytes:
    """Ask a registry for its version, as ``registry.example``; twice, for a connection is kept."""
    trusted = HostSettings(ca_file=str(certificate)) if certificate else HostSettings()
    transport = HttpTransport(Trust(Settings(hosts=dict.fromkeys(("registry.example", *authorities), trusted))))
    try:
        for _ in range(2):
            with transport.send(Request("GET", f"{scheme}://registry.example/v2/")) as response:
                answer = response.read(1000)
        return answer
    finally:
        transport.abort()
        transport.close()


@pytest.fixture
def plain() -> Iterator[int]:
    with FakeRegistry() as registry:
        yield int(registry.host.rpartition(":")[2])


@pytest.fixture
def secure(certificate: Path) -> Iterator[int]:
    with FakeRegistry(certificate=str(certificate)) as registry:
        yield int(registry.host.rpartition(":")[2])


socks = pytest.mark.skipif(find_spec("socks") is None, reason="needs PySocks")
nested = pytest.mark.skipif(find_spec("urllib3") is None, reason="needs urllib3")


@socks
@pytest.mark.parametrize("password", [None, "secret"])
def test_a_registry_is_reached_by_a_socks_proxy_that_knows_its_name(
    monkeypatch: pytest.MonkeyPatch, plain: int, password: str | None
) -> None:
    with socks_proxy({"registry.example": plain}, password=password) as proxy:
        login = "anna:secret@" if password else ""
        use(monkeypatch, f"socks5h://{login}127.0.0.1:{proxy.port}")

        assert ask("http") == b"{}"

    assert proxy.asked == [("registry.example", 80)]


@socks
def test_a_socks_proxy_is_given_addresses_where_names_are_resolved_here(
    monkeypatch: pytest.MonkeyPatch, plain: int
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", 80))]
    with socks_proxy({"203.0.113.7": plain}) as proxy:
        use(monkeypatch, f"socks5://127.0.0.1:{proxy.port}")
        resolve = socket.getaddrinfo
        monkeypatch.setattr(
            "socket.getaddrinfo",
            lambda host, *more, **named: found if host == "registry.example" else resolve(host, *more, **named),
        )
        monkeypatch.setattr("socket.gethostbyname", lambda _: "203.0.113.7")

        assert ask("http") == b"{}"

    assert proxy.asked == [("203.0.113.7", 80)]


@socks
@pytest.mark.needs("openssl")
def test_tls_goes_through_a_socks_proxy(monkeypatch: pytest.MonkeyPatch, secure: int, certificate: Path) -> None:
    with socks_proxy({"registry.example": secure}) as proxy:
        use(monkeypatch, f"socks5h://127.0.0.1:{proxy.port}")

        assert ask("https", certificate=certificate) == b"{}"

    assert proxy.asked == [("registry.example", 443)]


@pytest.mark.needs("openssl")
def test_tls_goes_through_an_http_proxy(monkeypatch: pytest.MonkeyPatch, secure: int, certificate: Path) -> None:
    with http_proxy({"registry.example": secure}) as proxy:
        use(monkeypatch, f"http://anna:secret@127.0.0.1:{proxy.port}")

        assert ask("https", certificate=certificate) == b"{}"

    assert proxy.asked == [("registry.example", 443)]
    assert b"Proxy-Authorization: Basic YW5uYTpzZWNyZXQ=" in proxy.heads[0]


@nested
@pytest.mark.needs("openssl")
def test_tls_goes_through_a_proxy_that_is_reached_by_tls(
    monkeypatch: pytest.MonkeyPatch, secure: int, certificate: Path
) -> None:
    with http_proxy({"registry.example": secure}, certificate=str(certificate)) as proxy:
        use(monkeypatch, f"https://127.0.0.1:{proxy.port}")

        assert ask("https", f"127.0.0.1:{proxy.port}", certificate=certificate) == b"{}"

    assert proxy.asked == [("registry.example", 443)]


@pytest.mark.needs("openssl")
def test_a_proxy_whose_certificate_nobody_knows_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, secure: int, certificate: Path
) -> None:
    with http_proxy({"registry.example": secure}, certificate=str(certificate)) as proxy:
        use(monkeypatch, f"https://127.0.0.1:{proxy.port}")

        with pytest.raises(RegistryConnectionError, match="cannot be reached by TLS") as caught:
            ask("https", certificate=certificate)

    assert f'[registry."127.0.0.1:{proxy.port}"]' in str(caught.value.hint)


@socks
@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("anna:wrong@127.0.0.1:{port}", "refuses the name and password"),
        ("127.0.0.1:{port}", "refuses the name and password"),
        ("127.0.0.1:{closed}", "cannot connect to the proxy"),
    ],
    ids=["wrong password", "no password", "nobody there"],
)
def test_what_a_socks_proxy_says_is_told_in_our_words(
    monkeypatch: pytest.MonkeyPatch, plain: int, address: str, told: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    with socks_proxy({"registry.example": plain}, password="secret") as proxy:
        use(monkeypatch, f"socks5h://{address.format(port=proxy.port, closed=closed)}")

        with pytest.raises(RegistryConnectionError, match=told) as caught:
            ask("http")

    assert "wrong" not in str(caught.value)
    assert "SOCKS5" not in str(caught.value)


@socks
def test_a_name_that_a_proxy_does_not_know_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socks_proxy({}) as proxy:
        use(monkeypatch, f"socks5h://127.0.0.1:{proxy.port}")

        with pytest.raises(RegistryConnectionError, match=r"does not lead to registry\.example:80"):
            ask("http")
    with http_proxy({}) as proxy:
        use(monkeypatch, f"http://127.0.0.1:{proxy.port}")

        with pytest.raises(RegistryConnectionError, match="does not lead there: 502 Nobody there"):
            ask("https")


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(("module", "scheme"), [("socks", "socks5h"), ("urllib3.util.ssltransport", "https")])
def test_what_is_not_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, module: str, scheme: str, secure: int, certificate: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with http_proxy({"registry.example": secure}, certificate=str(certificate)) as proxy:
        use(monkeypatch, f"{scheme}://127.0.0.1:{proxy.port}")

        with pytest.raises(UsageError, match="needs") as caught:
            ask("https", f"127.0.0.1:{proxy.port}", certificate=certificate)

    assert caught.value.hint == "pip install 'kubeimage[proxy]'"


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("port", [None, 80, 443, 5000])
@pytest.mark.parametrize("host", ["a.example", "[::1]"])
def test_an_origin_shows_each_port_but_the_one_of_its_scheme(scheme: str, port: int | None, host: str) -> None:
    usual = 443 if scheme == "https" else 80
    written = host if port is None else f"{host}:{port}"

    origin = origin_of(f"{scheme}://{written}/v2/")

    assert origin == Origin(scheme, host.strip("[]"), port or usual)
    assert str(origin) == (host if origin.port == usual else written)
