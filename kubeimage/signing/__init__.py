"""Keys, and the signatures of images: written, read and judged. Nobody is asked over a network.

    keys.py      PEM files -> keys
    payload.py   what a signature says: which digest, under which name
    sigtag.py    cosign's `.sig` manifest: payloads with their signatures, as layers
    bundle.py    sigstore's bundle, an artifact that refers to an image
    judging.py   one signature, some keys, an image -> signed by whom, or why not

What is signed by a certificate is not judged: that needs Fulcio's and Rekor's roots.
"""

from __future__ import annotations

from kubeimage.signing.keys import Signer, Verifier, read_private_key, read_public_key

__all__ = ["Signer", "Verifier", "read_private_key", "read_public_key"]
