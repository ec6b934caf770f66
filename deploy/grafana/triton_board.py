"""Where a Triton server or a GPU is: their own metrics, from Triton's port and NVIDIA's DCGM exporter.

Its panels are empty where neither is.
"""

from deploy.grafana.panels import Json, Query, Section, board, series, stat


def _mean_ms(what: str) -> str:
    """Milliseconds of one execution, by model."""
    return (
        f"sum by (model) (rate(nv_inference_{what}_duration_us[$__rate_interval]))"
        " / sum by (model) (rate(nv_inference_request_success[$__rate_interval])) / 1000"
    )


_TRITON = Section(
    "Triton",
    2,
    [
        series(
            "Requests",
            "Requests of each model that were answered, and that failed, each second.",
            "ops",
            Query("sum by (model) (rate(nv_inference_request_success[$__rate_interval]))", "{{model}}"),
            Query(
                "sum by (model, reason) (rate(nv_inference_request_failure[$__rate_interval]))", "{{model}} {{reason}}"
            ),
        ),
        series(
            "Rows of an execution",
            "Rows over executions: how well requests share a call.",
            "short",
            Query(
                "sum by (model) (rate(nv_inference_count[$__rate_interval]))"
                " / sum by (model) (rate(nv_inference_exec_count[$__rate_interval]))",
                "{{model}}",
            ),
        ),
        series("Time of a request", "From arrival to answer, mean.", "ms", Query(_mean_ms("request"), "{{model}}")),
        series(
            "Time in Triton's queue",
            "Before an execution, mean; a lone request pays the whole delay of dynamic batching.",
            "ms",
            Query(_mean_ms("queue"), "{{model}}"),
        ),
        series(
            "Time of the network",
            "Of one request within its execution, mean.",
            "ms",
            Query(_mean_ms("compute_infer"), "{{model}}"),
        ),
        series(
            "Pending",
            "Requests that wait for an execution.",
            "short",
            Query("sum by (model) (nv_inference_pending_request_count)", "{{model}}"),
        ),
    ],
)
_GPU = Section(
    "GPU",
    2,
    [
        stat(
            "Utilisation",
            "Share of the time in which some kernel ran, mean of the devices.",
            "percent",
            Query("avg(DCGM_FI_DEV_GPU_UTIL)", "busy"),
        ),
        stat(
            "Errors (XID)",
            "The last error that a device's driver has told; docs.nvidia.com names them. 0: none.",
            "short",
            Query("max(DCGM_FI_DEV_XID_ERRORS)", "XID"),
            red_from=1,
        ),
        series(
            "Utilisation by device",
            "Some kernel ran; and, where the exporter tells it, the tensor cores did.",
            "percent",
            Query("DCGM_FI_DEV_GPU_UTIL", "busy, {{gpu}}"),
            Query("100 * DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "tensor cores, {{gpu}}"),
        ),
        series(
            "Memory by device",
            "As the exporter tells it (in MiB there), and as workers with ONNX Runtime on a GPU do.",
            "bytes",
            Query("DCGM_FI_DEV_FB_USED * 1048576", "used, {{gpu}}"),
            Query("DCGM_FI_DEV_FB_FREE * 1048576", "free, {{gpu}}"),
            Query("xmdpt_gpu_memory_bytes", "{{kind}}, {{instance}}"),
        ),
        series("Power", "Of each device.", "watt", Query("DCGM_FI_DEV_POWER_USAGE", "{{gpu}}")),
        series("Temperature", "Of each device.", "celsius", Query("DCGM_FI_DEV_GPU_TEMP", "{{gpu}}")),
        series(
            "Clock",
            "Of the multiprocessors; it falls when the device is too hot or takes too much power.",
            "hertz",
            Query("DCGM_FI_DEV_SM_CLOCK * 1000000", "{{gpu}}"),
        ),
        series(
            "Time that the worker's graphs take",
            "Seconds of each graph a second, as the workers see it: with Triton the network is in it.",
            "short",
            Query(
                'sum by (stage) (rate(xmdpt_stage_duration_seconds_sum{stage!~"(de|en)code_.*"}[$__rate_interval]))',
                "{{stage}}",
            ),
            is_stacked=True,
        ),
    ],
)


def triton() -> Json:
    """The dashboard."""
    return board(
        "xmdpt-triton",
        "X-MDPT: Triton and GPU",
        "A Triton server's requests and executions, and the GPUs by NVIDIA's DCGM exporter.",
        [_TRITON, _GPU],
    )
