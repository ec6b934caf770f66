"""What was found in a photo comes back as it was, for a day; whatever is damaged, absent or away is not there."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis

from service.adapters.redis_findings import RedisFindings
from service.adapters.redis_keys import RedisKeys
from service.domain.person import Finding, Frame, PersonInPhoto, UnsuitablePhoto
from service.domain.pose import KeyPoints
from tests.fakes.redis_process import RedisProcess

KEY = "ab" * 32
DAY_SECONDS = 86_400
POINTS = (*(((10.5 * i, 7.25 * i) if i % 5 else None) for i in range(18)),)
PERSON = PersonInPhoto(KeyPoints(POINTS, (600.0, 800.0)), Frame(-12.5, 3.0, 550.0, 800.0))
NOBODY = UnsuitablePhoto("no_person", 'must show a person; "nobody" was found')


@pytest.fixture
def findings(server: RedisProcess, client: redis.Redis) -> Iterator[RedisFindings]:
    client.flushall()
    with closing(RedisFindings(server.url, RedisKeys())) as findings:
        yield findings


@pytest.mark.parametrize("finding", [PERSON, NOBODY], ids=["person", "nobody"])
def test_finding_when_put_then_every_gateway_gets_it_for_a_day(
    findings: RedisFindings, server: RedisProcess, client: redis.Redis, finding: Finding
) -> None:
    findings.put(KEY, finding)

    with closing(RedisFindings(server.url, RedisKeys())) as another:
        assert another.get(KEY) == finding
    assert DAY_SECONDS - 60 <= client.ttl(RedisKeys().finding(KEY)) <= DAY_SECONDS  # pyright: ignore[reportOperatorIssue]


def test_finding_when_none_was_put_then_none(findings: RedisFindings) -> None:
    findings.put(KEY, PERSON)

    assert findings.get("cd" * 32) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "17",
        "{}",
        '{"code":"internal_error","detail":"x"}',
        '{"code":["no_person"],"detail":"x"}',
        '{"code":"no_person"}',
        '{"points":[],"size":[600,800],"frame":[0,0,1,1]}',
        '{"points":[[1,2],[9,9],[40,40],' + ",".join(["null"] * 15) + '],"size":[0,0],"frame":[0,0,9,9]}',
        '{"points":[[1,2],[9,9],[40,40],' + ",".join(["null"] * 15) + '],"size":[50,50],"frame":[0,0,0,0]}',
        '{"points":[[1,2],[9,9],[40,40],' + ",".join(["null"] * 15) + '],"size":[50,50],"frame":[0,0,NaN,9]}',
        '{"points":[[1,2],[9,9],[40,40],' + ",".join(["null"] * 15) + '],"size":[50,50],"frame":[0,0]}',
        '{"points":[[1,2],[9,9],[40,"x"],' + ",".join(["null"] * 15) + '],"size":[50,50],"frame":[0,0,50,50]}',
    ],
)
def test_finding_when_damaged_then_not_there_and_replaced(
    findings: RedisFindings, client: redis.Redis, text: str
) -> None:
    client.set(RedisKeys().finding(KEY), text)

    assert findings.get(KEY) is None
    findings.put(KEY, PERSON)
    assert findings.get(KEY) == PERSON


def test_finding_when_the_server_is_full_then_not_kept(findings: RedisFindings, client: redis.Redis) -> None:
    client.config_set("maxmemory", "1")
    try:
        findings.put(KEY, PERSON)
        assert findings.get(KEY) is None
    finally:
        client.config_set("maxmemory", "0")


def test_finding_when_the_server_is_away_then_nobody_notices(tmp_path: Path) -> None:
    with closing(RedisFindings(f"unix://{tmp_path}/nobody", RedisKeys())) as findings:
        findings.put(KEY, PERSON)

        assert findings.get(KEY) is None
