"""What a client says to have a person move from one pose to another: a flow of those of jobs and of batches."""

import random
from collections.abc import Mapping
from typing import Any

from xmdpt_client import calls
from xmdpt_client.batch_conversation import BatchConversation, BatchReading, OnPrepared
from xmdpt_client.calls import Options
from xmdpt_client.conversation import Conversation
from xmdpt_client.exchanges import Flow, Work
from xmdpt_client.inputs import Matrix, NewPose, Source
from xmdpt_client.values import BatchResult, Picture

_SEED_BITS = 53


def seed_of_a_strip(options: Options) -> int:
    """One for all pictures: the one that is asked for, else one that the key decides if there is a key."""
    seed = options.get("seed")
    return random.Random(options.get("idempotency_key")).getrandbits(_SEED_BITS) if seed is None else seed


def place_in_strip(result: BatchResult) -> int:
    """Which of the poses an item of a strip's batch has, from 0."""
    return int(result.custom_id.rpartition("p")[2])


class StripConversation:
    """The calls about strips.

    Args:
        jobs: for the poses.
        batches: for the pictures.
        max_retries: how often a stream of results may break in a row.
    """

    def __init__(self, jobs: Conversation, batches: BatchConversation, max_retries: int) -> None:
        self._jobs, self._batches, self._max_retries = jobs, batches, max_retries

    def make(
        self,
        source: Source,
        start: NewPose,
        end: NewPose,
        count: int,
        options: Options,
        on_progress: OnPrepared | None,
    ) -> Flow[tuple[Picture, ...]]:
        """Ask for the poses, then for a picture of each, and fetch them once all have ended."""
        if options.get("num_images") not in (None, 1):
            raise ValueError("a strip has one picture of each pose: leave num_images out")
        call = yield Work(lambda: calls.poses_between(start, end, count))
        poses: tuple[Mapping[str, Any], ...] = yield from self._jobs.poses_between(call)
        with_seed: Options = {**options, "seed": seed_of_a_strip(options)}
        batch = yield from self._batches.submit(Matrix([source], poses), with_seed, None)
        reading = BatchReading(self._max_retries, batch.id, 0)
        ended: dict[int, BatchResult] = {}
        while (result := (yield from reading.next())) is not None:
            ended[place_in_strip(result)] = result
            if on_progress:
                on_progress(len(ended), len(poses))
        pictures: list[Picture] = []
        for place in range(len(poses)):
            pictures.append((yield from self._batches.picture(ended[place], 0)))
        return tuple(pictures)
