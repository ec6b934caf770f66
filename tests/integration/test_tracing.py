"""Traces through the whole service: from a caller's `traceparent` over the gateway and the queue to the worker."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.domain.trace_context import TraceContext, parse_traceparent
from tests.fakes.trace_collector import Collector, SeenSpan, running_collector
from tests.integration.processes import RunningService, multipart, running_service, serve, wait_until
from tests.integration.test_worker_killed import ENDLESS

SIMULATED = {
    "XMDPT_BACKEND": "simulated",
    "XMDPT_SIMULATED__STEP_MS": "20",
    "XMDPT_WORKER__EXECUTION": "stepwise",
    "XMDPT_WORKER__MAX_SLOTS": "4",
    "XMDPT_WEBHOOKS__DEVELOPMENT": "true",
    "XMDPT_LOG_FORMAT": "json",
}
STAGES = {"decode_input", "source_encoder", "pose_encoder", "canet", "tdnet_step", "vae_decoder", "encode_output"}
UNKNOWN = f"/v1/jobs/job_{'0' * 32}"
# Makes the packages of the extra as absent as where it is not installed.
HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in ("opentelemetry.sdk", "opentelemetry.exporter"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
"""
PARTS = {"admission", "receive", "parse", "decode", "store", "enqueue"}


@dataclass
class Traced:
    """A service, the collector that it sends to, and callers with traces of their own."""

    service: RunningService
    collector: Collector
    photo: bytes
    pose: dict
    num_callers: int = 0

    def caller(self, *, is_sampled: bool = True) -> TraceContext:
        self.num_callers += 1
        return TraceContext(f"{self.num_callers:032x}", f"{1000 + self.num_callers:016x}", is_sampled)

    def generate(self, prefer: str = "wait=60", traceparent: str = "", **fields: Any) -> httpx.Response:
        headers = {"Prefer": prefer} | ({"traceparent": traceparent} if traceparent else {})
        answer = self.service.client.post(
            "/v1/generate?secret=word", headers=headers, **multipart(self.photo, self.pose, fields)
        )
        assert answer.is_success, answer.text
        return answer

    def spans_of(self, trace_id: str, *names: str) -> dict[str, SeenSpan]:
        """The spans of a trace by name, once those of these names have arrived."""

        def found(spans: list[SeenSpan]) -> dict[str, SeenSpan]:
            return {span.name: span for span in spans if span.trace_id == trace_id}

        return found(self.collector.wait_for(lambda spans: found(spans).keys() >= set(names)))

    def lines_of(self, trace_id: str) -> list[str]:
        """Events of the log's lines that name the trace."""
        lines = map(json.loads, self.service.log_path.read_text().splitlines())
        return [line["event"] for line in lines if line.get("trace_id") == trace_id]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, person: bytes, pose: dict) -> Iterator[Traced]:
    with (
        running_collector() as collector,
        running_service(
            tmp_path_factory.mktemp("traced"), **SIMULATED, XMDPT_TRACING__ENDPOINT=collector.url
        ) as service,
    ):
        yield Traced(service, collector, person, pose)


def test_generate_when_the_caller_has_a_trace_then_gateway_and_worker_are_in_it_each_below_its_cause(
    traced: Traced,
) -> None:
    caller = traced.caller()

    answer = traced.generate(traceparent=caller.traceparent, steps=4)

    spans = traced.spans_of(caller.trace_id, "POST /v1/generate", "job")
    assert spans.keys() == {"POST /v1/generate", "job", "finish"} | PARTS | STAGES
    server, job = spans["POST /v1/generate"], spans["job"]
    assert (server.parent_id, server.kind, server.service) == (caller.span_id, "server", "xmdpt-gateway")
    assert {spans[name].parent_id for name in PARTS} == {server.span_id}
    assert (job.parent_id, job.kind, job.service) == (spans["enqueue"].span_id, "consumer", "xmdpt-worker")
    assert {spans[name].parent_id for name in (*STAGES, "finish")} == {job.span_id}
    assert not any(span.is_error for span in spans.values())
    assert parse_traceparent(answer.headers["traceparent"]) == TraceContext(caller.trace_id, server.span_id, True)
    assert server.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/generate",
        "http.response.status_code": 200,
        "xmdpt.request_id": answer.headers["x-request-id"],
        "xmdpt.job_id": answer.headers["x-xmdpt-job-id"],
    }
    assert (job.attributes["xmdpt.attempt"], job.attributes["xmdpt.outcome"]) == (1, "succeeded")
    assert job.attributes["xmdpt.job_id"] == answer.headers["x-xmdpt-job-id"]
    assert spans["tdnet_step"].attributes["xmdpt.pieces"] == 4
    assert server.began <= spans["decode"].began <= spans["store"].began <= spans["enqueue"].began <= job.began
    assert job.began <= spans["tdnet_step"].began <= spans["encode_output"].began <= spans["finish"].began <= job.ended
    assert traced.lines_of(caller.trace_id) == ["job claimed", "job left"]


def test_collector_when_it_has_been_told_everything_then_no_query_and_no_tenant_is_among_it(traced: Traced) -> None:
    caller = traced.caller()
    key = {"traceparent": caller.traceparent, "Authorization": "Bearer xmdpt_00000000_" + "k" * 43}

    traced.service.client.get("/v1/jobs?cursor=hidden-words", headers=key)
    traced.generate(traceparent=caller.traceparent, params='{"metadata": {"note": "hidden-words"}}')
    traced.spans_of(caller.trace_id, "GET /v1/jobs", "job")

    sent = b"".join(post.body for post in traced.collector.posts)
    assert bytes.fromhex(caller.trace_id) in sent
    assert not re.search(rb"hidden-words|secret=|default|k{43}|127\.0\.0\.1", sent)


def test_jobs_when_they_share_steps_then_the_batches_have_links_to_both(traced: Traced) -> None:
    callers = [traced.caller(), traced.caller()]

    ids = [
        traced.generate("respond-async", caller.traceparent, steps=250).headers["location"].rsplit("/", 1)[1]
        for caller in callers
    ]

    jobs = [traced.spans_of(caller.trace_id, "job")["job"] for caller in callers]
    both = {(job.trace_id, job.span_id) for job in jobs}
    batches = [span for span in traced.collector.spans() if span.name == "batch tdnet_step" and span.links & both]
    shared = [batch for batch in batches if batch.links == both]
    assert shared
    assert {batch.parent_id for batch in batches} == {""}
    assert {batch.trace_id for batch in batches}.isdisjoint(caller.trace_id for caller in callers)
    assert {batch.attributes["xmdpt.rows"] for batch in shared} == {2}
    assert set(shared[0].attributes["xmdpt.job_ids"]) == set(ids)
    assert sum(len(batch.links) for batch in batches) == 500


def test_generate_when_the_caller_does_not_record_then_nothing_is_sent_and_the_trace_goes_on(traced: Traced) -> None:
    silent, loud = traced.caller(is_sampled=False), traced.caller()

    answer = traced.generate(traceparent=silent.traceparent, steps=4)
    traced.generate(traceparent=loud.traceparent, steps=4)
    traced.spans_of(loud.trace_id, "POST /v1/generate", "job")

    assert answer.headers["traceparent"].startswith(f"00-{silent.trace_id}-")
    assert answer.headers["traceparent"].endswith("-00")
    assert silent.span_id not in answer.headers["traceparent"]
    assert traced.lines_of(silent.trace_id) == ["job claimed", "job left"]
    sent = b"".join(post.body for post in traced.collector.posts)
    assert bytes.fromhex(silent.trace_id) not in sent
    assert answer.headers["x-xmdpt-job-id"].encode() not in sent


@pytest.mark.parametrize(
    "traceparent", ["", "nonsense", f"00-{'0' * 32}-{'1' * 16}-01", f"00-{'F' * 32}-{'1' * 16}-01"]
)
def test_generate_when_there_is_no_usable_traceparent_then_a_new_trace_begins(traced: Traced, traceparent: str) -> None:
    answer = traced.generate(traceparent=traceparent, steps=4)

    own = parse_traceparent(answer.headers["traceparent"])
    assert own
    assert own.trace_id not in traceparent
    spans = traced.spans_of(own.trace_id, "POST /v1/generate", "job")
    assert spans["POST /v1/generate"].parent_id == ""
    assert spans["POST /v1/generate"].span_id == own.span_id


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json", "/"])
def test_request_when_it_is_not_for_the_api_then_it_has_no_span(traced: Traced, path: str) -> None:
    answer = traced.service.client.get(path, headers={"traceparent": traced.caller().traceparent})

    assert "traceparent" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("GET", UNKNOWN, "GET /v1/jobs/{job_id}", 404),
        ("GET", "/v1/no/such/path", "GET", 404),
        ("TRACE", UNKNOWN, "_OTHER /v1/jobs/{job_id}", 405),
    ],
)
def test_request_when_it_is_refused_then_its_span_names_route_and_status(
    traced: Traced, method: str, path: str, name: str, status: int
) -> None:
    caller = traced.caller()

    traced.service.client.request(method, path, headers={"traceparent": caller.traceparent})

    span = traced.spans_of(caller.trace_id, name)[name]
    assert (span.attributes["http.response.status_code"], span.is_error) == (status, False)
    assert path not in span.attributes.values()


def test_picture_when_it_is_refused_then_the_part_that_refused_it_says_why(traced: Traced) -> None:
    caller = traced.caller()

    answer = traced.service.client.post(
        "/v1/generate", headers={"traceparent": caller.traceparent}, **multipart(traced.photo[:2000], traced.pose, {})
    )

    assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    spans = traced.spans_of(caller.trace_id, "POST /v1/generate", "decode")
    assert (spans["decode"].is_error, spans["decode"].attributes["error.type"]) == (True, "image_invalid")
    assert not spans["POST /v1/generate"].is_error


@pytest.mark.parametrize("is_sampled", [True, False])
def test_webhook_when_its_job_belongs_to_a_trace_then_the_receiver_is_told_so(traced: Traced, is_sampled: bool) -> None:
    caller, path = traced.caller(is_sampled=is_sampled), f"/hook/{is_sampled}"
    hook = json.dumps({"webhook": {"url": traced.collector.url + path}, "steps": 4})

    traced.generate("respond-async", caller.traceparent, params=hook)

    (told,) = traced.collector.told(path)
    given = parse_traceparent(told.headers["traceparent"])
    assert given
    assert (given.trace_id, given.is_sampled) == (caller.trace_id, is_sampled)
    if is_sampled:
        spans = traced.spans_of(caller.trace_id, "webhook", "enqueue")
        assert (spans["webhook"].span_id, spans["webhook"].kind) == (given.span_id, "client")
        assert spans["webhook"].parent_id == spans["enqueue"].span_id
        assert spans["webhook"].attributes.items() >= {"http.response.status_code": 200, "xmdpt.try": 1}.items()


def test_batch_when_the_caller_has_a_trace_then_its_items_are_in_it(traced: Traced) -> None:
    caller = traced.caller()
    client, headers = traced.service.client, {"traceparent": caller.traceparent}
    source = client.post("/v1/sources", files={"source": traced.photo}).raise_for_status().json()["id"]
    call = {
        "matrix": {"sources": [{"id": source}], "poses": [{"preset": "back"}, {"preset": "side"}]},
        "defaults": {"steps": 2},
    }

    batch = client.post("/v1/batches", json=call, headers=headers).raise_for_status().json()

    def jobs(spans: list[SeenSpan]) -> list[SeenSpan]:
        return [span for span in spans if span.trace_id == caller.trace_id and span.name == "job"]

    found = jobs(traced.collector.wait_for(lambda spans: len(jobs(spans)) == 2))
    enqueue = traced.spans_of(caller.trace_id, "enqueue")["enqueue"]
    assert {job.parent_id for job in found} == {enqueue.span_id}
    assert client.get(batch["urls"]["results"]).text.count("succeeded") == 2


def test_job_when_its_worker_is_killed_then_the_second_attempt_is_in_the_same_trace(
    tmp_path: Path, person: bytes, pose: dict
) -> None:
    with running_collector() as collector:
        settings = SIMULATED | ENDLESS | {"XMDPT_TRACING__ENDPOINT": collector.url, "XMDPT_SIMULATED__STEP_MS": "40"}
        with running_service(tmp_path, **settings) as service:
            traced = Traced(service, collector, person, pose)
            caller = traced.caller()
            job = traced.generate("respond-async", caller.traceparent, steps=100).json()
            wait_until(lambda: service.job(job["id"])["progress"]["step"] > 0, 20, "the job makes steps")

            os.kill(service.child("worker"), signal.SIGKILL)

            assert service.ended(job["id"])["attempt"] == 2
            spans = traced.spans_of(caller.trace_id, "job", "enqueue")
            assert spans["job"].attributes.items() >= {"xmdpt.attempt": 2, "xmdpt.is_suspect": True}.items()
            assert spans["job"].parent_id == spans["enqueue"].span_id


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_service_when_its_collector_is_away_then_jobs_end_well_and_so_does_it(
    tmp_path: Path, person: bytes, pose: dict, fault: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if fault == "refuses":
            listener.close()
        with running_service(tmp_path, **SIMULATED, XMDPT_TRACING__ENDPOINT=address) as service:
            traced = Traced(service, Collector(), person, pose)
            for _ in range(3):
                assert traced.generate(steps=4).headers["content-type"] == "image/png"
            wait_until(lambda: "traces can't be sent" in service.log_path.read_text(), 30, "the log says so")

    lines = [json.loads(line) for line in (tmp_path / "serve.log").read_text().splitlines()]
    complaints = [line for line in lines if line["event"] == "traces can't be sent"]
    assert 1 <= len(complaints) <= 2, "each process says it once a minute"
    assert {line["status"] for line in lines if line["event"] == "stopped"} == {0}


@pytest.fixture
def without_packages(tmp_path: Path) -> str:
    """A search path with which the packages of the extra are not to be found."""
    (tmp_path / "sitecustomize.py").write_text(HIDE)
    return str(tmp_path)


@pytest.mark.parametrize("command", ["gateway", "worker", "all"])
def test_start_when_tracing_is_on_without_its_packages_then_it_says_what_to_install(
    without_packages: str, tmp_path: Path, command: str
) -> None:
    ended = serve(
        command,
        PYTHONPATH=without_packages,
        XMDPT_TRACING__ENDPOINT="http://127.0.0.1:4318",
        XMDPT_BACKEND="simulated",
        XMDPT_DATA_DIR=str(tmp_path),
        XMDPT_WORKER__OPS_PORT="0",
    )

    assert ended.returncode == 78
    assert "pip install 'xmdpt-serve[tracing]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_service_when_tracing_is_off_then_it_needs_no_packages_for_it(
    without_packages: str, tmp_path: Path, person: bytes, pose: dict
) -> None:
    with running_service(tmp_path, **SIMULATED, PYTHONPATH=without_packages) as service:
        traced = Traced(service, Collector(), person, pose)
        caller = traced.caller()

        answer = traced.generate(traceparent=caller.traceparent, steps=4)

        assert "traceparent" not in answer.headers
        assert traced.lines_of(caller.trace_id) == []
