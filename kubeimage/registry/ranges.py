"""A blob of a registry as a file that can seek: only what is read is fetched.

What is read on and on is asked for in ever larger pieces, so that a whole blob takes few requests. A jump begins with
a small piece again.

Source: RFC 9110, section 14, "Range Requests"; a registry that knows none sends all, and what stands before is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kubeimage.disk.seekable import SeekableFile
from kubeimage.errors import RegistryContentError, RegistryError
from kubeimage.image.oci import Descriptor
from kubeimage.registry.client import Repository
from kubeimage.registry.exchange import may_pass
from kubeimage.registry.http import Response

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIRST = 1 << 16
_GROWTH = 4
_LARGEST = 1 << 28
# So much is read and dropped rather than asked for anew.
_NEAR = 1 << 15
_HEAD = 512


class RangeFile(SeekableFile):
    """The bytes of one blob; ``arrived`` gets how many came each time.

    Raises: RegistryError and its kinds, when it is read.
    """

    def __init__(
        self, repository: Repository, blob: Descriptor, arrived: Callable[[int], object], *, first: int = FIRST
    ) -> None:
        super().__init__(blob.size)
        self._repository = repository
        self._blob = blob
        self._arrived = arrived
        self._first = first
        self._window = first
        self._response: Response | None = None
        # Who opens a blob looks at its first bytes, and begins again.
        self._head = b""
        # Where the open answer stands, and where it ends.
        self._stands = self._ends = 0

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer``, but for what stands behind the end: nobody has to ask twice."""
        view = memoryview(buffer).cast("B")
        view = view[: max(self._blob.size - self._at, 0)]
        done = 0
        while done < len(view):
            data = self._head[self._at : self._at + len(view) - done] or self._read(len(view) - done)
            if self._at == len(self._head) < _HEAD:
                self._head += data[: _HEAD - len(self._head)]
            view[done : done + len(data)] = data
            self._at += len(data)
            done += len(data)
        return done

    def close(self) -> None:
        self._hang_up()
        super().close()

    def _read(self, wanted: int) -> bytes:
        retry = self._repository.exchange.retry
        failed = 0
        while True:
            try:
                self._go_to(self._at)
                data = self._piece(wanted)
            except RegistryError as error:
                self._hang_up()
                failed += 1
                if not may_pass(error) or failed >= retry.attempts:
                    raise
                retry.wait(failed)
                continue
            if not data:
                raise self._wrong(f"{self._stands}")
            return data

    def _go_to(self, place: int) -> None:
        """Move the open answer to the byte at ``place``."""
        is_near = 0 <= place - self._stands <= _NEAR
        if self._response is not None and (not is_near or place >= self._ends):
            self._hang_up()
            self._window = min(self._window * _GROWTH, _LARGEST) if is_near else self._first
        if self._response is None:
            self._open(place)
        while self._stands < place:
            if not self._piece(place - self._stands):
                raise self._wrong(f"{self._stands}")

    def _open(self, place: int) -> None:
        length = min(self._window, self._blob.size - place)
        response = self._repository.open_blob(self._blob.digest, place, length)
        expected = length if response.status == 206 else self._blob.size
        if response.size not in (None, expected):
            response.close()
            raise self._wrong(f"an answer of {response.size}")
        if response.status == 206:
            start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
            if start != str(place):
                response.close()
                raise RegistryContentError(
                    f"{self._repository}: asked for the blob {self._blob.digest} from byte {place} on, "
                    f"found it from {start or 'nowhere'} on"
                )
            self._stands, self._ends = place, place + length
        else:
            self._stands, self._ends = 0, self._blob.size
        self._response = response

    def _piece(self, most: int) -> bytes:
        assert self._response is not None
        data = self._response.read_piece(min(most, self._ends - self._stands, 1 << 20))
        self._stands += len(data)
        self._arrived(len(data))
        return data

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _wrong(self, found: str) -> RegistryContentError:
        return RegistryContentError(
            f"{self._repository}: the blob {self._blob.digest} has {self._blob.size} bytes, found {found}"
        )
