"""The promises hold on the library as it is, and each is broken by a library with one thing left out."""

import pytest
import redis

from tests.contract import (
    queue_archive_checks,
    queue_batch_checks,
    queue_checks,
    queue_hook_checks,
    queue_intake_checks,
    queue_line_checks,
    queue_version_checks,
    queue_wish_checks,
)
from tests.contract.queue_mutants import MUTANTS
from tests.fakes.queue_lab import QueueLab

MODULES = (
    queue_archive_checks,
    queue_batch_checks,
    queue_checks,
    queue_hook_checks,
    queue_intake_checks,
    queue_line_checks,
    queue_version_checks,
    queue_wish_checks,
)
CHECKS = {
    name.removeprefix("check_"): check
    for module in MODULES
    for name, check in vars(module).items()
    if name.startswith("check_")
}


@pytest.mark.parametrize("check", CHECKS)
def test_queue_when_used_then_keeps_its_promise(lab: QueueLab, check: str) -> None:
    CHECKS[check](lab)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_queue_when_one_thing_is_left_out_then_a_check_notices(client: redis.Redis, mutant: str) -> None:
    check, text, replacement = MUTANTS[mutant]
    lab = QueueLab(client, text, replacement)
    with pytest.raises((AssertionError, KeyError, redis.ResponseError)):
        CHECKS[check](lab)
