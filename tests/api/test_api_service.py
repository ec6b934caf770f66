"""Probes, metrics, and what is served."""

import re

import httpx
import pytest

from service.domain.errors import StorageError
from tests.api.bad_inputs import GOOD_BODY
from tests.api.conftest import Edge
from tests.fakes.fake_intake import a_worker_report
from tests.fakes.running_gateway import MODEL

PROBES = ("/readyz", "/healthz")


def samples(edge: Edge) -> dict[str, float]:
    """Every sample of /metrics by its name and labels."""
    response = edge.client.get("/metrics")
    assert response.status_code == httpx.codes.OK
    assert response.headers["content-type"].startswith("text/plain")
    lines = (line for line in response.text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def num_requests(edge: Edge) -> dict[tuple[str, str], float]:
    """How many requests each (route, code) has had."""
    pattern = re.compile(r'xmdpt_request_duration_seconds_count\{code="(.*)",route="(.*)"\}')
    counts = ((pattern.fullmatch(name), value) for name, value in samples(edge).items())
    return {(match[2], match[1]): value for match, value in counts if match}


def test_models_when_listed_then_the_served_one_with_its_ranges(edge: Edge) -> None:
    response = edge.client.get("/v1/models")

    assert response.json() == {
        "object": "list",
        "data": [
            {
                "name": "tiny",
                "object": "model",
                "digest": MODEL.digest,
                "is_trained": False,
                "weights_origin": MODEL.weights_origin,
                "steps": {"min": 2, "max": 250, "default": 50},
                "guidance": {"min": 1.0, "max": 10.0, "default": 2.0},
                "max_seed": 2**53 - 1,
                "samplers": ["ddim", "dpmpp_2m"],
                "presets": [
                    {"name": "exact", "steps": 50, "precision": "fp32", "quality": None},
                    {"name": "draft", "steps": 20, "precision": "fp32", "quality": None},
                ],
                "formats": ["png", "jpeg", "webp"],
                "size": [256, 256],
            }
        ],
        "next_cursor": None,
    }


def test_models_when_a_range_is_used_to_its_ends_then_the_request_is_accepted(edge: Edge) -> None:
    (model,) = edge.client.get("/v1/models").json()["data"]

    for end in ("min", "max"):
        body = GOOD_BODY | {name: model[name][end] for name in ("steps", "guidance")} | {"seed": model["max_seed"]}
        assert edge.client.post("/v1/generate", json=body).status_code == httpx.codes.OK


@pytest.mark.parametrize("path", ["/livez", *PROBES])
def test_probe_when_all_is_well_then_200(edge: Edge, path: str) -> None:
    response = edge.client.get(path)

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", PROBES)
def test_readiness_when_the_queue_is_away_then_503_and_the_gauge_follows(edge: Edge, path: str) -> None:
    assert samples(edge)["xmdpt_ready"] == 1
    edge.intake.trouble = "refuses"

    response = edge.client.get(path)

    assert (response.status_code, response.json()["code"]) == (503, "queue_unavailable")
    assert samples(edge)["xmdpt_ready"] == 0
    edge.intake.trouble = "none"
    assert edge.client.get(path).status_code == httpx.codes.OK
    assert samples(edge)["xmdpt_ready"] == 1


@pytest.mark.parametrize("path", PROBES)
def test_readiness_when_the_queues_functions_are_too_old_then_503_and_what_to_do(edge: Edge, path: str) -> None:
    edge.intake.functions_trouble = StorageError("queue_unavailable", "load them")

    response = edge.client.get(path)

    assert (response.status_code, response.json()["code"]) == (503, "queue_unavailable")
    assert response.json()["detail"] == "load them"


@pytest.mark.parametrize("path", PROBES)
def test_readiness_when_nothing_can_be_written_then_503(edge: Edge, path: str) -> None:
    edge.blobs.is_down = True

    response = edge.client.get(path)

    assert (response.status_code, response.json()["code"]) == (503, "storage_unavailable")


def test_metrics_when_jobs_wait_and_run_then_the_gauges_say_how_many(edge: Edge) -> None:
    edge.intake.on_enqueue = lambda job: None
    ids = [edge.client.post("/v1/jobs", json=GOOD_BODY).json()["id"] for _ in range(3)]
    edge.intake.run(ids[0], 1)
    edge.intake.workers += [a_worker_report(), a_worker_report()]

    found = samples(edge)

    depths = [found[f'xmdpt_queue_depth{{priority="{name}"}}'] for name in ("interactive", "batch")]
    assert (depths, found["xmdpt_jobs_running"]) == ([2, 0], 1)
    assert (found["xmdpt_workers_live"], found["xmdpt_dead_letters"]) == (2, 3)
    assert found['xmdpt_build_info{role="gateway",version="test"}'] == 1


def test_metrics_when_the_queue_is_away_then_the_last_figures_stay(edge: Edge) -> None:
    edge.intake.on_enqueue = lambda job: None
    edge.client.post("/v1/jobs", json=GOOD_BODY)
    before = samples(edge)
    edge.intake.trouble = "refuses"

    after = samples(edge)

    depth = 'xmdpt_queue_depth{priority="interactive"}'
    assert after[depth] == before[depth] == 1
    assert after["xmdpt_redis_errors_total"] == before["xmdpt_redis_errors_total"] + 1


def test_metrics_when_nothing_can_be_written_then_the_queues_figures_are_still_told(edge: Edge) -> None:
    before = samples(edge)
    edge.intake.on_enqueue = lambda job: None
    edge.client.post("/v1/jobs", json=GOOD_BODY)
    edge.blobs.is_down = True

    after = samples(edge)

    depth = 'xmdpt_queue_depth{priority="interactive"}'
    assert (after["xmdpt_ready"], after[depth]) == (0, before[depth] + 1)
    assert after["xmdpt_storage_errors_total"] == before["xmdpt_storage_errors_total"] + 1


def test_metrics_when_paths_hold_ids_then_the_labels_are_templates(edge: Edge) -> None:
    before = num_requests(edge)
    job_id = edge.client.post("/v1/jobs", json=GOOD_BODY).json()["id"]
    edge.client.get(f"/v1/jobs/{job_id}")
    edge.client.get(f"/v1/jobs/{job_id}/result")
    edge.client.get(f"/v1/jobs/{job_id[:-1]}")
    edge.client.post("/generate", json=GOOD_BODY)
    edge.client.get("/no/such/path")
    edge.client.delete("/livez")

    after = num_requests(edge)

    grown = {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}
    grown.pop(("/metrics", "200"))
    assert grown == {
        ("/v1/jobs", "202"): 1,
        ("/v1/jobs/{job_id}", "200"): 1,
        ("/v1/jobs/{job_id}", "404"): 1,
        ("/v1/jobs/{job_id}/result", "200"): 1,
        ("/generate", "200"): 1,
        ("none", "404"): 1,
        ("/livez", "405"): 1,
    }


def test_metrics_when_input_is_refused_then_its_code_is_counted(edge: Edge) -> None:
    name = 'xmdpt_input_rejected_total{code="unknown_model"}'
    before = samples(edge).get(name, 0)

    edge.client.post("/v1/generate", json=GOOD_BODY | {"model": "xxl"})

    assert samples(edge)[name] == before + 1
