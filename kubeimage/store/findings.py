"""What a check of the store has found."""

from __future__ import annotations

from kubeimage.values import dataclass

AGAIN = "run kubeimage fsck --repair"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Shape: ``damage`` False for what merely takes room, or will be made again when it is needed; ``lost`` where the
           repair could only take an image away, so that its name is free again.
    """

    what: str
    where: str
    advice: str
    damage: bool = True
    repaired: bool = False
    lost: bool = False
