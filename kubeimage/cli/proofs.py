"""What the proof of an image says, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeimage.api.airgap import Verification
    from kubeimage.discovery.findings import Unreadable


def verification_to_json(found: Verification) -> dict[str, Any]:
    return {
        "images": [str(image) for image in found.images],
        "flaws": [{"image": str(one.image), "path": one.where, "what": one.what} for one in found.flaws],
        "unreadable": [unreadable_to_json(one) for one in found.unreadable],
        "untrusted": [*found.untrusted],
        "skipped": [{"text": one.text, **one.place._asdict(), "reason": one.reason} for one in found.skipped],
    }


def unreadable_to_json(one: Unreadable) -> dict[str, Any]:
    return {
        "text": one.text,
        **one.place._asdict(),
        "line": one.line or None,
        "reason": one.reason,
        "near": one.near,
    }
