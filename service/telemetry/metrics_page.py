"""Every metric as a page: `python -m service.telemetry.metrics_page > docs/metrics.md`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from service.domain.job import Priority
from service.domain.stage import Stage
from service.ports.audit import InvariantKind
from service.ports.queue import FinishVerdict, JobEnd, ReleaseVerdict
from service.telemetry.metrics import LEAVING, GatewayMetrics, WebhookOutcome, WorkerMetrics

_HEAD = """# Metrics

<!-- Written by `make docs` from `service/telemetry/metrics.py`: change that, not this. -->

A gateway serves these at `/metrics` of its own port (8080), a worker at `/metrics` of its operators' port (8082), in
Prometheus' text format. Times are seconds, sizes bytes; no label holds a tenant, an id or anything else that a client
wrote. A histogram has the usual `_bucket`, `_sum` and `_count`.

Each gateway reports the figures of the same queue (`xmdpt_queue_*`, `xmdpt_jobs_running`, `xmdpt_jobs_ended_total`,
`xmdpt_deadline_missed_total`, `xmdpt_dead_letters`, `xmdpt_workers_live`, `xmdpt_batch*`): take their `max`, not their
`sum`. What is alerted on, and the dashboards: [operations](operations.md).

| Metric | Type | Labels | Process | Meaning |
|---|---|---|---|---|
"""
_LABELS_HEAD = """
## Values of labels

| Label | Of | Values |
|---|---|---|
"""
# Those that are sets in the code; the others are words that the meaning above explains.
_LABELS = (
    ("priority", "all", tuple(Priority)),
    ("stage", "all", (*Stage, "decode_input", "encode_output", "pose_photo")),
    ("state", "`xmdpt_jobs_total`", LEAVING),
    ("outcome", "`xmdpt_job_duration_seconds`", LEAVING),
    ("outcome", "`xmdpt_jobs_ended_total`", get_args(JobEnd)),
    ("outcome", "`xmdpt_webhook_deliveries_total`", get_args(WebhookOutcome)),
    ("verdict", "`xmdpt_finish_total`", tuple(dict.fromkeys((*get_args(FinishVerdict), *get_args(ReleaseVerdict))))),
    ("kind", "`xmdpt_queue_invariant_violations_total`", get_args(InvariantKind)),
)
_LABELS_TAIL = """
`code` of requests is the status of HTTP, and 499 where the client left before its answer; of refused inputs it is the
code of the problem ([errors](errors.md)). `route` is the path as [the API](api.md) writes it, and `none` where there is
none.
"""


@dataclass(frozen=True)
class Instrument:
    """One metric.

    Attributes:
        name: with the prefix; a counter's with `_total`.
        kind: counter, gauge or histogram.
        labels: their names.
        roles: the processes that have it.
        meaning: its help text.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    roles: Sequence[str]
    meaning: str


def instruments() -> Sequence[Instrument]:
    """All of them, by name."""
    found: dict[str, Instrument] = {}
    for role, metrics in (("gateway", GatewayMetrics("")), ("worker", WorkerMetrics(""))):
        for each in _of(role, metrics):
            known = found.get(each.name)
            found[each.name] = replace(each, roles=(*known.roles, role)) if known else each
    return sorted(found.values(), key=lambda each: each.name)


def page() -> str:
    """The whole page."""
    metrics = "".join(
        f"| `{each.name}` | {each.kind} | {_quoted(each.labels)} | {', '.join(each.roles)} | {each.meaning} |\n"
        for each in instruments()
    )
    labels = "".join(f"| `{label}` | {whose} | {_quoted(values)} |\n" for label, whose, values in _LABELS)
    return _HEAD + metrics + _LABELS_HEAD + labels + _LABELS_TAIL


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _of(role: str, metrics: GatewayMetrics | WorkerMetrics) -> Iterator[Instrument]:
    for value in vars(metrics).values():
        if not hasattr(value, "describe"):
            continue
        (family,) = value.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        # The library tells the names of labels only with their values, which many have none of yet.
        yield Instrument(name, family.type, tuple(value._labelnames), (role,), family.documentation)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - a command's output
