"""Which instruments there are, by process, and what the less simple ones count."""

import ctypes
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from service.adapters.gpu_memory import open_gpu
from service.domain.capacity import Capacity, StepCurve
from service.domain.errors import NotFoundError, StorageError
from service.domain.execution import Execution
from service.domain.job import Priority
from service.ports.queue import JobEnd, QueueFigures
from service.telemetry.metrics import GatewayMetrics, WorkerMetrics
from service.telemetry.metrics_page import instruments, page

ROOT = Path(__file__).resolve().parents[2]

# Name -> type, labels, and who has it: g(ateway), w(orker). The first part is the product's contract.
METRICS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "request_duration_seconds": ("histogram", ("route", "code"), "g"),
    "queue_wait_seconds": ("histogram", ("priority",), "w"),
    "job_duration_seconds": ("histogram", ("model", "outcome"), "w"),
    "stage_duration_seconds": ("histogram", ("stage",), "gw"),
    "step_batch_rows": ("histogram", (), "w"),
    "eta_error_seconds": ("histogram", (), "g"),
    "queue_call_duration_seconds": ("histogram", ("function",), "gw"),
    "queue_depth": ("gauge", ("priority",), "g"),
    "queue_oldest_wait_seconds": ("gauge", ("priority",), "g"),
    "jobs_running": ("gauge", (), "g"),
    "step_slots": ("gauge", (), "w"),
    "step_batch_occupancy_ratio": ("gauge", (), "w"),
    "workers_live": ("gauge", (), "g"),
    "sse_clients": ("gauge", (), "g"),
    "dead_letters": ("gauge", (), "g"),
    "gpu_memory_bytes": ("gauge", ("kind",), "w"),
    "ready": ("gauge", (), "gw"),
    "build_info": ("gauge", ("role", "version"), "gw"),
    "jobs_total": ("counter", ("state",), "w"),
    "images_total": ("counter", ("model",), "w"),
    "steps_total": ("counter", (), "w"),
    "admission_rejected_total": ("counter", ("reason",), "g"),
    "condition_cache_requests_total": ("counter", ("kind", "result"), "gw"),
    "job_deliveries_total": ("counter", (), "w"),
    "lease_lost_total": ("counter", (), "w"),
    "finish_total": ("counter", ("verdict",), "w"),
    "suspects_total": ("counter", (), "w"),
    "deadline_missed_total": ("counter", (), "g"),
    "cancelled_total": ("counter", ("when",), "g"),
    "idempotent_replays_total": ("counter", (), "g"),
    "webhook_deliveries_total": ("counter", ("outcome",), "g"),
    "webhook_blocked_total": ("counter", (), "g"),
    "input_rejected_total": ("counter", ("code",), "g"),
    "redis_errors_total": ("counter", (), "gw"),
    "queue_invariant_violations_total": ("counter", ("kind",), "g"),
    # Beyond it.
    "backend_call_seconds": ("gauge", (), "w"),
    "batch_items_left": ("gauge", (), "g"),
    "batch_pause_seconds": ("gauge", (), "g"),
    "batches_open": ("gauge", (), "g"),
    "decoder_crashes_total": ("counter", (), "g"),
    "jobs_ended_total": ("counter", ("outcome",), "g"),
    "previews_total": ("counter", (), "w"),
    "step_curve_seconds": ("gauge", ("rows",), "w"),
    "storage_errors_total": ("counter", (), "gw"),
    "storage_free_bytes": ("gauge", (), "g"),
    "storage_size_bytes": ("gauge", (), "g"),
}
ENDS: dict[JobEnd, int] = {
    "succeeded": 100,
    "failed": 2,
    "cancelled": 1,
    "deadline_exceeded": 3,
    "attempts_exhausted": 0,
}
FIGURES = QueueFigures(
    {Priority.INTERACTIVE: 4, Priority.BATCH: 5},
    {Priority.INTERACTIVE: 1.5, Priority.BATCH: 60.0},
    6,
    7,
    ENDS,
    8,
    9,
    10.0,
)


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"xmdpt_{name}", labels)


def test_metrics_when_listed_then_names_types_labels_and_processes_are_those_of_the_table() -> None:
    found = {
        each.name.removeprefix("xmdpt_"): (each.kind, each.labels, "".join(role[0] for role in each.roles))
        for each in instruments()
    }

    assert found == METRICS


def test_page_when_compared_with_the_committed_one_then_equal() -> None:
    assert (ROOT / "docs/metrics.md").read_text() == page(), "run `make docs`"


def test_metrics_when_the_queue_tells_its_figures_then_each_has_its_gauge() -> None:
    metrics = GatewayMetrics("test")

    metrics.show_queue(FIGURES)

    found = metrics.registry
    assert [sample(found, "queue_depth", priority=name) for name in ("interactive", "batch")] == [4, 5]
    assert [sample(found, "queue_oldest_wait_seconds", priority=name) for name in ("interactive", "batch")] == [1.5, 60]
    names = ("jobs_running", "dead_letters", "batches_open", "batch_items_left", "batch_pause_seconds")
    assert [sample(found, name) for name in names] == [6, 7, 8, 9, 10]


def test_ends_when_first_told_then_their_series_begin_at_the_queues_count() -> None:
    metrics = GatewayMetrics("test")
    assert sample(metrics.registry, "jobs_ended_total", outcome="succeeded") is None

    metrics.show_queue(FIGURES)

    assert {name: sample(metrics.registry, "jobs_ended_total", outcome=name) for name in ENDS} == ENDS
    assert sample(metrics.registry, "deadline_missed_total") == 3


def test_ends_when_the_queue_is_a_new_one_then_they_go_on_rising() -> None:
    metrics = GatewayMetrics("test")
    metrics.show_queue(FIGURES)
    metrics.show_queue(replace(FIGURES, ends=ENDS | {"succeeded": 110}))

    metrics.show_queue(replace(FIGURES, ends=dict.fromkeys(ENDS, 0) | {"succeeded": 4}))

    assert sample(metrics.registry, "jobs_ended_total", outcome="succeeded") == 110 + 4
    assert sample(metrics.registry, "jobs_ended_total", outcome="failed") == 2


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (StorageError("queue_unavailable", "scripted"), (1, 0)),
        (StorageError("storage_unavailable", "scripted"), (0, 1)),
        (NotFoundError("scripted"), (0, 0)),
    ],
    ids=["queue", "store", "neither"],
)
def test_outage_when_counted_then_by_what_was_away(error: Any, counted: tuple[int, int]) -> None:
    metrics = WorkerMetrics("test")

    metrics.count_outage(error)

    assert tuple(sample(metrics.registry, f"{name}_errors_total") for name in ("redis", "storage")) == counted


def test_occupancy_when_steps_run_and_end_then_it_is_that_of_the_last_one() -> None:
    metrics = WorkerMetrics("test")
    metrics.tell_capacity(Capacity(StepCurve([(1, 0.1)]), {}, Execution.STEPWISE, max_batch=8, num_slots=8))

    metrics.begin_steps(6)

    assert sample(metrics.registry, "step_batch_occupancy_ratio") == 0.75
    metrics.rest()
    assert sample(metrics.registry, "step_batch_occupancy_ratio") == 0


class ScriptedLibrary:
    """Plays NVIDIA's management library: two devices, the second with 3 of 8 bytes used."""

    def __init__(self, init_status: int = 0) -> None:
        self._init_status = init_status

    def nvmlInit_v2(self) -> int:
        return self._init_status

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, device: Any) -> int:
        device._obj.value = 100 + index.value
        return 0 if index.value < 2 else 2

    def nvmlDeviceGetHandleByUUID(self, name: bytes, device: Any) -> int:
        device._obj.value = 101
        return 0 if name == b"GPU-1" else 2

    def nvmlDeviceGetMemoryInfo(self, device: ctypes.c_void_p, memory: Any) -> int:
        memory._obj.total, memory._obj.free, memory._obj.used = 8, 5, 3
        return 0 if device.value == 101 else 999


@pytest.mark.parametrize(("visible", "memory"), [("1,0", (3, 8)), ("GPU-1", (3, 8)), ("0", (0, 0)), ("7", None)])
def test_gpu_memory_when_a_device_is_named_then_it_is_that_ones(
    visible: str, memory: tuple[int, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    gpu = open_gpu(ScriptedLibrary())  # pyright: ignore[reportArgumentType]

    assert (gpu and gpu.memory_bytes()) == memory


def test_gpu_memory_when_the_driver_does_not_start_then_there_is_none() -> None:
    assert open_gpu(ScriptedLibrary(init_status=9)) is None  # pyright: ignore[reportArgumentType]


def test_gpu_memory_when_exported_then_it_is_asked_for_at_each_scrape() -> None:
    metrics, memory = WorkerMetrics("test"), [1, 8]
    assert sample(metrics.registry, "gpu_memory_bytes", kind="used") is None
    metrics.tell_gpu(lambda: (memory[0], memory[1]))
    assert sample(metrics.registry, "gpu_memory_bytes", kind="used") == 1

    memory[0] = 3

    assert [sample(metrics.registry, "gpu_memory_bytes", kind=kind) for kind in ("used", "total")] == [3, 8]
