"""Open example databases, and go on without one that fails."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hypothesis.database import (
    DirectoryBasedExampleDatabase,
    ExampleDatabase,
    GitHubArtifactDatabase,
    MultiplexedDatabase,
    ReadOnlyDatabase,
)
from hypothesis.errors import HypothesisWarning

from harness.databases.place import Kind, Place

# Units: seconds. A server in another building answers in far less.
_MOST_WAITING = 2.0
_ASKED_AGAIN = 30.0
# What Hypothesis calls the artifact in its own recipe.
_ARTIFACT = "hypothesis-example-db"

Tell = Callable[[str], None]


class MissingExtraError(Exception):
    """A package that a database needs is not installed."""


class Forgiving(ExampleDatabase):
    """A database that a run can do without: what fails is told once, and is as if nothing were there.

    After a failure it is left alone for half a minute, so that no test waits for a server again and again.
    """

    def __init__(
        self, database: ExampleDatabase, name: str, tell: Tell, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._database = database
        self._name = name
        self._tell = tell
        self._clock = clock
        self._errors = _errors_of(database)
        self._is_told = False
        self._rests_until = float("-inf")

    def fetch(self, key: bytes) -> Iterable[bytes]:
        """Return the values of ``key``; none where the database fails."""
        found: list[bytes] = []
        self._try(lambda: found.extend(self._database.fetch(key)))
        return found

    def save(self, key: bytes, value: bytes) -> None:
        """Add a value to ``key``."""
        self._try(lambda: self._database.save(key, value))

    def delete(self, key: bytes, value: bytes) -> None:
        """Remove a value from ``key``."""
        self._try(lambda: self._database.delete(key, value))

    def move(self, src: bytes, dest: bytes, value: bytes) -> None:
        """Move a value from one key to another."""
        self._try(lambda: self._database.move(src, dest, value))

    def _try(self, work: Callable[[], None]) -> None:
        if self._clock() < self._rests_until:
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", HypothesisWarning)
                work()
        except self._errors as error:
            self._rests_until = self._clock() + _ASKED_AGAIN
            if not self._is_told:
                self._is_told = True
                self._tell(f"the example database {self._name} {_why(error)}; this run goes on without it")


def open_databases(
    places: Sequence[Place], tell: Tell, *, local: ExampleDatabase | None = None, read_only: bool = False
) -> ExampleDatabase:
    """Return one database of all ``places``, and of ``local``, which is this machine's own.

    Shape: all are read. All are written to, but ``local`` alone with ``read_only``; what CI kept is only read. ``tell``
           gets a line about each that does not answer: at once, or when it fails later.
    Raises: MissingExtraError where a package is missing; OSError for a folder that cannot be written to; ValueError
            for no place.
    """
    opened = [_open(place, tell, read_only=read_only) for place in places]
    everything = [*([] if local is None else [local]), *opened]
    if not everything:
        raise ValueError("there is no database to open")
    return everything[0] if len(everything) == 1 else MultiplexedDatabase(*everything)


def _open(place: Place, tell: Tell, *, read_only: bool) -> ExampleDatabase:
    if place.kind is Kind.GITHUB:
        owner, repository, *artifact = place.text.partition("://")[2].split("/")
        kept = GitHubArtifactDatabase(owner, repository, artifact_name=artifact[0] if artifact else _ARTIFACT)
        return ReadOnlyDatabase(Forgiving(kept, place.shown, tell))
    if place.kind is Kind.FOLDER:
        opened: ExampleDatabase = _open_folder(place.text, read_only=read_only)
    else:
        redis = _connect(place.text)
        opened = Forgiving(redis, place.shown, tell)
        # Asked once at the start, so that a wrong address is seen before the first test.
        opened.fetch(b"kubeimage.are-you-there")
    return ReadOnlyDatabase(opened) if read_only else opened


def _open_folder(path: str, *, read_only: bool) -> ExampleDatabase:
    if not read_only:
        # Hypothesis's own is silent where nothing can be written.
        os.makedirs(path, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "it cannot be written to", path)
    return DirectoryBasedExampleDatabase(path)


def _connect(url: str) -> Any:
    try:
        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise MissingExtraError("redis is not installed: pip install 'kubeimage[fleet]'") from error
    once = Retry(NoBackoff(), 0)
    limits = {"socket_timeout": _MOST_WAITING, "socket_connect_timeout": _MOST_WAITING}
    return RedisExampleDatabase(Redis.from_url(url, retry=once, **limits))


def _errors_of(database: ExampleDatabase) -> tuple[type[Exception], ...]:
    """Return what a database raises when it is away, or its answer makes no sense."""
    common: tuple[type[Exception], ...] = (OSError, ValueError, LookupError, HypothesisWarning)
    if type(database).__module__ != "hypothesis.extra.redis":
        return common
    from redis.exceptions import RedisError

    return (*common, RedisError)


def _why(error: Exception) -> str:
    """Say in a few words of our own what a database did."""
    if isinstance(error, HypothesisWarning):
        return "has no artifact for us (a private repository needs GITHUB_TOKEN)"
    kinds = {one.__name__ for one in type(error).__mro__}
    if "AuthenticationError" in kinds or "NoPermissionError" in kinds:
        return "refuses this user or password"
    return "refuses what it is asked" if "ResponseError" in kinds else "does not answer"
