"""The workers: what shares a step, and where the time goes."""

from deploy.grafana.panels import Json, Query, Section, board, quantiles, rate_by, series, stat

_ROWS = "xmdpt_step_batch_rows"
_MEAN_ROWS = f"sum(rate({_ROWS}_sum[$__rate_interval])) / sum(rate({_ROWS}_count[$__rate_interval]))"
_HITS = 'sum(rate(xmdpt_condition_cache_requests_total{result="hit"}[$__rate_interval]))'
_ALL_LOOKUPS = "sum(rate(xmdpt_condition_cache_requests_total[$__rate_interval]))"

_NOW = Section(
    "Now",
    6,
    [
        stat(
            "Slots",
            "Pictures that all workers together hold at most.",
            "short",
            Query("sum(xmdpt_step_slots)", "slots"),
        ),
        stat(
            "Occupancy",
            "Rows of the last step over the most that one may have, mean of the workers; 0 for those at rest.",
            "percentunit",
            Query("avg(xmdpt_step_batch_occupancy_ratio)", "occupancy"),
        ),
        stat("Rows, mean", "Rows that share a denoising step, on average.", "short", Query(_MEAN_ROWS, "rows")),
        stat(
            "Pictures",
            "Delivered each second by all workers.",
            "ops",
            Query("sum(rate(xmdpt_images_total[$__rate_interval]))", "pictures"),
        ),
        stat(
            "Vectors from the cache",
            "Source and pose vectors that no encoder had to make.",
            "percentunit",
            Query(f"{_HITS} / {_ALL_LOOKUPS}", "hits"),
        ),
        stat(
            "Deliveries of a job",
            "Claims over jobs that left; above 1 jobs are handed back, retried or lost.",
            "short",
            Query(
                "sum(rate(xmdpt_job_deliveries_total[$__rate_interval]))"
                ' / sum(rate(xmdpt_jobs_total{state=~"succeeded|failed|cancelled|expired"}[$__rate_interval]))',
                "deliveries",
            ),
        ),
    ],
)
_BATCHING = Section(
    "Batching",
    2,
    [
        series(
            "Occupancy by worker",
            "Rows of the last step over the most that one may have; 1 all the time, with a queue: add workers.",
            "percentunit",
            Query("xmdpt_step_batch_occupancy_ratio", "{{instance}}"),
        ),
        series(
            "Rows in a step",
            "How many rows share a denoising step.",
            "short",
            Query(_MEAN_ROWS, "mean"),
            Query(f"histogram_quantile(0.95, sum by (le) (rate({_ROWS}_bucket[$__rate_interval])))", "p95"),
        ),
        series(
            "Denoising steps",
            "Steps a second, counted in rows.",
            "ops",
            Query("sum by (instance) (rate(xmdpt_steps_total[$__rate_interval]))", "{{instance}}"),
            is_stacked=True,
        ),
        series(
            "Step curve",
            "Time of a step by the rows that share it, as measured at the start, and the part that is the call itself.",
            "s",
            Query("max by (rows) (xmdpt_step_curve_seconds)", "{{rows}} rows"),
            Query("max(xmdpt_backend_call_seconds)", "call"),
        ),
    ],
)
_TIME = Section(
    "Time",
    2,
    [
        series(
            "Stage duration, p95",
            "One run of a stage: a batch for the graphs, a picture for decode_input and encode_output.",
            "s",
            Query(
                "histogram_quantile(0.95, sum by (stage, le) "
                "(rate(xmdpt_stage_duration_seconds_bucket[$__rate_interval])))",
                "{{stage}}",
            ),
        ),
        series(
            "Time spent by stage",
            "Seconds of each stage a second; the graphs of one worker together reach 1.",
            "short",
            rate_by("stage", "xmdpt_stage_duration_seconds_sum"),
            is_stacked=True,
        ),
        quantiles(
            "Job duration by outcome", "From claim to the end of the job.", "xmdpt_job_duration_seconds", ["outcome"]
        ),
        series(
            "Jobs that left the workers",
            "By how they left: released and lost ones run again elsewhere.",
            "ops",
            rate_by("state", "xmdpt_jobs_total"),
            is_stacked=True,
        ),
    ],
)
_BESIDE = Section(
    "Beside the steps",
    2,
    [
        series(
            "Vectors needed",
            "By kind, and by whether an encoder had to run.",
            "ops",
            Query(
                "sum by (kind, result) (rate(xmdpt_condition_cache_requests_total[$__rate_interval]))",
                "{{kind}} {{result}}",
            ),
            is_stacked=True,
        ),
        series(
            "Workers",
            "Those that answered the last scrape, and those that have lately announced themselves to the queue.",
            "short",
            Query('count(up{job="xmdpt-worker"} == 1) or vector(0)', "up"),
            Query("max(xmdpt_workers_live)", "announced"),
        ),
        series(
            "Previews",
            "Previews of running jobs that were written.",
            "ops",
            Query("sum(rate(xmdpt_previews_total[$__rate_interval]))", "previews"),
        ),
    ],
)


def engine() -> Json:
    """The dashboard."""
    return board(
        "xmdpt-engine",
        "X-MDPT: engine and batching",
        "Workers: what shares a step, where the time goes, what the cache saves.",
        [_NOW, _BATCHING, _TIME, _BESIDE],
    )
