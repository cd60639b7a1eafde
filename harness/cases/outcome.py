"""How a build went, as a value that another process can read back.

The image and its layers lie in the store; what is kept here is how the steps went, or the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from harness.cases.leaks import Leak
from kubeimage import errors
from kubeimage.builder.events import StepFinished
from kubeimage.builder.executor import BuildResult
from kubeimage.builder.plan import BuildPlan
from kubeimage.builder.step import Step
from kubeimage.errors import Diagnostic, KubeimageError, Location
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.protocols.images import ImageStore
from kubeimage.report.seconds import format_seconds


class Warned(NamedTuple):
    """Something that the build warned of. Shape: ``step`` counts from 1; None where it is about no step."""

    message: str
    step: int | None


@dataclass(frozen=True)
class Outcome:
    """A build that ended.

    Shape: exactly one of ``result`` and ``error`` is set. ``plan`` is what was built, None where there was none yet.
           ``leaks`` say what it left behind. ``mounter`` and ``runner`` are the names of what it ran on.
    """

    result: BuildResult | None = None
    error: KubeimageError | None = None
    warned: tuple[Warned, ...] = ()
    leaks: tuple[Leak, ...] = ()
    mounter: str = ""
    runner: str = ""
    plan: BuildPlan | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> JsonObject:
        """Return it as a JSON object."""
        return {
            "result": _result_to_json(self.result) if self.result is not None else None,
            "error": _error_to_json(self.error) if self.error is not None else None,
            "warned": list(self.warned),
            "leaks": list(self.leaks),
            "mounter": self.mounter,
            "runner": self.runner,
        }

    @classmethod
    def from_json(cls, value: JsonObject, plan: BuildPlan, images: ImageStore) -> Outcome | None:
        """Read it back; None where the store has lost the image."""
        result = None
        if value["result"] is not None and (result := _result_from_json(value["result"], plan, images)) is None:
            return None
        return cls(
            result=result,
            error=_error_from_json(value["error"]) if value["error"] is not None else None,
            warned=tuple(Warned(*one) for one in value["warned"]),
            leaks=tuple(Leak(*one) for one in value["leaks"]),
            mounter=value["mounter"],
            runner=value["runner"],
            plan=plan,
        )


def describe(outcome: Outcome) -> dict[str, str]:
    """Return what people want to know of a build that went well, in words."""
    result = outcome.result
    assert result is not None
    count = len(result.image.layers)
    facts = {
        "image_id": result.image.id.short,
        "layers": f"{count} layer{'s' if count != 1 else ''}",
        "size": f"{result.image.size:,} bytes",
        "cache": f"{result.cache_hits} of {result.cache_hits + result.cache_misses} steps from the cache",
        "time": format_seconds(result.seconds),
    }
    if any(one.step.run is not None and not one.cached for one in result.steps):
        facts["run_by"] = f"RUN by {outcome.mounter} and {outcome.runner}"
    return facts


def _result_to_json(result: BuildResult) -> JsonObject:
    return {
        "image": result.image.id.hex,
        "manifest": str(result.manifest),
        "warnings": list(result.warnings),
        "steps": [_step_to_json(step) for step in result.steps],
        "seconds": result.seconds,
    }


def _result_from_json(value: JsonObject, plan: BuildPlan, images: ImageStore) -> BuildResult | None:
    image = images.find(value["image"])
    if image is None:
        return None
    steps = tuple(_step_from_json(one, step) for one, step in zip(value["steps"], plan.steps, strict=True))
    return BuildResult(image, Digest.parse(value["manifest"]), steps, tuple(value["warnings"]), value["seconds"])


def _step_to_json(result: StepFinished) -> JsonObject:
    layer = {"diff_id": str(result.layer.diff_id), "size": result.layer.size} if result.layer is not None else None
    return {"layer": layer, "cached": result.cached, "why_missed": result.why_missed, "seconds": result.seconds}


def _step_from_json(value: JsonObject, step: Step) -> StepFinished:
    made = value["layer"]
    instruction = step.instruction
    layer = Layer(Digest.parse(made["diff_id"]), made["size"], instruction.keyword, instruction.value) if made else None
    return StepFinished(step, layer, value["cached"], value["why_missed"], value["seconds"])


def _error_to_json(error: KubeimageError) -> JsonObject:
    return {
        "type": type(error).__name__,
        "diagnostics": [_diagnostic_to_json(diagnostic) for diagnostic in error.diagnostics],
        "status": getattr(error, "status", None),
        "output": getattr(error, "output", ""),
    }


def _error_from_json(value: JsonObject) -> KubeimageError:
    kind = getattr(errors, value["type"], KubeimageError)
    diagnostics = [_diagnostic_from_json(one) for one in value["diagnostics"]]
    if kind is errors.KubefileError:
        return errors.KubefileError(diagnostics)
    first = diagnostics[0]
    more: Mapping[str, Any] = (
        {"status": value["status"], "output": value["output"]} if issubclass(kind, errors.CommandError) else {}
    )
    error: KubeimageError = kind(first.message, hint=first.hint, location=first.location, **more)
    return error


def _diagnostic_to_json(diagnostic: Diagnostic) -> JsonObject:
    place = diagnostic.location
    return {**diagnostic._asdict(), "location": place._asdict() if place is not None else None}


def _diagnostic_from_json(value: JsonObject) -> Diagnostic:
    location = Location(**value["location"]) if value["location"] is not None else None
    return Diagnostic(value["code"], value["message"], location, value["hint"], value["severity"])
