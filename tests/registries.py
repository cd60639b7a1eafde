"""Debian's docker-registry, as a process of the test's own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# anna's password is "secret".
HTPASSWD = "anna:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n"

_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""
_AUTH = "auth: {{htpasswd: {{realm: registry, path: {folder}/htpasswd}}}}\n"


@contextmanager
def docker_registry(folder: Path, *, password: bool = False) -> Iterator[str]:
    """Run a registry that keeps its files in ``folder``, and give its URL."""
    port = _free_port()
    text = (_CONFIG + (_AUTH if password else "")).format(folder=folder, port=port)
    (folder / "config.yml").write_text(text)
    (folder / "htpasswd").write_text(HTPASSWD)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "OTEL_TRACES_EXPORTER": "none"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")], stdout=log, stderr=log, env=environment
        )
    try:
        _wait(process, port, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(1000):
        assert process.poll() is None, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(log.read_text())
