"""What a model of client and fake knows of each provider, written down once more and not read from its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from understudy.lifecycle import State, Step

ENDED = {State.SUCCEEDED, State.FAILED, State.CANCELLED}


@dataclass(frozen=True)
class Provided:
    """What the model knows of a provider, written down once more and not read from its contract.

    Attributes:
        choices: Model, input and what that costs.
        balance: What accounts start with.
        timeline: The usual steps.
        errors: Named error → what a create comes to; `later` is refused once, and accepted when it is repeated.
        failures: Each of which pays back everything.
        callbacks: The pauses before a callback is sent again; None where there are no callbacks.
        reads, cancels: The operation that tells how a job is, and the one that stops it, if any.
        link_seconds: How long a result can be fetched.
        hidden_seconds: How long a job may be hidden from its reader.
        called_back: The ends that a callback tells of.
    """

    choices: Sequence[tuple[str, dict[str, Any], str]]
    balance: str
    timeline: tuple[Step, ...]
    errors: dict[str, str]
    failures: tuple[str, ...]
    callbacks: tuple[float, ...] | None
    reads: str
    link_seconds: float
    hidden_seconds: float = 0
    cancels: str = ""
    called_back: frozenset[State] = frozenset(ENDED)


def steps(queued: float, running: float) -> tuple[Step, ...]:
    return Step(State.QUEUED, seconds=queued), Step(State.RUNNING, seconds=running), Step(State.SUCCEEDED)


PROMPT = {"prompt": "a lighthouse"}
PROVIDED = {
    "kie": Provided(
        choices=(("nano-banana-pro", PROMPT, "18"), ("google/nano-banana", PROMPT, "4")),
        balance="60",
        timeline=(Step(State.QUEUED, seconds=1), *steps(2, 12)),
        errors={
            "rateLimited": "later",
            "serverError": "unknown",
            "keyLimit": "refused",
            "featureDisabledWithTask": "accepted",
        },
        failures=("content-policy", "upstream-error"),
        callbacks=(60, 300, 900),
        reads="recordInfo",
        link_seconds=86400,
        hidden_seconds=5,
    ),
    "shortapi": Provided(
        choices=(
            ("google/nano-banana-2/text-to-image", {**PROMPT, "aspect_ratio": "1:1"}, "0.04"),
            ("google/nano-banana-pro/text-to-image", {**PROMPT, "aspect_ratio": "16:9"}, "0.08"),
        ),
        balance="0.3",
        timeline=steps(3, 12),
        errors={"rateLimited": "later", "serverError": "unknown", "unsupportedKind": "refused"},
        failures=("content-policy", "generation-failed"),
        callbacks=(),
        reads="queryJob",
        link_seconds=86400,
    ),
    "oxen": Provided(
        choices=(("nano-banana", PROMPT, "0.05"), ("google-nano-banana-pro", {**PROMPT, "resolution": "1K"}, "0.15")),
        balance="0.5",
        timeline=steps(2, 10),
        errors={"rateLimited": "later", "serverError": "unknown", "invalidFile": "refused"},
        failures=("content-policy", "model-error"),
        callbacks=None,
        reads="getGeneration",
        link_seconds=3600,
        cancels="cancelGeneration",
    ),
    "replicate": Provided(
        choices=(("black-forest-labs/flux-schnell", {**PROMPT, "output_format": "png"}, "0.003"),) * 2,
        balance="0.02",
        timeline=steps(1, 6),
        errors={
            "rateLimited": "later",
            "serverError": "unknown",
            "serviceUnavailable": "unknown",
            "credits": "refused",
        },
        failures=("model-error", "interrupted"),
        callbacks=None,  # there are, and they tell of the start, too
        reads="predictions.get",
        link_seconds=3600,
        cancels="predictions.cancel",
    ),
    "fal": Provided(
        choices=(
            ("fal-ai/flux/schnell", {**PROMPT, "output_format": "png"}, "0.003"),
            ("fal-ai/nano-banana-pro", PROMPT, "0.15"),
        ),
        balance="0.5",
        timeline=steps(1, 4),
        errors={
            "rateLimited": "later",
            "serverError": "unknown",
            "serviceUnavailable": "unknown",
            "credits": "refused",
        },
        failures=("generation-timeout", "runner-disconnected"),
        callbacks=(15, 30, 60, 120, 240, 480, 960, 1440, 1800, 2055),
        reads="status",
        link_seconds=604800,
        cancels="cancel",
        called_back=frozenset({State.SUCCEEDED, State.FAILED}),
    ),
}
