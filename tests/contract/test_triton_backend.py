"""The Triton adapter against a scripted server: what is not an answer, and what is worth another try."""

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from service.adapters.model_repository import ModelRepository, open_model_repository
from service.adapters.triton_backend import TritonBackend
from service.adapters.triton_channel import TritonEndpoint
from service.domain.errors import (
    BackendError,
    BackendTimeoutError,
    BackendUnavailableError,
    ConfigurationError,
    ModelRepositoryError,
    ResourceExhaustedError,
)
from service.domain.execution import Execution
from tests.fakes.fake_triton import FakeTriton, Script

SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"
# Ample for whatever ends before.
PATIENT_SECONDS = 20.0
# For a call that lasts until then.
TIMEOUT_SECONDS = 2.0
PIXELS = np.zeros((2, 256, 256, 3), np.uint8)


@pytest.fixture(scope="module")
def repository() -> ModelRepository:
    return open_model_repository(SHIPPED, has_files=False)


@pytest.fixture
def server(repository: ModelRepository) -> Iterator[FakeTriton]:
    with FakeTriton(repository) as server:
        yield server


def connected(
    server: FakeTriton,
    repository: ModelRepository,
    execution: Execution = Execution.STEPWISE,
    **settings: Any,
) -> TritonBackend:
    times = {"timeout_seconds": PATIENT_SECONDS, "startup_seconds": PATIENT_SECONDS} | settings
    return TritonBackend(repository, TritonEndpoint(server.url, **times), execution)


@pytest.fixture
def backend(server: FakeTriton, repository: ModelRepository) -> Iterator[TritonBackend]:
    backend = connected(server, repository)
    yield backend
    backend.close()


@pytest.fixture
def hurried(server: FakeTriton, repository: ModelRepository) -> Iterator[TritonBackend]:
    """Its calls end soon; for tests that wait for that."""
    backend = connected(server, repository, timeout_seconds=TIMEOUT_SECONDS)
    yield backend
    backend.close()


def give(backend: TritonBackend, timeout_seconds: float) -> None:
    """For each call from now on."""
    backend._channel._server = replace(backend._channel._server, timeout_seconds=timeout_seconds)


def encode(backend: TritonBackend) -> np.ndarray:
    return backend.encode_source(PIXELS)


def with_output(**fields: Any) -> Script:
    def script(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        for name, value in fields.items():
            if name == "shape":
                del answer.outputs[0].shape[:]
                answer.outputs[0].shape.extend(value)
            else:
                setattr(answer.outputs[0], name, value)
        return answer

    return script


def with_content(change: Callable[[bytes], bytes]) -> Script:
    def script(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        answer.raw_output_contents[0] = change(answer.raw_output_contents[0])
        return answer

    return script


def without_output(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
    del answer.outputs[:], answer.raw_output_contents[:]
    return answer


def with_output_twice(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
    answer.outputs.append(answer.outputs[0])
    answer.raw_output_contents.append(answer.raw_output_contents[0])
    return answer


def without_content(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
    del answer.raw_output_contents[:]
    return answer


def poisoned(value: float) -> Callable[[bytes], bytes]:
    return lambda content: content[:-4] + np.float32(value).tobytes()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(with_output(name="something"), id="another name"),
        pytest.param(with_output(shape=[2, 255]), id="another width"),
        pytest.param(with_output(shape=[256, 2]), id="axes swapped"),
        pytest.param(with_output(shape=[1, 256]), id="a row less"),
        pytest.param(with_output(datatype="INT32"), id="another type of the same size"),
        pytest.param(with_content(lambda content: b""), id="no bytes"),
        pytest.param(with_content(lambda content: content[:-4]), id="too few bytes"),
        pytest.param(with_content(lambda content: content + bytes(4)), id="too many bytes"),
        pytest.param(with_content(poisoned(float("nan"))), id="a NaN"),
        pytest.param(with_content(poisoned(float("-inf"))), id="an infinity"),
        pytest.param(without_output, id="no output"),
        pytest.param(with_output_twice, id="the output twice"),
        pytest.param(without_content, id="no content"),
    ],
)
def test_answer_when_it_is_not_what_the_graph_gives_then_no_row_of_it_is_used(
    server: FakeTriton, backend: TritonBackend, script: Script
) -> None:
    server.script = script

    with pytest.raises(BackendError) as error:
        encode(backend)

    assert (error.value.code, error.value.is_retryable) == ("backend_error", False)
    assert error.value.detail == "source_encoder: the answer is not what it gives"
    assert isinstance(error.value.__cause__, ValueError)
    server.script = lambda request, answer, context: answer
    assert encode(backend).shape == (2, 256)


def test_answer_when_its_outputs_come_in_another_order_then_each_is_known_by_its_name(
    server: FakeTriton, backend: TritonBackend
) -> None:
    def reversed_answer(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        ones = np.ones((2, 4, 32, 32), np.float32).tobytes()
        outputs = [answer.outputs[1], answer.outputs[0]]
        del answer.outputs[:], answer.raw_output_contents[:]
        answer.outputs.extend(outputs)
        answer.raw_output_contents.extend([ones, bytes(len(ones))])
        return answer

    server.script = reversed_answer
    latents, one = np.zeros((2, 4, 32, 32), np.float32), np.zeros((2, 1), np.float32)

    next_latents, denoised = backend.denoise_step(
        latents, latents, np.zeros((2, 256), np.float32), one, one, np.zeros((2, 5), np.float32)
    )

    assert (next_latents.max(), denoised.min()) == (0, 1)


def refusing(code: grpc.StatusCode, text: str, times: int = 1_000_000) -> Script:
    """Refuse so many calls, then answer."""
    left = iter(range(times))

    def script(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        if next(left, None) is not None:
            context.abort(code, text)
        return answer

    return script


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("INVALID_ARGUMENT", "unexpected shape for input 'photo' of /models/x", BackendError),
        ("INTERNAL", "onnx runtime error at /src/x.cc:31", BackendError),
        ("INTERNAL", "Failed to allocate memory for requested buffer of size 9", ResourceExhaustedError),
        ("UNKNOWN", "std::bad_alloc", ResourceExhaustedError),
        ("RESOURCE_EXHAUSTED", "Received message larger than max", ResourceExhaustedError),
        ("UNAVAILABLE", "Request timeout expired", BackendTimeoutError),
        ("UNAVAILABLE", "Exceeds maximum queue size", BackendUnavailableError),
        ("UNAVAILABLE", "Request for unknown model: 'x' version 1 is not at ready state", BackendUnavailableError),
        ("NOT_FOUND", "Request for unknown model: 'x' is not found", BackendUnavailableError),
        ("CANCELLED", "the server is going", BackendUnavailableError),
    ],
)
def test_server_when_it_refuses_for_good_then_our_error_says_so_without_its_text(
    server: FakeTriton, backend: TritonBackend, code: str, text: str, kind: type[BackendError]
) -> None:
    server.script = refusing(grpc.StatusCode[code], text)
    if kind is BackendUnavailableError:
        # It is repeated until its time is over.
        give(backend, TIMEOUT_SECONDS)

    with pytest.raises(BackendError) as error:
        encode(backend)

    assert type(error.value) is kind
    assert error.value.is_retryable == (kind is not BackendError)
    assert error.value.detail.startswith("source_encoder: ")
    assert text not in error.value.detail
    assert text in str(error.value.__cause__)
    server.script = lambda request, answer, context: answer
    give(backend, PATIENT_SECONDS)
    assert encode(backend).shape == (2, 256), "the backend goes on"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Exceeds maximum queue size", "queue stayed full"),
        ("'x' is not at ready state", "no inference server answered"),
    ],
)
@pytest.mark.parametrize("is_expired_there", [False, True], ids=["given up here", "expired there"])
def test_call_when_refusals_leave_it_no_time_then_the_error_is_theirs(
    server: FakeTriton, hurried: TritonBackend, text: str, words: str, is_expired_there: bool
) -> None:
    release = threading.Event()

    def refuse_until_late(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        if request.parameters["timeout"].int64_param > 0.4 * TIMEOUT_SECONDS * 1e6:
            context.abort(grpc.StatusCode.UNAVAILABLE, text)
        if is_expired_there:
            context.abort(grpc.StatusCode.UNAVAILABLE, "Request timeout expired")
        release.wait(20)
        return answer

    server.script = refuse_until_late

    with pytest.raises(BackendUnavailableError, match=words) as error:
        encode(hurried)

    release.set()
    assert text.lower() in str(error.value.__cause__).lower()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("UNAVAILABLE", "Exceeds maximum queue size"),
        ("UNAVAILABLE", "Request for unknown model: 'x' version 1 is not at ready state"),
        ("NOT_FOUND", "Request for unknown model: 'x' is not found"),
    ],
)
def test_server_when_it_refuses_for_a_moment_then_the_call_is_repeated(
    server: FakeTriton, backend: TritonBackend, code: str, text: str
) -> None:
    server.script = refusing(grpc.StatusCode[code], text, times=2)

    assert encode(backend).shape == (2, 256)
    assert len(server.requests) == 3


@pytest.mark.parametrize(("code", "text"), [("INVALID_ARGUMENT", "no"), ("UNAVAILABLE", "Request timeout expired")])
def test_server_when_it_refuses_what_stays_wrong_then_the_call_is_not_repeated(
    server: FakeTriton, backend: TritonBackend, code: str, text: str
) -> None:
    server.script = refusing(grpc.StatusCode[code], text, times=1)

    with pytest.raises(BackendError):
        encode(backend)

    assert len(server.requests) == 1


def test_call_when_it_takes_too_long_then_it_ends_and_the_server_hears_of_it(
    server: FakeTriton, hurried: TritonBackend
) -> None:
    cancelled = threading.Event()

    def hang(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        context.add_callback(cancelled.set)
        cancelled.wait(20)
        return answer

    server.script = hang
    started = time.monotonic()

    with pytest.raises(BackendTimeoutError) as error:
        encode(hurried)

    assert time.monotonic() - started >= TIMEOUT_SECONDS
    assert error.value.detail == f"source_encoder: no answer within {TIMEOUT_SECONDS:g} s"
    assert cancelled.wait(20)
    # What has not begun by then must not begin.
    asked = server.requests[0].parameters["timeout"].int64_param
    assert 0 < asked <= TIMEOUT_SECONDS * 1e6


def test_call_when_the_server_hangs_altogether_then_it_counts_as_away(
    server: FakeTriton, hurried: TritonBackend
) -> None:
    release = threading.Event()
    server.script = lambda request, answer, context: release.wait(20) and answer
    server.is_live = lambda: release.wait(20)

    with pytest.raises(BackendUnavailableError, match="no inference server answered"):
        encode(hurried)

    release.set()


def test_server_when_it_goes_and_comes_back_then_calls_fail_cleanly_and_work_again(
    server: FakeTriton, backend: TritonBackend, repository: ModelRepository
) -> None:
    assert encode(backend).shape == (2, 256)
    server.stop()

    give(backend, TIMEOUT_SECONDS)
    for _ in range(2):
        with pytest.raises(BackendUnavailableError):
            encode(backend)

    give(backend, PATIENT_SECONDS)
    give_up_at = time.monotonic() + PATIENT_SECONDS
    answer = None
    with FakeTriton(repository, server.port):
        while answer is None and time.monotonic() < give_up_at:
            with suppress(BackendUnavailableError):
                answer = encode(backend)

    assert answer is not None
    assert answer.shape == (2, 256)


def test_server_when_it_is_away_for_a_moment_then_the_call_waits_for_it(
    server: FakeTriton, backend: TritonBackend, repository: ModelRepository
) -> None:
    called = threading.Event()

    def die(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        called.set()
        threading.Event().wait(2)
        return answer

    server.script = die
    answers: list[np.ndarray] = []
    thread = threading.Thread(target=lambda: answers.append(encode(backend)))
    thread.start()
    assert called.wait(20)
    server.stop()
    with FakeTriton(repository, server.port):
        thread.join(2 * PATIENT_SECONDS)

    assert [answer.shape for answer in answers] == [(2, 256)]


def test_batch_when_larger_than_the_graph_takes_then_its_parts_run_at_one_time(
    server: FakeTriton, repository: ModelRepository
) -> None:
    server.configs["source_encoder"].max_batch_size = 2
    backend = connected(server, repository)
    together = threading.Barrier(3, timeout=PATIENT_SECONDS)

    def wait_for_the_others(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        together.wait()
        photo = np.frombuffer(request.raw_input_contents[0], np.uint8).reshape(-1, 256 * 256 * 3)
        means = np.repeat(photo.mean(axis=1, keepdims=True), 256, axis=1).astype(np.float32)
        answer.raw_output_contents[0] = means.tobytes()
        return answer

    server.script = wait_for_the_others
    levels = np.arange(5, dtype=np.uint8)

    vectors = backend.encode_source(np.broadcast_to(levels[:, None, None, None], (5, 256, 256, 3)))

    assert sorted(request.inputs[0].shape[0] for request in server.requests) == [1, 2, 2]
    assert (vectors == levels[:, None]).all(), "the rows are in order"
    backend.close()


@pytest.mark.parametrize(("ours", "theirs"), [(2, 8), (8, 2)])
def test_batch_when_manifest_and_server_differ_in_its_size_then_neither_is_exceeded(
    server: FakeTriton, repository: ModelRepository, ours: int, theirs: int
) -> None:
    server.configs["source_encoder"].max_batch_size = theirs
    limited = replace(repository, max_batch_sizes={**repository.max_batch_sizes, "source_encoder": ours})
    backend = connected(server, limited)

    assert backend.encode_source(np.zeros((5, 256, 256, 3), np.uint8)).shape == (5, 256)
    assert sorted(request.inputs[0].shape[0] for request in server.requests) == [1, 2, 2]
    backend.close()


def test_batch_when_its_answer_is_larger_than_grpcs_default_then_it_arrives(
    server: FakeTriton, repository: ModelRepository
) -> None:
    server.configs["vae_decoder"].max_batch_size = 64
    large = replace(repository, max_batch_sizes={**repository.max_batch_sizes, "vae_decoder": 64})
    backend = connected(server, large)

    assert backend.decode(np.zeros((64, 4, 32, 32), np.float32)).nbytes > 12e6
    assert [request.model_version for request in server.requests] == ["1"]
    backend.close()


@pytest.mark.parametrize(
    "arrays",
    [
        np.zeros((2, 3, 256), np.int32),
        np.zeros((2, 3, 256), np.float64),
        np.zeros((2, 3, 256), ">f4"),
        np.zeros((2, 0, 256), np.float32),
        np.zeros(2, np.float32),
        [np.zeros((1, 256), np.float32), None],
        [np.zeros((1, 256), np.float32), np.zeros((2, 256), np.float32)],
    ],
)
def test_call_when_its_arrays_are_not_the_graphs_then_nothing_is_sent(
    server: FakeTriton, backend: TritonBackend, arrays: Any
) -> None:
    with pytest.raises(BackendError, match="canet: called with wrong arrays"):
        backend.condition(*arrays)

    assert server.requests == []


def test_batch_when_one_part_fails_then_the_others_are_called_off(
    server: FakeTriton, repository: ModelRepository
) -> None:
    server.configs["source_encoder"].max_batch_size = 1
    backend = connected(server, repository)
    hanging, cancelled = threading.Event(), threading.Event()

    def first_fails(request: Any, answer: Any, context: grpc.ServicerContext) -> Any:
        if request.raw_input_contents[0][0] == 0:
            hanging.wait(20)
            context.abort(grpc.StatusCode.INTERNAL, "no")
        context.add_callback(cancelled.set)
        hanging.set()
        cancelled.wait(20)
        return answer

    server.script = first_fails
    pixels = PIXELS.copy()
    pixels[1] = 1

    with pytest.raises(BackendError):
        backend.encode_source(pixels)

    assert cancelled.wait(20)
    backend.close()


@pytest.mark.parametrize(("execution", "step"), [(Execution.STEPWISE, "tdnet_step"), (Execution.WHOLE_LOOP, "sampler")])
def test_start_when_a_graph_is_not_ready_then_one_line_names_it_if_the_execution_needs_it(
    server: FakeTriton, repository: ModelRepository, execution: Execution, step: str
) -> None:
    server.unready = {step, "vae_decoder"}
    with pytest.raises(BackendUnavailableError) as error:
        connected(server, repository, execution, startup_seconds=0.0)
    assert error.value.detail == f"no Triton at {server.url} within 0 s: {step}, vae_decoder not ready there"

    server.unready = {"tdnet_step", "sampler"} - {step}
    connected(server, repository, execution).close()


def test_start_when_the_server_comes_a_little_later_then_it_is_waited_for(repository: ModelRepository) -> None:
    with FakeTriton(repository) as early:
        url, port = early.url, early.port
    opened: list[TritonBackend] = []
    server = TritonEndpoint(url, PATIENT_SECONDS, startup_seconds=PATIENT_SECONDS)
    thread = threading.Thread(target=lambda: opened.append(TritonBackend(repository, server)))
    thread.start()
    with FakeTriton(repository, port):
        thread.join(2 * PATIENT_SECONDS)

    assert [backend.runtime for backend in opened] == ["triton-0.0.0"]
    opened[0].close()


@pytest.mark.parametrize(
    ("url", "words"),
    [("127.0.0.1:1", "refused"), ("no-such-host.invalid:8001", "no-such-host.invalid")],
)
def test_start_when_nobody_is_there_then_one_line_says_where_and_why(
    repository: ModelRepository, url: str, words: str
) -> None:
    with pytest.raises(BackendUnavailableError) as error:
        TritonBackend(repository, TritonEndpoint(url, TIMEOUT_SECONDS, startup_seconds=0.5))

    start, _, reason = error.value.detail.partition(" within 0.5 s: ")
    assert start == f"no Triton at {url}"
    assert words in reason
    assert "\n" not in error.value.detail


def changed(graph: str, change: Callable[[Any], object]) -> Callable[[FakeTriton], object]:
    return lambda server: change(server.configs[graph])


def narrow(config: Any) -> None:
    config.output[0].dims[0] = 255


def as_integers(config: Any) -> None:
    config.input[0].data_type = 8


@pytest.mark.parametrize(
    ("change", "graph", "words"),
    [
        (
            changed("canet", lambda config: config.parameters["sha256"].MergeFrom(_parameter("0" * 64))),
            "canet",
            "sha256 is 000000000000",
        ),
        (changed("canet", lambda config: config.parameters.clear()), "canet", "sha256 is missing"),
        (changed("vae_decoder", lambda config: config.ClearField("max_batch_size")), "vae_decoder", "takes no rows"),
        (changed("pose_encoder", narrow), "pose_encoder", "its outputs are pose_vector TYPE_FP32 [255]"),
        (changed("tdnet_step", as_integers), "tdnet_step", "its inputs are latents TYPE_INT32"),
        (changed("tdnet_step", lambda config: config.ClearField("input")), "tdnet_step", "its inputs are none"),
    ],
)
def test_start_when_the_server_holds_other_graphs_then_one_line_says_which_and_what_to_do(
    server: FakeTriton,
    repository: ModelRepository,
    change: Callable[[FakeTriton], object],
    graph: str,
    words: str,
) -> None:
    change(server)

    with pytest.raises(ModelRepositoryError) as error:
        connected(server, repository)

    assert error.value.detail.startswith(f"Triton at {server.url} serves another {graph}: ")
    assert words in error.value.detail
    assert "XMDPT_MODEL_REPOSITORY" in error.value.detail
    assert "\n" not in error.value.detail


def _parameter(text: str) -> Any:
    from tritonclient.grpc import model_config_pb2

    parameter: Any = vars(model_config_pb2)["ModelParameter"](string_value=text)
    return parameter


def test_server_when_it_comes_back_with_another_model_then_its_answers_are_refused(
    server: FakeTriton, backend: TritonBackend
) -> None:
    encode(backend)
    server.configs["source_encoder"].parameters["sha256"].string_value = "0" * 64
    give_up_at = time.monotonic() + PATIENT_SECONDS

    def encode_again_and_again() -> None:
        while time.monotonic() < give_up_at:
            encode(backend)

    with pytest.raises(BackendUnavailableError, match="runs another model now"):
        encode_again_and_again()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a certificate for 127.0.0.1 that nobody but itself vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=127.0.0.1"
    try:
        subprocess.run(
            [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("openssl is not installed: make setup-system")
    return key, certificate


def test_tls_when_the_certificate_is_vouched_for_then_calls_work_and_else_nothing_is_sent(
    repository: ModelRepository, certificate: tuple[Path, Path]
) -> None:
    key, chain = certificate
    credentials = grpc.ssl_server_credentials([(key.read_bytes(), chain.read_bytes())])
    with FakeTriton(repository, credentials=credentials) as server:
        trusting = connected(server, repository, has_tls=True, root_certificates=str(chain))
        assert encode(trusting).shape == (2, 256)
        trusting.close()
        for doubtful in ({"has_tls": True}, {}):
            with pytest.raises(BackendUnavailableError):
                connected(server, repository, startup_seconds=0.5, **doubtful)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"no certificate", "no certificate or crl found")]
)
def test_tls_when_the_roots_are_no_certificates_then_the_start_says_so(
    repository: ModelRepository, tmp_path: Path, content: bytes | None, words: str
) -> None:
    roots = tmp_path / "roots.pem"
    if content is not None:
        roots.write_bytes(content)
    server = TritonEndpoint("127.0.0.1:1", TIMEOUT_SECONDS, 0.0, has_tls=True, root_certificates=str(roots))

    with pytest.raises(ConfigurationError) as error:
        TritonBackend(repository, server)

    assert error.value.detail.startswith(f"XMDPT_TRITON__ROOT_CERTIFICATES={roots}: ")
    assert words in error.value.detail
