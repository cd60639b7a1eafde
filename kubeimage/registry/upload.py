"""One blob to a registry, in pieces; broken off, it goes on where it was, or begins anew where that is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from kubeimage.errors import RegistryError, StoreAccessError
from kubeimage.image.oci import Descriptor
from kubeimage.registry.client import Repository, Upload
from kubeimage.registry.exchange import may_pass
from kubeimage.registry.messages import PIECE, Body

Open = Callable[[], BinaryIO]
Sent = Callable[[int], None]


def upload_blob(repository: Repository, blob: Descriptor, open_blob: Open, sent: Sent, start: Upload | None) -> None:
    """Send a blob that is not there yet, over the upload ``start`` if there is one.

    ``sent`` gets how many bytes are over in all; fewer than before, where some have to go again.
    Raises: RegistryError.
    """
    failed = 0
    upload = start
    while True:
        upload = upload or repository.start_upload()
        before = upload.offset
        try:
            if blob.size <= PIECE:
                repository.finish_upload(upload, blob.digest, _body(blob.size, upload.offset, open_blob, sent))
            else:
                if upload.offset < blob.size:
                    upload = repository.append(upload, _body(blob.size, upload.offset, open_blob, sent))
                repository.finish_upload(upload, blob.digest)
        except RegistryError as error:
            following = _resume(repository, upload, error)
            failed = 1 if following is not None and following.offset > before else failed + 1
            if not (may_pass(error) or error.status in (404, 416)) or failed >= repository.exchange.retry.attempts:
                raise
            repository.exchange.retry.wait(failed)
            upload = following
        else:
            return


def _body(size: int, offset: int, open_blob: Open, sent: Sent) -> Body:
    def pieces() -> Iterator[bytes]:
        with open_blob() as file:
            done = file.seek(offset)
            while piece := read_piece(file):
                yield piece
                done += len(piece)
                sent(done)

    return Body(size - offset, pieces)


def _resume(repository: Repository, upload: Upload, error: RegistryError) -> Upload | None:
    """Find out where to go on; None where it has to begin anew."""
    if error.status is not None:
        return None
    try:
        return repository.upload_status(upload)
    except RegistryError:
        return None


def read_piece(file: BinaryIO) -> bytes:
    """Read the next bytes of a blob that is sent.

    Raises: StoreAccessError: what the disk does is not the connection's fault.
    """
    try:
        return file.read(PIECE)
    except OSError as error:
        raise StoreAccessError(f"cannot read what is to be sent: {error.strerror}") from error
