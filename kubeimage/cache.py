"""The build cache: what steps made, remembered under their keys.

    DIRECTORY/
      lock                 held while something is recorded
      record.tmp           a record being written
      keys/PARENT/KEY      one step: PARENT is the key of the step before ("base" for none), both in hex

A record's first line is JSON and says what the step made, with a checksum that covers the key as well; that is all a
lookup reads. The lines below are the key's fields and sources, for people and for ``nearest``. Records are written
aside and renamed, and nobody waits for the disk: a record that a power cut has spoilt, or whose layer is not there and
whole, is a miss.

What comes after a step was made on top of that step's result. So when a step's result changes (``--no-cache`` and a
command that gives another output each time), the newest counts, and what was remembered after the old one is forgotten;
a build that finds its own result replaced by somebody else's records nothing more.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from kubeimage.disk.flock import release
from kubeimage.disk.folders import make_private
from kubeimage.disk.lastuse import last_use, note_use
from kubeimage.errors import DigestFormatError, StoreError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.layer.stored import StoredLayer
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey, Fields
from kubeimage.protocols.keytext import LongSources, iter_key_fields, parse_key_fields
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.protocols.layers import LayerStore

_VERSION = 1
_BASE = "base"
_LONGEST_RESULT = 512
_HEAD = 1 << 16
_LOOKED_AT = 64
_COMPARED = 4


@dataclass(frozen=True)
class _Result:
    """What a step made. Shape: ``diff_id`` None for nothing."""

    diff_id: Digest | None
    size: int = 0


class _BadRecordError(ValueError):
    """A file that is no record, or not the one of its key."""


class CacheRecords:
    """The records as files: what the store's garbage collection and fsck ask for, and the cache builds on."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._keys = os.path.join(directory, "keys")

    def path(self, key: CacheKey) -> str:
        """Return the place of a key's record."""
        return os.path.join(self.folder(key.parent), key.digest.hex)

    def folder(self, parent: Digest | None) -> str:
        """Return the place of the records of all steps after ``parent``."""
        return os.path.join(self._keys, _BASE if parent is None else parent.hex)

    def read(self, path: str) -> _Result:
        """Read what a step made.

        Raises: OSError; ValueError where the file is no good record of its key.
        """
        return _parse_result(_read_head(path, _LONGEST_RESULT), os.path.basename(path))

    def write(self, key: CacheKey, result: _Result) -> None:
        """Write a record; the caller holds the lock.

        Raises: OSError.
        """
        path = self.path(key)
        aside = os.path.join(self.directory, "record.tmp")
        make_private(os.path.dirname(path))
        with open(aside, "wb") as file:
            file.write(_render_result(result, key.digest.hex))
            file.writelines(iter_key_fields(key))
        os.replace(aside, path)

    def forget_after(self, parent: Digest) -> None:
        """Remove the records of all steps after ``parent``, and of all steps after those.

        Raises: OSError.
        """
        pending = [os.path.join(self._keys, parent.hex)]
        while pending:
            folder = pending.pop()
            for name in _names_in(folder):
                pending.append(os.path.join(self._keys, name))
                os.unlink(os.path.join(folder, name))
            with suppress(FileNotFoundError):
                os.rmdir(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from recording anything meanwhile, and from taking the folder away.

        Raises: OSError.
        """
        while (descriptor := self._try_to_lock()) is None:
            pass
        try:
            yield
        finally:
            release(descriptor)

    def _try_to_lock(self) -> int | None:
        """Return the locked file; None where the folder and the lock in it were taken away while we waited."""
        path = os.path.join(self.directory, "lock")
        make_private(self.directory)
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
            except BaseException:
                release(descriptor)
                raise
            release(descriptor)
        return None

    def layers(self) -> set[Digest]:
        """Return the layers that records lead to.

        Raises: OSError for records that cannot be read now: somebody else may be able to, or later.
        """
        found = set()
        for path in self._iter_paths():
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
                found.add(self.read(path).diff_id)
        return {diff_id for diff_id in found if diff_id is not None}

    def uses(self) -> list[tuple[str, Digest | None, float]]:
        """Return each record's path, the layer that it leads to, and when it was last used, in seconds since 1970.

        Raises: OSError for records that cannot be read now: somebody else may be able to, or later.
        """
        found = []
        for path in self._iter_paths():
            with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError):
                found.append((path, self.read(path).diff_id, last_use(path)))
        return found

    def check(self, layers: set[Digest], *, repair: bool) -> list[tuple[str, str, bool]]:
        """Return the path of each bad record, what is wrong with it, and whether that is damage.

        Shape: ``layers`` are those that are there and good. With ``repair`` the bad records are removed.
        """
        findings = []
        for path in self._iter_paths():
            if (what := self._problem_of(path, layers)) is not None:
                findings.append((path, *what))
                if repair:
                    with suppress(OSError):
                        os.unlink(path)
        return findings

    def _problem_of(self, path: str, layers: set[Digest]) -> tuple[str, bool] | None:
        try:
            result = self.read(path)
            read_key(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            return f"the cache record cannot be used: {error}", True
        if result.diff_id is not None and result.diff_id not in layers:
            return f"the layer {result.diff_id} of the cache record is not there", False
        return None

    def _iter_paths(self) -> Iterator[str]:
        """Raises: OSError for folders that cannot be read."""
        for parent in _names_there(self._keys):
            folder = os.path.join(self._keys, parent)
            yield from (os.path.join(folder, name) for name in _names_there(folder))


class DirectoryBuildCache:
    """A build cache in a directory. Where it is broken it is no cache, and ``warn`` gets one message that says so."""

    def __init__(
        self,
        records: CacheRecords,
        layers: LayerStore,
        *,
        warn: Callable[[str], None] | None = None,
        notes_uses: bool = False,
    ) -> None:
        self._records = records
        self._notes_uses = notes_uses
        self._layers = layers
        self._warn = warn
        self._known: dict[Digest, tuple[str, _Result]] = {}
        self._replaced: set[Digest] = set()

    def foresee(self, first: CacheKey, keys: Iterable[CacheKey]) -> None:
        """Everything is at hand: no key is taken."""

    foresee_each = foresee

    def whole_key(self, key: CacheKey) -> CacheKey:
        """Return the key with all its sources, where they are remembered; else the key itself."""
        if key.known_sources is None:
            return key
        try:
            return read_key(self._records.path(key))
        except (OSError, ValueError):
            return key

    def lookup(self, key: CacheKey) -> CachedStep | None:
        """Return what the step with this key made, or None: also where its layer is gone or damaged."""
        path = self._records.path(key)
        result = self._read(path)
        if result is None:
            return None
        if result.diff_id is None:
            step = CachedStep(None)
        elif self._has(result.diff_id, result.size):
            step = CachedStep(StoredLayer(result.diff_id, result.size))
        else:
            return None
        self._known[key.digest] = path, result
        if self._notes_uses:
            note_use(path)
        return step

    def record(self, key: CacheKey, step: CachedStep) -> None:
        """Remember what the step with this key made."""
        result = _Result(None) if step.layer is None else _Result(step.layer.diff_id, step.layer.size)
        try:
            with self._records.locked():
                if self._is_replaced(key.parent):
                    self._replaced.add(key.digest)
                    return
                self._known[key.digest] = self._records.path(key), result
                if self._is_news(self._records.path(key), result):
                    self._records.forget_after(key.digest)
                    self._records.write(key, result)
        except OSError as error:
            self._tell(f"the build cache in {self._records.directory} cannot be written ({error.strerror})")

    def expects(self, parent: Digest) -> bool:
        """Whether any step after ``parent`` is remembered."""
        return os.path.isdir(self._records.folder(parent))

    def nearest(self, key: CacheKey) -> CacheKey | None:
        """Return the remembered key with the same parent that is most like ``key``, the newest of equals."""
        folder = self._records.folder(key.parent)
        newest = sorted(_names_in(folder), key=lambda name: -_age_of(os.path.join(folder, name)))
        own = set(key.fields)
        alike = []
        for name in newest[:_LOOKED_AT]:
            with suppress(OSError, ValueError):
                fields = _read_fields(os.path.join(folder, name))
                if fields[:1] == key.fields[:1]:
                    alike.append((len(own.intersection(fields)) - len(fields), os.path.join(folder, name)))
        best = [path for score, path in alike if score == max(alike)[0]]
        return _most_alike(key, best[:_COMPARED])

    def _has(self, diff_id: Digest, size: int) -> bool:
        try:
            return self._layers.has(diff_id) and self._layers.size(diff_id) == size
        except StoreError as error:
            self._tell(f"a cached layer cannot be used: {error.message}")
            return False

    def _read(self, path: str) -> _Result | None:
        try:
            return self._records.read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._tell(f"the build cache in {self._records.directory} cannot be read ({error.strerror})")
        except ValueError as error:
            self._tell(f"the build cache has a damaged record, {path}: {error}")
        return None

    def _is_news(self, path: str, result: _Result) -> bool:
        """Whether a record is to say something else than it does.

        Raises: OSError where it cannot be read now: what stands after it is not forgotten for that.
        """
        try:
            return self._records.read(path) != result
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return True

    def _is_replaced(self, parent: Digest | None) -> bool:
        """Whether another build has put another result in the place of ours, or of one before it."""
        if parent in self._replaced:
            return True
        if parent is None or parent not in self._known:
            return False
        path, result = self._known[parent]
        return self._read(path) != result

    def _tell(self, message: str) -> None:
        if self._warn is not None:
            self._warn(f"{message}: steps that are not found there are done again")
            self._warn = None


def read_key(path: str) -> CacheKey:
    """Read a record's key.

    Raises: OSError; ValueError where the lines are not those of the key that the file is named after.
    """
    with open(path, "rb") as file:
        file.readline(_LONGEST_RESULT)
        fields, sources = parse_key_fields(file.read())
    parent = os.path.basename(os.path.dirname(path))
    key = CacheKey(None if parent == _BASE else _parse_digest(f"sha256:{parent}"), fields, sources)
    if key.digest.hex != os.path.basename(path):
        raise _BadRecordError("its fields are not those of its key")
    return key


def _read_fields(path: str) -> Fields:
    """Read the fields of a record, which come first; those that go on for long are cut off."""
    _, _, body = _read_head(path, _HEAD).partition(b"\n")
    return parse_key_fields(body.rpartition(b"\n")[0] + b"\n")[0]


def _read_head(path: str, size: int) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def _most_alike(key: CacheKey, paths: list[str]) -> CacheKey | None:
    if not isinstance(key.sources, tuple):
        return next((other for path in paths if (other := _read_long_key(path)) is not None), None)
    found: list[tuple[int, CacheKey]] = []
    own = set(key.sources)
    for path in paths:
        with suppress(OSError, ValueError):
            other = read_key(path)
            found.append((len(own.symmetric_difference(other.sources)), other))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def _read_long_key(path: str) -> CacheKey | None:
    """Return a key whose sources are read from its record while they are looked at; None where there is none."""
    with suppress(OSError, ValueError):
        return CacheKey(None, _read_fields(path), LongSources(path))
    return None


def _age_of(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _names_in(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _names_there(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _render_result(result: _Result, key: str) -> bytes:
    layer = None if result.diff_id is None else {"diff_id": str(result.diff_id), "size": result.size}
    value = {"check": _checksum(result, key), "layer": layer, "version": _VERSION}
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _parse_result(line: bytes, key: str) -> _Result:
    text, newline, _ = line.partition(b"\n")
    if not newline:
        raise _BadRecordError("its first line is not whole")
    value = canonical.loads(text)
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        raise _BadRecordError("its first line is none that this kubeimage writes")
    result = _Result(None) if value.get("layer") is None else _parse_layer(value["layer"])
    if _render_result(result, key) != line[: len(text) + 1]:
        raise _BadRecordError("its checksum is wrong")
    return result


def _parse_layer(value: object) -> _Result:
    if not isinstance(value, dict) or not isinstance(value.get("size"), int):
        raise _BadRecordError(f"{value!r} is no layer")
    return _Result(_parse_digest(value.get("diff_id")), value["size"])


def _checksum(result: _Result, key: str) -> str:
    return hashlib.sha256(f"{_VERSION} {key} {result.diff_id} {result.size}".encode()).hexdigest()[:32]


def _parse_digest(text: object) -> Digest:
    try:
        return Digest.parse(str(text))
    except DigestFormatError as error:
        raise _BadRecordError(str(error)) from error
