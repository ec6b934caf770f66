"""Latency and objectives: what a person on call looks at first."""

from deploy.grafana.panels import Json, Query, Section, at_least_one, board, quantiles, rate_by, series, stat

_CLIENTS = '{route!~"/(metrics|livez|readyz|healthz)"}'
_WAITING_CALLS = '{route=~"(/v1)?/generate", code="200"}'
_WINDOWS = ("5m", "1h", "6h", "3d")

_NOW = Section(
    "Now",
    6,
    [
        at_least_one(
            "Workers up",
            "Workers that answered the last scrape. At none, jobs are accepted and wait.",
            Query('count(up{job="xmdpt-worker"} == 1) or vector(0)', "workers"),
        ),
        stat(
            "Not ready",
            "Gateways and workers whose readiness probe would fail.",
            "short",
            Query("count(xmdpt_ready == 0) or vector(0)", "processes"),
            red_from=1,
        ),
        stat(
            "Alerts",
            "Alerts of this product that fire now; each has a page in docs/runbooks.",
            "short",
            Query('count(ALERTS{alertname=~"Xmdpt.*", alertstate="firing"}) or vector(0)', "alerts"),
            red_from=1,
        ),
        stat(
            "Server errors",
            "Share of the requests that ended with a status of 5xx, over five minutes, probes left out.",
            "percentunit",
            Query("xmdpt:request_errors:ratio_rate5m", "5xx"),
            red_from=0.01,
        ),
        stat(
            "Oldest interactive wait",
            "How long the oldest interactive job has waited for a worker.",
            "s",
            Query('max(xmdpt_queue_oldest_wait_seconds{priority="interactive"})', "oldest"),
            red_from=60,
        ),
        stat(
            "Jobs in the slots",
            "Running jobs over all slots; above 1 if jobs have several pictures or wait for their delivery.",
            "percentunit",
            Query("max(xmdpt_jobs_running) / sum(xmdpt_step_slots)", "slots in use"),
        ),
    ],
)
_OBJECTIVES = Section(
    "Objectives: 99.9 % of the jobs end well, 95 % of the pictures within 10 s",
    2,
    [
        stat(
            "Jobs failed, three days",
            "Share of the accepted jobs that failed, were given up or missed their deadline. The objective is 0.1 %.",
            "percentunit",
            Query("xmdpt:slo_jobs_failed:ratio_rate3d", "failed"),
            red_from=0.001,
        ),
        stat(
            "Slow pictures, three days",
            "Share of the calls that waited for their picture, and got it after more than 10 s. The objective is 5 %.",
            "percentunit",
            Query("xmdpt:slo_calls_slow:ratio_rate3d", "slow"),
            red_from=0.05,
        ),
        series(
            "Jobs failed: how fast the budget burns",
            "1 uses up the month's budget in a month; 14.4 for an hour, or 6 for six hours, is an alert.",
            "short",
            *(Query(f"xmdpt:slo_jobs_failed:ratio_rate{window} / 0.001", window) for window in _WINDOWS),
        ),
        series(
            "Slow pictures: how fast the budget burns",
            "1 uses up the month's budget in a month; 14.4 for an hour, or 6 for six hours, is an alert.",
            "short",
            *(Query(f"xmdpt:slo_calls_slow:ratio_rate{window} / 0.05", window) for window in _WINDOWS),
        ),
    ],
)
_REQUESTS = Section(
    "Requests",
    2,
    [
        quantiles(
            "Photo and pose to picture",
            "Calls of /generate that waited and were answered with the picture.",
            "xmdpt_request_duration_seconds",
            where=_WAITING_CALLS,
        ),
        series(
            "Pictures and jobs",
            "Pictures delivered by model, and jobs by how they ended, each second.",
            "ops",
            Query("sum by (model) (rate(xmdpt_images_total[$__rate_interval]))", "pictures, {{model}}"),
            Query(
                "max by (outcome) (rate(xmdpt_jobs_ended_total[$__rate_interval]))",
                "jobs {{outcome}}",
            ),
        ),
        quantiles(
            "Latency by route",
            "From the first byte of the head to the last byte of the answer; event streams last as long as their jobs.",
            "xmdpt_request_duration_seconds",
            ["route"],
            _CLIENTS,
        ),
        series(
            "Requests by route and status",
            "499: the client left before the answer.",
            "reqps",
            Query(
                f"sum by (route, code) (rate(xmdpt_request_duration_seconds_count{_CLIENTS}[$__rate_interval]))",
                "{{code}} {{route}}",
            ),
            is_stacked=True,
        ),
    ],
)
_REFUSED = Section(
    "Refused",
    2,
    [
        series(
            "Refused inputs",
            "Requests refused for what they hold, by the code of the problem: docs/errors.md.",
            "ops",
            rate_by("code", "xmdpt_input_rejected_total"),
            is_stacked=True,
        ),
        series(
            "Refused for want of room",
            "full: the whole queue; quota: one tenant's share of it.",
            "ops",
            rate_by("reason", "xmdpt_admission_rejected_total"),
            is_stacked=True,
        ),
    ],
)


def overview() -> Json:
    """The dashboard."""
    return board(
        "xmdpt-overview",
        "X-MDPT: latency and objectives",
        "What callers get: latency, errors, refusals, and the objectives.",
        [_NOW, _OBJECTIVES, _REQUESTS, _REFUSED],
    )
