"""The checker's part for webhooks: every delivery stands where it should, and the receivers' turns are right."""

from typing import Any

MAX_PER_HOST = 4
Zset = dict[str, float]


def check_hooks(client: Any, prefix: str, jobs: dict[str, dict[str, str]]) -> None:
    """Of each job the first delivery waits or is being tried; the others are only listed; there are no others."""

    def zset(name: str) -> Zset:
        return dict(client.zrange(f"{prefix}{name}", 0, -1, withscores=True))

    def names(kind: str) -> set[str]:
        return {key.removeprefix(f"{prefix}{kind}:") for key in client.scan_iter(f"{prefix}{kind}:*")}

    lists = {owner: client.lrange(f"{prefix}hooks_of:{owner}", 0, -1) for owner in names("hooks_of")}
    assert {owner.removeprefix("job:") for owner in lists} <= set(jobs), "deliveries of nobody"
    listed = [message for messages in lists.values() for message in messages]
    assert sorted(listed) == sorted(names("hook")), "each delivery is listed once"
    hosts = names("hooks_due") | names("hooks_sent")
    due, sent = ({host: zset(f"{kind}:{host}") for host in hosts} for kind in ("hooks_due", "hooks_sent"))
    placed = {message: host for host in hosts for message in (*due[host], *sent[host])}
    assert sum(len(due[host]) + len(sent[host]) for host in hosts) == len(placed), "due and sent at once"
    assert set(placed) == {messages[0] for messages in lists.values()}
    for message, host in placed.items():
        hook = client.hgetall(f"{prefix}hook:{message}")
        assert hook["host"] == host
        assert "hook" in jobs[hook["owner"].removeprefix("job:")], "its job's hook is disabled"
    assert zset("hooks") == {host: _next_turn(due[host], sent[host]) for host in hosts}


def _next_turn(due: Zset, sent: Zset) -> float:
    assert len(sent) <= MAX_PER_HOST
    return min((*sent.values(), *(due.values() if len(sent) < MAX_PER_HOST else ())))
