"""The promises hold on the library as it is, and each is broken by a library with one thing left out."""

import pytest
import redis

from tests.contract.queue_checks import CHECKS
from tests.fakes.queue_lab import QueueLab

# what is broken: the check that must notice, the text of the library, what stands there instead
MUTANTS = {
    "no fence check": (
        "only_the_current_fence_ends_a_job",
        "if job.state ~= 'running' or job.fence ~= fence then",
        "if job.state ~= 'running' then",
    ),
    "no state check": (
        "only_the_current_fence_ends_a_job",
        "if job.state ~= 'running' or job.fence ~= fence then",
        "if false then",
    ),
    "heartbeat without fence": (
        "only_the_current_fence_ends_a_job",
        "if job.state == 'running' and job.fence == fence then",
        "if job.state == 'running' then",
    ),
    "already for anybody": (
        "only_the_current_fence_ends_a_job",
        "if job.last_fence == fence and",
        "if job.last_fence and",
    ),
    "bound not checked": ("bound_holds", ">= max_live then", ">= max_live + 1 then"),
    "live never falls": ("bound_holds", "redis.call('HINCRBY', p .. 'live', '*', -1)", ""),
    "end without event": ("every_change_has_its_event", "emit(p, now, job.id, 'job.' .. state)", ""),
    "start without event": ("every_change_has_its_event", "emit(p, now, job.id, 'job.started')", ""),
    "place in line lost": (
        "place_in_line_is_kept",
        "redis.call('ZADD', p .. READY, job.seq, job.id)",
        "redis.call('ZADD', p .. READY, redis.call('INCR', p .. 'seq'), job.id)",
    ),
    "no back-off": ("retries_are_delayed_and_counted", "text(now + delay_ms * 2 ^ (failures - 1))", "text(now)"),
    "failures not counted": ("retries_are_delayed_and_counted", "job.failures + 1", "1"),
    "release counts": ("release_takes_the_delivery_back", "job.deliveries - 1", "job.deliveries"),
    "deliveries unbounded": (
        "poison_ends_after_its_deliveries",
        "if tonumber(job.deliveries) >= max_deliveries then",
        "if false then",
    ),
    "suspects not alone": ("a_suspect_runs_alone", "redis.call('HEXISTS', p .. 'alone', worker) == 1", "false"),
    "suspects among the others": ("a_suspect_runs_alone", "  job.suspect = '1'\n", ""),
    "no hold": ("a_waiting_suspect_empties_one_worker", "<= SUSPECT_PATIENCE_MS", "<= 1e15"),
    "every worker held": (
        "a_waiting_suspect_empties_one_worker",
        "if holder[1] and holder[1] ~= worker and",
        "if false and",
    ),
    "stall not noticed": (
        "a_stalled_job_is_lost",
        "if has_moved or now - job.moved_ms <= stall_ms then",
        "if true then",
    ),
    "lease never runs out": (
        "poison_ends_after_its_deliveries",
        "if last and math.abs(now - last) <=",
        "if false and 0 <=",
    ),
    "outage not forgiven": (
        "an_outage_is_forgiven",
        "if last and math.abs(now - last) <= lease_ms / 2 then",
        "if true then",
    ),
    "record goes with the pictures": ("pictures_go_first_and_the_record_later", "if job.expired then", "if true then"),
    "outbox trimmed by length": (
        "the_outbox_is_trimmed_by_age",
        "'MINID', text(now - EVENTS_KEPT_MS)",
        "'MAXLEN', 1",
    ),
}


@pytest.mark.parametrize("check", CHECKS)
def test_queue_when_used_then_keeps_its_promise(lab: QueueLab, check: str) -> None:
    CHECKS[check](lab)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_queue_when_one_thing_is_left_out_then_a_check_notices(client: redis.Redis, mutant: str) -> None:
    check, text, replacement = MUTANTS[mutant]
    lab = QueueLab(client, text, replacement)
    with pytest.raises((AssertionError, KeyError)):
        CHECKS[check](lab)
