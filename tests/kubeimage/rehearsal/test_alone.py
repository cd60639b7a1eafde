"""The node as a process in a network of its own."""

import json
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from kubeimage.errors import RehearsalError
from kubeimage.rehearsal.rehearse import NODE
from kubeimage.run.alone import started
from tests.containers import small_image
from tests.kubeimage.rehearsal.conftest import Pack, keep_together, packed, rehearse

NAME = "r.io/team/app:v1"
FILES = packed(Pack(NAME, small_image("one")))
_PROBE = """
import json, socket, sys
from kubeimage.run.alone import enter_own_network
try:
    enter_own_network()
except OSError as error:
    print(json.dumps({"problem": str(error)})); sys.exit()
outside = socket.socket(); outside.settimeout(5)
try:
    outside.connect((sys.argv[1], int(sys.argv[2]))); reached = True
except OSError:
    reached = False
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    print(json.dumps({"names": [name for _, name in socket.if_nameindex()], "reached": reached}))
"""


def can_be_alone() -> bool:
    with started(NODE) as channel:
        return bool(socket.recv_fds(channel, 1 << 16, 1)[1])


@pytest.fixture(scope="module")
def alone() -> None:
    if not can_be_alone():
        pytest.skip("no network namespace can be made here")


@pytest.mark.usefixtures("alone")
def test_in_its_own_network_the_machine_s_own_servers_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, host, str(port)], capture_output=True, text=True, check=True
        )

    assert json.loads(done.stdout)["reached"] is False


@pytest.mark.usefixtures("alone")
def test_images_are_pulled_there() -> None:
    found = rehearse({**FILES, "manifests/imageList": b"x.io/b:1\n"})

    assert found.why_together is None
    assert [one.status for one in found.images] == ["pulled", "missing"]


def test_where_no_network_can_be_made_it_is_said_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeimage.rehearsal.rehearse.NODE", "kubeimage.no_such_module")

    found = rehearse(FILES)

    assert found.why_together
    assert [one.status for one in found.images] == ["pulled"]


def test_a_node_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeimage.rehearsal.rehearse.NODE", "tests.kubeimage.rehearsal.dying_node")

    with pytest.raises(RehearsalError, match="the node ended"):
        rehearse(FILES)


@pytest.mark.parametrize("together", [False, True], ids=["a process", "this process"])
def test_whoever_is_interrupted_leaves_nothing(monkeypatch: pytest.MonkeyPatch, together: bool) -> None:
    processes: list[subprocess.Popen[bytes]] = []

    class Recorded(subprocess.Popen[bytes]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            processes.append(self)

    def interrupt(_image: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kubeimage.run.alone.subprocess.Popen", Recorded)
    if together:
        keep_together(monkeypatch)

    with pytest.raises(KeyboardInterrupt):
        rehearse(FILES, interrupt)

    assert len(processes) == (0 if together else 1)
    assert all(one.returncode is not None for one in processes)
    assert {one.name for one in threading.enumerate()} & {"packed registry"} == set()
