"""The queue and everything that must not be lost: leases, batches, webhooks, disk."""

from deploy.grafana.panels import Json, Query, Section, board, quantiles, rate_by, series, stat

_NOW = Section(
    "Now",
    6,
    [
        stat(
            "Interactive jobs waiting",
            "Jobs of the class interactive that no worker has taken yet.",
            "short",
            Query('max(xmdpt_queue_depth{priority="interactive"})', "waiting"),
        ),
        stat(
            "Batch jobs waiting",
            "Jobs of the class batch that no worker has taken yet; batches feed a part of their items at a time.",
            "short",
            Query('max(xmdpt_queue_depth{priority="batch"})', "waiting"),
        ),
        stat("Running", "Jobs that some worker holds.", "short", Query("max(xmdpt_jobs_running)", "running")),
        stat(
            "Dead letters",
            "Jobs that were given up after too many deliveries, as long as their records are kept (a week).",
            "short",
            Query("max(xmdpt_dead_letters)", "jobs"),
            red_from=1,
        ),
        stat(
            "Books that disagree",
            "Findings of the queue's auditor since the gateways' start; there must be none.",
            "short",
            Query("sum(xmdpt_queue_invariant_violations_total)", "findings"),
            red_from=1,
        ),
        stat(
            "Disk free",
            "Of the picture store, where it is least.",
            "percentunit",
            Query("min(xmdpt_storage_free_bytes / xmdpt_storage_size_bytes)", "free"),
        ),
    ],
)
_WAITING = Section(
    "Waiting",
    2,
    [
        series(
            "Depth",
            "Jobs that wait, by class, beside those that run and the slots of the workers.",
            "short",
            Query("max by (priority) (xmdpt_queue_depth)", "waiting, {{priority}}"),
            Query("max(xmdpt_jobs_running)", "running"),
            Query("sum(xmdpt_step_slots)", "slots"),
        ),
        series(
            "Oldest wait",
            "How long the oldest job of each class has waited; workers are scaled by it.",
            "s",
            Query("max by (priority) (xmdpt_queue_oldest_wait_seconds)", "{{priority}}"),
        ),
        quantiles("Queue wait", "From acceptance to claim, by class.", "xmdpt_queue_wait_seconds", ["priority"]),
        quantiles(
            "Error of forecasts",
            "Between the p50 that a job was forecast at its submission and what it took.",
            "xmdpt_eta_error_seconds",
        ),
    ],
)
_CALLS = Section(
    "The queue's server",
    2,
    [
        series(
            "Calls, p99",
            "Of each function, with the network and the wait for a connection.",
            "s",
            Query(
                "histogram_quantile(0.99, sum by (function, le) "
                "(rate(xmdpt_queue_call_duration_seconds_bucket[$__rate_interval])))",
                "{{function}}",
            ),
        ),
        series(
            "Calls",
            "Calls of each function a second.",
            "ops",
            rate_by("function", "xmdpt_queue_call_duration_seconds_count"),
            is_stacked=True,
        ),
        series(
            "Calls that failed",
            "Of the queue and of the picture store, by process; anything that lasts is an alert.",
            "ops",
            Query("sum by (job) (rate(xmdpt_redis_errors_total[$__rate_interval]))", "queue, {{job}}"),
            Query("sum by (job) (rate(xmdpt_storage_errors_total[$__rate_interval]))", "store, {{job}}"),
        ),
        series(
            "Books that disagree, by kind",
            "Findings of the auditor, each counted in every round that finds it.",
            "ops",
            rate_by("kind", "xmdpt_queue_invariant_violations_total"),
        ),
    ],
)
_DELIVERY = Section(
    "Leases and ends",
    2,
    [
        series(
            "Leases",
            "Claims, jobs dropped as their lease had ended, and jobs that are given to a worker alone after that.",
            "ops",
            Query("sum(rate(xmdpt_job_deliveries_total[$__rate_interval]))", "claims"),
            Query("sum(rate(xmdpt_lease_lost_total[$__rate_interval]))", "leases lost"),
            Query("sum(rate(xmdpt_suspects_total[$__rate_interval]))", "suspects"),
        ),
        series(
            "Ends",
            "By the queue's own count. attempts_exhausted: given up after too many deliveries.",
            "ops",
            Query("max by (outcome) (rate(xmdpt_jobs_ended_total[$__rate_interval]))", "{{outcome}}"),
            Query("max(rate(xmdpt_deadline_missed_total[$__rate_interval]))", "late"),
        ),
        series(
            "Answers to a finish",
            "fenced and gone: the job was no longer the worker's, and its picture is deleted unseen.",
            "ops",
            rate_by("verdict", "xmdpt_finish_total"),
        ),
        series(
            "Cancels and repeats",
            "Cancels by what the job was doing; submissions that found their key's first job.",
            "ops",
            Query("sum by (when) (rate(xmdpt_cancelled_total[$__rate_interval]))", "cancelled {{when}}"),
            Query("sum(rate(xmdpt_idempotent_replays_total[$__rate_interval]))", "repeats"),
        ),
    ],
)
_BATCHES = Section(
    "Batches, webhooks, events",
    2,
    [
        series(
            "Open batches",
            "Batches that have not ended, and their items that have not.",
            "short",
            Query("max(xmdpt_batches_open)", "batches"),
            Query("max(xmdpt_batch_items_left)", "items left"),
        ),
        series(
            "Pause of the slowest batch",
            "How long ago an item of it has ended. Half an hour is an alert.",
            "s",
            Query("max(xmdpt_batch_pause_seconds)", "pause"),
        ),
        series(
            "Webhooks",
            "Tries by outcome: retried ones come again after a growing pause, given_up ones do not.",
            "ops",
            rate_by("outcome", "xmdpt_webhook_deliveries_total"),
            is_stacked=True,
        ),
        series(
            "Webhooks that were not sent",
            "As the receiver's name led to an address that is not public.",
            "ops",
            Query("sum(rate(xmdpt_webhook_blocked_total[$__rate_interval]))", "blocked"),
        ),
        series(
            "Clients that follow events",
            "Open event streams of all gateways.",
            "short",
            Query("sum(xmdpt_sse_clients)", "streams"),
        ),
        series(
            "Picture decoders that died",
            "Over a picture that broke them, or took too long.",
            "ops",
            Query("sum(rate(xmdpt_decoder_crashes_total[$__rate_interval]))", "crashes"),
        ),
    ],
)


def queue() -> Json:
    """The dashboard."""
    return board(
        "xmdpt-queue",
        "X-MDPT: queue and reliability",
        "What waits, what is delivered twice, what was given up; batches, webhooks, the disk.",
        [_NOW, _WAITING, _CALLS, _DELIVERY, _BATCHES],
    )
