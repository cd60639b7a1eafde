"""One blob to a registry, in pieces; broken off, it goes on where it was, or begins anew where that is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from kubeimage.errors import RegistryError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.registry.client import Repository, Upload
from kubeimage.registry.exchange import may_pass
from kubeimage.registry.http import PIECE, Body

Open = Callable[[], BinaryIO]
Sent = Callable[[int], None]


_TO_BE_SENT_AGAIN = {301, 302, 303, 307, 308, 401}


def upload_blob(repository: Repository, blob: Descriptor, open_blob: Open, sent: Sent, start: Upload | None) -> None:
    """Send a blob that is not there yet, over the upload ``start`` if there is one.

    ``sent`` gets how many bytes are over in all; fewer than before, where some have to go again.
    Raises: RegistryError.
    """
    failed = 0
    upload = start
    while True:
        upload = upload or repository.start_upload() or Upload("")
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


def upload_stream(repository: Repository, chunks: Iterable[bytes], digest: Callable[[], Digest], sent: Sent) -> bool:
    """Send a blob while it is being made; ``digest`` gives its digest when all ``chunks`` are taken.

    Tells whether it is there: what is cut off cannot be sent again from here.
    Raises: RegistryError, but for those that a second try may mend; what ``chunks`` raises.
    """
    upload = repository.start_upload() or Upload("")
    try:
        upload = repository.append(upload, Body(None, lambda: _counted(chunks, sent)))
        repository.finish_upload(upload, digest())
    except RegistryError as error:
        if not (may_pass(error) or error.status in _TO_BE_SENT_AGAIN):
            raise
        return False
    return True


def _counted(chunks: Iterable[bytes], sent: Sent) -> Iterator[bytes]:
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        sent(done)


def _body(size: int, offset: int, open_blob: Open, sent: Sent) -> Body:
    def pieces() -> Iterator[bytes]:
        with open_blob() as file:
            file.seek(offset)
            yield from _counted(iter(lambda: file.read(PIECE), b""), lambda done: sent(offset + done))

    return Body(size - offset, pieces)


def _resume(repository: Repository, upload: Upload, error: RegistryError) -> Upload | None:
    """Find out where to go on; None where it has to begin anew."""
    if error.status is not None:
        return None
    try:
        return repository.upload_status(upload)
    except RegistryError:
        return None
