"""One blob from a registry, in pieces; broken off, it goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kubeimage.errors import RegistryContentError, RegistryError
from kubeimage.image.oci import Descriptor
from kubeimage.registry.client import Repository
from kubeimage.registry.exchange import may_pass
from kubeimage.registry.http import Response
from kubeimage.registry.messages import PIECE

_NOT_SATISFIABLE = 416


class Download:
    """The bytes of one blob. ``arrived`` gets how many there are so far.

    Shape: ``resumed`` says whether they came in several answers.
    """

    def __init__(self, repository: Repository, blob: Descriptor, arrived: Callable[[int], None]) -> None:
        self.resumed = False
        self._repository = repository
        self._blob = blob
        self._arrived = arrived
        self._offset = 0

    def start_at(self, offset: int) -> None:
        """Leave out the first ``offset`` bytes, which somebody has from an earlier download."""
        self._offset = offset
        self.resumed = offset > 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes; as many as the descriptor says, or an error.

        Raises: RegistryContentError for more or fewer bytes; RegistryError.
        """
        failed = 0
        while self._offset < self._blob.size or not self.resumed:
            before = self._offset
            try:
                yield from self._read_answer()
            except RegistryError as error:
                if error.status == _NOT_SATISFIABLE:
                    raise self._wrong(f"fewer than {self._offset + 1}") from error
                failed = 1 if self._offset > before else failed + 1
                if not may_pass(error) or failed >= self._repository.exchange.retry.attempts:
                    raise
                self._repository.exchange.retry.wait(failed)
                self.resumed = self.resumed or self._offset > 0
            else:
                return

    def _read_answer(self) -> Iterator[bytes]:
        with self._repository.open_blob(self._blob.digest, self._offset) as response:
            self._check_size(response)
            skipped = self._offset if response.status == 200 else 0
            while piece := response.read_piece(min(PIECE, skipped + self._blob.size - self._offset + 1)):
                if skipped >= len(piece):
                    skipped -= len(piece)
                    continue
                piece, skipped = piece[skipped:], 0
                self._offset += len(piece)
                if self._offset > self._blob.size:
                    raise self._wrong("more")
                self._arrived(self._offset)
                yield piece
        if self._offset < self._blob.size:
            raise self._wrong(str(self._offset))

    def _check_size(self, response: Response) -> None:
        """Refuse an answer of another size before it is read."""
        rest = self._blob.size - (self._offset if response.status == 206 else 0)
        if response.size not in (None, rest):
            raise self._wrong(f"{response.size}")
        if response.status == 206:
            start = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
            if start != str(self._offset):
                raise RegistryContentError(
                    f"{self._repository}: asked for the blob {self._blob.digest} from byte {self._offset} on, "
                    f"found it from {start or 'nowhere'} on"
                )

    def _wrong(self, found: str) -> RegistryContentError:
        return RegistryContentError(
            f"{self._repository}: the blob {self._blob.digest} has {self._blob.size} bytes, found {found}"
        )
