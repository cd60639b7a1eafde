"""A layer that is sent while it is compressed: from the file that it grows in, so nothing waits in memory.

Only when all of it is compressed its digest is known, and the registry can be asked whether it has it. If so, what is
still to be sent is not; so a push takes no longer than compressing first, and mostly as long as sending alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO

from kubeimage.disk.threads import begin
from kubeimage.errors import RegistryError
from kubeimage.image.oci import Descriptor
from kubeimage.registry.client import Repository
from kubeimage.registry.exchange import may_pass
from kubeimage.registry.messages import Body
from kubeimage.registry.upload import read_piece

_PAUSE = 0.01
_TO_BE_SENT_AGAIN = {301, 302, 303, 307, 308, 401, 404, 416}


class GrowingUpload:
    """Sends a growing file in a thread of its own, from ``start`` on.

    Shape: ``arrived`` says, after ``join``, whether the registry has it all; if not, it is to be sent as any blob.
    """

    def __init__(self, repository: Repository, file: BinaryIO, sent: Callable[[int], None]) -> None:
        self.arrived = False
        self.error: Exception | None = None
        self._repository = repository
        self._file = file
        self._sent = sent
        self._blob: Descriptor | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="growing")

    def start(self) -> None:
        """Begin to send."""
        begin(self._thread)

    def end(self, blob: Descriptor | None) -> None:
        """Say that the file has grown to be ``blob``, or, with None, that nobody wants it any more."""
        self._blob = blob
        self._ended.set()

    def join(self) -> None:
        """Wait until nothing is sent any more.

        Raises: what went wrong, but for what a second try may mend.
        """
        self._thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            upload = self._repository.append(self._repository.start_upload(), Body(None, self._pieces))
            if self._blob is not None:
                self._repository.finish_upload(upload, self._blob.digest)
                self.arrived = True
        except _NotWantedError:
            pass
        except Exception as error:  # noqa: BLE001  it is raised again, in the thread that waits
            mended = isinstance(error, RegistryError) and (may_pass(error) or error.status in _TO_BE_SENT_AGAIN)
            self.error = None if mended else error
        finally:
            self._file.close()

    def _pieces(self) -> Iterator[bytes]:
        done = 0
        while True:
            has_ended = self._ended.is_set()
            if has_ended and self._blob is None:
                raise _NotWantedError
            if piece := read_piece(self._file):
                yield piece
                done += len(piece)
                self._sent(done)
            elif has_ended:
                return
            else:
                self._ended.wait(_PAUSE)


class _NotWantedError(Exception):
    """The registry has the blob already, or the push has failed."""
