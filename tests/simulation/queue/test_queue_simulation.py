"""The real functions keep every promise, whoever acts, dies, hangs, comes back or isn't heard, in whatever order."""

import secrets
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.fakes.redis_process import RedisProcess
from tests.simulation.queue.episode import run_episode, simulation_server

# Some 50,000 in all; python -m tests.simulation.queue makes longer runs.
NUM_OPERATIONS = 5_500
FIXED_SEEDS = range(5)
NUM_FRESH = 2
# Faults that no walk has met prove nothing.
MET = (
    *("finish fenced", "finish already", "finish retry", "finish expired", "finish cancelled", "release queued"),
    *("cancel cancelling", "cancel notfound", "submit dup", "submit mismatch", "submit full", "submit quota"),
    *("settle ended", "settle retry", "settle disabled", "settle fenced", "settle gone"),
    *("erase erased", "erase erasing", "erase notfound", "error attempts_exhausted", "error deadline_exceeded"),
)
# what is broken: the text of the library, what stands there instead
MUTANTS = {
    "no fence check": (
        "if job.state ~= 'running' or job.fence ~= fence then",
        "if job.state ~= 'running' then",
    ),
    "heartbeat without fence": (
        "if job.state == 'running' and job.fence == args[i + 1] then",
        "if job.state == 'running' then",
    ),
    "cancel ignored at finish": ("local cause, verdict = cause_of(job, now), nil", "local cause, verdict = nil, nil"),
    "key forgotten": ("if digest ~= '' and known[1] then", "if false then"),
    "tenant not checked": ("job.tenant == tenant and ", ""),
    "end without event": ("emit(p, now, job.id, 'job.' .. state, not job.erase)", ""),
    "failures unbounded": ("if may_retry and failures < limits.failures and", "if may_retry and"),
    "erased and kept": ("job.erase and text(now) or expires", "expires"),
    "told in any order": (
        "if redis.call('RPUSH', p .. 'hooks_of:' .. owner, id) == 1 then",
        "if redis.call('RPUSH', p .. 'hooks_of:' .. owner, id) > 0 then",
    ),
    "told after erasure": (
        "  stop_hooks(p, 'job:' .. job.id)\n  if job.state ~= 'queued'",
        "  if job.state ~= 'queued'",
    ),
    "outbox trimmed before it is planned": ("text(min_ms)", "text(before_ms + 3600000)"),
    "the living buried": ("if owner and string.sub(owner, 1, #prefix) == prefix then", "if owner then"),
    "cost kept": ("count(p, 'cost:running', -job.cost)", ""),
}
MAX_MUTANT_WALKS = 5


@pytest.fixture(scope="module")
def server() -> Iterator[RedisProcess]:
    with simulation_server() as server:
        yield server


def test_queue_when_walked_through_then_every_promise_is_kept_under_every_fault(server: RedisProcess) -> None:
    summary: Counter[str] = Counter()
    for seed in FIXED_SEEDS:
        summary += run_episode(server, seed, NUM_OPERATIONS)

    assert [name for name in MET if not summary[name]] == []


@pytest.mark.parametrize("_", range(NUM_FRESH))
def test_queue_when_walked_through_as_never_before_then_every_promise_is_kept(server: RedisProcess, _: int) -> None:
    # A failure names its seed.
    run_episode(server, secrets.randbelow(1_000_000), NUM_OPERATIONS)


@pytest.mark.parametrize("mutant", MUTANTS)
def test_checker_when_the_library_is_broken_then_it_notices(server: RedisProcess, mutant: str) -> None:
    def walk() -> None:
        for seed in range(MAX_MUTANT_WALKS):
            run_episode(server, seed, NUM_OPERATIONS // 2, *MUTANTS[mutant])

    with pytest.raises(AssertionError):
        walk()
