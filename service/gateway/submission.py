"""What a client hands in, checked and decoded, and what follows from it: the request, and the call's fingerprint.

It neither checks values (`service.api.schemas`) nor talks to the queue (`service.gateway.jobs`).
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from service.domain.digest import content_digest
from service.domain.job import DEFAULT_RETENTION_SECONDS, MAX_DEADLINE_SECONDS, Priority
from service.domain.pose import KeyPoints
from service.domain.request import MAX_SEED, GenerationRequest, OutputOptions, Sampler, SamplingParams
from service.domain.stored_form import LATER, stored_form
from service.domain.webhook import Webhook
from xmdpt.presets import Preset


@dataclass(frozen=True)
class JobOptions:
    """Everything that a client chooses but the two pictures.

    Attributes:
        model: a variant's name, None for the served one.
        seed: None to have one drawn.
        num_images: 1 .. 8; picture i is drawn from seed + i, which must stay within the range of seeds.
        num_steps: see `SamplingParams`; likewise guidance, sampler and preset.
        output: how to write the picture.
        priority: its class.
        deadline_seconds: from acceptance, 0.1 .. 86,400.
        retention_seconds: from the end, 60 .. 86,400.
        metadata: the client's own notes: at most 16 keys of 1-40 characters, texts of at most 500.
        webhook: who is to be told of the job, if anybody; its address is still to be checked.
    """

    model: str | None
    seed: int | None
    num_steps: int
    guidance: float
    sampler: Sampler
    output: OutputOptions
    priority: Priority = Priority.INTERACTIVE
    deadline_seconds: float = MAX_DEADLINE_SECONDS
    retention_seconds: float = DEFAULT_RETENTION_SECONDS
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    webhook: Webhook | None = None
    num_images: int = 1
    preset: Preset = field(default=Preset.EXACT, metadata=LATER)


@dataclass(frozen=True)
class Submission:
    """A checked request with its pixels.

    Attributes:
        photo: uint8 [256,256,3] RGB as bytes; skeleton likewise.
        options: the rest of it.
        found_pose: what was found in a photo, if the pose was given by one.
    """

    photo: bytes
    skeleton: bytes
    options: JobOptions
    found_pose: KeyPoints | None = None

    def request(self, model: str) -> GenerationRequest:
        """What is asked of this model; an absent seed is drawn, a new one each time."""
        options = self.options
        num_seeds = MAX_SEED + 2 - options.num_images
        seed = secrets.randbelow(num_seeds) if options.seed is None else options.seed
        return GenerationRequest(
            model=model,
            params=SamplingParams(seed, options.num_steps, options.guidance, options.sampler, options.preset),
            output=options.output,
            source_digest=content_digest(self.photo),
            pose_digest=content_digest(self.skeleton),
            metadata=options.metadata,
            num_images=options.num_images,
            found_pose=self.found_pose,
        )

    def fingerprint(self, request: GenerationRequest) -> str:
        """64 hex digits over everything that decides the answer to `request`; a drawn seed counts as an absent one."""
        content = stored_form(request)
        content["params"]["seed"] = self.options.seed
        # The skeleton that was drawn from it counts already.
        del content["found_pose"]
        content |= {
            "priority": self.options.priority,
            "deadline_seconds": self.options.deadline_seconds,
            "retention_seconds": self.options.retention_seconds,
        }
        if self.options.webhook:
            content["webhook"] = stored_form(self.options.webhook)
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
