"""What clients will want, from a seed: mostly ordinary jobs, and each kind of trouble in its share.

Placing the orders is `tests.chaos.clients`'.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tests.chaos.history import Wish
from tests.chaos.pictures import NUM_PHOTOS, NUM_POSES

_FIRST_POISON_PHOTO = 1000


@dataclass(frozen=True)
class Traffic:
    """How much comes, and of what.

    Attributes:
        jobs_per_second: on average; arrivals are random.
        sure_poison: photos that kill, by the number of the wish: early, because giving up one that hangs takes long.
        doubled: share of all wishes that are submitted twice under one key; likewise the other shares.
    """

    jobs_per_second: float = 11.0
    doubled: float = 0.14
    cancelled: float = 0.25
    deadlined: float = 0.06
    poisoned: float = 0.0015
    waiting: float = 0.3
    batch: float = 0.25
    lossy: float = 0.1
    min_steps: int = 2
    max_steps: int = 12
    sure_poison: Mapping[int, str] = field(default_factory=lambda: {10: "crash", 20: "hang"})


def wishes(seed: int, traffic: Traffic) -> Iterator[tuple[float, Wish]]:
    """Pauses in seconds and the wish that comes after each, without end."""
    rng = random.Random(f"wishes {seed}")
    number = 0
    while True:
        number += 1
        yield rng.expovariate(traffic.jobs_per_second), _wish(rng, traffic, seed, number)


def _wish(rng: random.Random, traffic: Traffic, seed: int, number: int) -> Wish:
    def happens(share: float) -> bool:
        return rng.random() < share

    poison = rng.choice(("crash", "hang")) if happens(traffic.poisoned) else traffic.sure_poison.get(number, "")
    doubling = rng.choice(("at once", "at once", "cut", "cut", "later", "changed")) if happens(traffic.doubled) else ""
    is_cancelled = not poison and happens(traffic.cancelled)
    has_deadline = not poison and not is_cancelled and happens(traffic.deadlined)
    return Wish(
        seed=seed * 10**7 + number,
        num_steps=rng.randint(traffic.min_steps, traffic.max_steps),
        photo=_FIRST_POISON_PHOTO + number if poison else rng.randrange(NUM_PHOTOS),
        pose=rng.randrange(NUM_POSES),
        format=rng.choice(("jpeg", "webp")) if happens(traffic.lossy) else "png",
        priority="batch" if happens(traffic.batch) else "interactive",
        deadline_seconds=round(rng.uniform(0.1, 2.0), 3) if has_deadline else None,
        poison=poison,
        key=f"chaos-{seed}-{number}" if doubling or happens(0.5) else "",
        doubling=doubling,
        cancel=rng.choice(("any moment", "near the end", "near the end", "near the end")) if is_cancelled else "",
        is_waiting=not poison and not is_cancelled and happens(traffic.waiting),
    )
