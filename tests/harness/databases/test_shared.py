"""Databases that several share: each backend holds what is put there, and one that fails stops nobody."""

import os
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.database import ExampleDatabase, InMemoryExampleDatabase

from harness.databases import shared
from harness.databases.place import parse_place
from harness.databases.shared import Forgiving, MissingExtraError, open_databases

REDIS = shutil.which("redis-server", path=os.environ.get("PATH", "") + ":/usr/bin:/usr/sbin")


def opened(*texts: str, tell: Callable[[str], None] = print, **options: Any) -> ExampleDatabase:
    return open_databases([parse_place(text) for text in texts], tell, **options)


@contextmanager
def redis_server(folder: Path, port: int = 0) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run Debian's server on a free port of this machine, and stop that one process."""
    pytest.importorskip("redis")
    assert REDIS is not None
    if not port:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with subprocess.Popen([REDIS, *options], stdout=subprocess.DEVNULL) as server:
        try:
            while server.poll() is None:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.01)
            assert server.poll() is None
            yield f"redis://127.0.0.1:{port}/0", server
        finally:
            server.send_signal(signal.SIGKILL)


KEYS = st.sampled_from((b"a", b"b"))
VALUES = st.binary(max_size=3)
ACTS = st.lists(st.tuples(st.sampled_from(("save", "delete", "move")), KEYS, KEYS, VALUES), max_size=12)


def do(database: ExampleDatabase, acts: list[tuple[str, bytes, bytes, bytes]]) -> None:
    for act, key, other, value in acts:
        if act == "move":
            database.move(key, other, value)
        else:
            getattr(database, act)(key, value)


def contents(database: ExampleDatabase) -> dict[bytes, set[bytes]]:
    return {key: set(database.fetch(key)) for key in (b"a", b"b")}


def agree(database: ExampleDatabase, acts: list[tuple[str, bytes, bytes, bytes]]) -> None:
    """Do the same to a database and to one in memory, and leave it empty."""
    expected = InMemoryExampleDatabase()
    do(expected, acts)
    do(database, acts)
    assert contents(database) == contents(expected)
    do(database, [("delete", key, key, value) for key, values in contents(database).items() for value in values])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=ACTS)
def test_a_folder_holds_what_is_put_there(tmp_path: Path, acts: list[tuple[str, bytes, bytes, bytes]]) -> None:
    agree(opened(str(tmp_path / "examples")), acts)


@pytest.mark.needs("redis-server")
def test_a_server_holds_what_is_put_there(tmp_path: Path) -> None:
    with redis_server(tmp_path) as (url, _):
        database = opened(url)

        @settings(max_examples=20, database=None)
        @given(ACTS)
        def check(acts: list[tuple[str, bytes, bytes, bytes]]) -> None:
            agree(database, acts)

        check()


@pytest.mark.needs("redis-server")
def test_a_server_that_goes_is_told_once_and_used_again_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "_ASKED_AGAIN", 0.0)
    told: list[str] = []
    local = InMemoryExampleDatabase()
    with redis_server(tmp_path) as (url, server):
        database = opened(url, tell=told.append, local=local)
        database.save(b"a", b"1")
        server.send_signal(signal.SIGKILL)
        server.wait()
        database.save(b"a", b"2")
        assert contents(database)[b"a"] == {b"1", b"2"}
    with redis_server(tmp_path, int(url.rpartition(":")[2].partition("/")[0])):
        database.save(b"a", b"3")

        assert set(opened(url).fetch(b"a")) == {b"3"}
    assert told == [f"the example database {url} does not answer; this run goes on without it"]


def test_a_server_that_is_away_is_told_at_once_and_not_asked_each_time() -> None:
    pytest.importorskip("redis")
    told: list[str] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://me:secret@127.0.0.1:{nobody.getsockname()[1]}"
        database = opened(url, tell=told.append, local=InMemoryExampleDatabase())
        for number in range(100):
            database.save(b"a", b"%d" % number)

    assert len(set(database.fetch(b"a"))) == 100
    assert len(told) == 1
    assert "secret" not in told[0]


@pytest.mark.needs("redis-server")
def test_a_server_that_refuses_is_told_as_that(tmp_path: Path) -> None:
    told: list[str] = []
    with redis_server(tmp_path) as (url, _):
        opened(url.replace("//", "//nobody:secret@"), tell=told.append)

    assert told == [f"the example database {url} refuses this user or password; this run goes on without it"]


class Broken(InMemoryExampleDatabase):
    """Counts how often it is asked, and never answers."""

    asked = 0

    def fetch(self, _key: bytes) -> Iterator[bytes]:
        self.asked += 1
        raise ConnectionResetError


def test_what_failed_is_asked_again_after_half_a_minute() -> None:
    times, broken = [0.0], Broken()
    forgiving = Forgiving(broken, "it", lambda _line: None, clock=lambda: times[-1])
    counts = []
    for now in (0.0, 1.0, 29.0, 31.0, 40.0, 62.0):
        times.append(now)
        assert list(forgiving.fetch(b"a")) == []
        counts.append(broken.asked)

    assert counts == [1, 1, 1, 2, 2, 3]


def test_only_the_local_one_is_written_to_where_that_is_asked_for(tmp_path: Path) -> None:
    opened(str(tmp_path)).save(b"a", b"theirs")
    local = InMemoryExampleDatabase()
    database = opened(str(tmp_path), local=local, read_only=True)

    do(database, [("save", b"a", b"a", b"mine"), ("delete", b"a", b"a", b"theirs")])

    assert contents(database)[b"a"] == {b"theirs", b"mine"}
    assert contents(opened(str(tmp_path)))[b"a"] == {b"theirs"}


def test_a_folder_that_is_only_read_need_not_be_there(tmp_path: Path) -> None:
    assert contents(opened(str(tmp_path / "none"), read_only=True)) == {b"a": set(), b"b": set()}
    assert not (tmp_path / "none").exists()


def test_an_artifact_is_the_folder_that_was_uploaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(str(tmp_path / "examples")).save(b"a", b"of CI")
    kept = tmp_path / ".hypothesis/github-artifacts/examples"
    kept.mkdir(parents=True)
    stamp = datetime.now(UTC).isoformat().replace(":", "_")
    with zipfile.ZipFile(kept / f"{stamp}.zip", "w") as archive:
        for path in (tmp_path / "examples").rglob("*"):
            archive.write(path, path.relative_to(tmp_path / "examples"))
    monkeypatch.setattr("hypothesis.configuration.__hypothesis_home_directory", tmp_path / ".hypothesis")

    database = opened("github://team/app/examples", local=InMemoryExampleDatabase())
    database.save(b"a", b"mine")

    assert set(database.fetch(b"a")) == {b"of CI", b"mine"}


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = parse_place(str(tmp_path / "file2"))

    with pytest.raises(OSError, match="file"):
        open_databases([place._replace(text=str(tmp_path / "file/below"))], print)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    monkeypatch.delitem(__import__("sys").modules, "hypothesis.extra.redis", raising=False)

    with pytest.raises(MissingExtraError, match=r"pip install 'kubeimage\[fleet\]'"):
        opened("redis://127.0.0.1:1")


def test_no_database_is_no_database() -> None:
    with pytest.raises(ValueError, match="no database"):
        opened()
