"""What the process that rehearses and the node say to each other: lines of JSON."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any, get_args

from kubeimage.discovery.references import parse_image
from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.rehearsal.outcome import Pulled, Status

_PIECE = 1 << 16
_STATUSES: dict[str, Status] = {one: one for one in get_args(Status)}


def send(channel: socket.socket, value: object) -> None:
    """Send a line.

    Raises: OSError.
    """
    channel.sendall(json.dumps(value).encode() + b"\n")


def receive(channel: socket.socket) -> Iterator[Any]:
    """Yield what comes, until the other side ends.

    Raises: OSError; ValueError for what is no JSON.
    """
    text = bytearray()
    while piece := channel.recv(_PIECE):
        *lines, rest = (bytes(text) + piece).split(b"\n")
        text = bytearray(rest)
        yield from map(json.loads, lines)


def to_json(pulled: Pulled) -> dict[str, object]:
    """Return what came of an image as JSON."""
    digest = str(pulled.digest) if pulled.digest else None
    return {**vars(pulled), "image": str(pulled.image), "digest": digest}


def from_json(value: Any) -> Pulled:
    """Read what came of an image.

    Raises: ValueError for anything else.
    """
    try:
        digest = Digest.parse(value["digest"]) if value["digest"] else None
        image, status = parse_image(value["image"]), _STATUSES[value["status"]]
        return Pulled(image, status, str(value["what"]), digest, int(value["size"]))
    except (TypeError, KeyError, KubeimageError) as error:
        raise ValueError(f"no outcome: {value!r}") from error
