"""The instructions that a base image has for those built on it: ONBUILD.

Source: moby's Dockerfile reference, "ONBUILD".
"""

from __future__ import annotations

from kubeimage.builder.dockerscope import refused
from kubeimage.kubefile import From, Instruction, Mistake, parse
from kubeimage.kubefile.dockerfile.stages import taken_by


def triggers(texts: tuple[str, ...], base: From) -> tuple[Instruction, ...]:
    """Return the instructions that ``texts`` are; they stand before those of the stage that ``base`` begins.

    Raises: KubefileError for what is no instruction, or takes files from elsewhere.
    """
    if not texts:
        return ()
    text = "".join(f"{text}\n" for text in ("FROM scratch", *texts))
    found = parse(text, file=f"ONBUILD of {base.name}", dialect="sealos").instructions[1:]
    foreign = next((one for one in found if isinstance(one, From) or any(taken_by(one))), None)
    if foreign is not None:
        message = f"the base has an ONBUILD that takes from elsewhere: {foreign.keyword} {foreign.value}"
        raise refused(Mistake.NOT_TAKEN, base, message, "build on an image without it")
    return found
