"""The same request gives the same picture, whoever shares its batches and whenever they join and leave."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import pytest

from service.adapters.model_repository import ModelRepository, open_model_repository
from service.adapters.onnx_backend import OnnxBackend
from service.adapters.simulated_backend import SimulatedBackend, SimulatedTimes
from service.domain.execution import Execution
from service.ports.backend import InferenceBackend
from service.scheduling.policy import BatchPolicy
from tests.built_repositories import tiny_repository
from tests.simulation.engine.schedules import Device, Wish, alone, run_random_schedule

MOST_ROWS = 4
SHIPPED = Path(__file__).resolve().parents[3] / "model_repository"


Backends = Mapping[Execution, InferenceBackend]


@cache
def solo(wish: Wish, backend: InferenceBackend, execution: Execution) -> np.ndarray:
    """The picture of a job alone, [256,256,3] int16, drawn once for all schedules of a backend."""
    return alone(wish, backend, execution).astype(np.int16)


def check_schedules(seeds: range, backends: Backends, tolerance: int, of_solos: Backends | None = None) -> int:
    """Run the schedules and compare every picture with that of a job of its seed alone; returns how many there were."""
    of_solos = of_solos or backends
    num_pictures = 0
    for seed in seeds:
        device = run_random_schedule(Random(seed), backends, MOST_ROWS)
        assert len(device.pictures) + device.num_left_early == len(device.wishes), seed
        for key, pictures in device.pictures.items():
            wish = device.wishes[key]
            assert len(pictures) == wish.num_images
            for index, picture in enumerate(pictures):
                one = replace(wish, seed=wish.seed + index, num_images=1)
                expected = solo(one, of_solos[device.execution], device.execution)
                assert np.abs(picture - expected).max() <= tolerance, (seed, key, index, wish)
                if device.execution is Execution.STEPWISE:
                    assert device.steps[f"{key}/{index}"] == list(range(wish.num_steps)), (seed, key, index)
            num_pictures += len(pictures)
    return num_pictures


def test_pictures_when_jobs_join_and_leave_at_random_then_each_is_that_of_its_job_alone() -> None:
    backend = SimulatedBackend("tiny", SimulatedTimes())
    assert check_schedules(range(1000), dict.fromkeys(Execution, backend), 0) > 4000


class OneBucket(OnnxBackend):
    """Every call is padded to one number of rows, as with an engine that has one profile."""

    profile_sizes = (MOST_ROWS,)


class DenoiserOnly(OneBucket):
    """Each picture is encoded once, and what is decoded are the very bits of the latents: a hundredth of the time."""

    def __init__(self, repository: ModelRepository, num_threads: int, execution: Execution) -> None:
        super().__init__(repository, num_threads, execution)
        self._vectors: dict[bytes, np.ndarray] = {}

    def run_graph(self, graph: str, **feeds: np.ndarray) -> Sequence[np.ndarray]:
        if graph not in ("source_encoder", "pose_encoder"):
            return super().run_graph(graph, **feeds)
        (pictures,) = feeds.values()
        (name,) = feeds
        for picture in pictures:
            if picture.tobytes() not in self._vectors:
                alone = np.repeat(picture[None], MOST_ROWS, axis=0)
                self._vectors[picture.tobytes()] = super().run_graph(graph, **{name: alone})[0][0]
        return [np.stack([self._vectors[picture.tobytes()] for picture in pictures])]

    def decode(self, latents: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(latents).reshape(len(latents), -1).view(np.uint8)
        pictures = np.zeros((len(latents), 256 * 256 * 3), np.uint8)
        pictures[:, : bits.shape[1]] = bits
        return pictures.reshape(-1, 256, 256, 3)


class Resident(DenoiserOnly):
    """Latents stay on the device between steps, which here is the CPU."""

    def __init__(self, repository: ModelRepository, num_threads: int, execution: Execution) -> None:
        OnnxBackend.__init__(self, repository, num_threads, execution, "cpu", resident_sizes=(MOST_ROWS,))
        self._vectors = {}

    def denoise_step(self, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("steps are resident")


@cache
def backends_of(kind: type[OnnxBackend]) -> dict[Execution, InferenceBackend]:
    repository = open_model_repository(tiny_repository())
    return {execution: kind(repository, 1, execution) for execution in Execution}


@pytest.mark.parametrize(("kind", "tolerance"), [(OneBucket, 0), (OnnxBackend, 1)])
def test_pictures_when_the_network_is_real_then_too_and_bit_for_bit_at_the_same_number_of_rows(
    kind: type[OnnxBackend], tolerance: int
) -> None:
    assert check_schedules(range(40, 41), backends_of(kind), tolerance) > 3, "one of the jobs makes three"


def test_latents_when_jobs_join_and_leave_at_random_then_each_is_bit_for_bit_that_of_its_job_alone(
    request: pytest.FixtureRequest,
) -> None:
    num_schedules = int(request.config.getoption("--schedules"))
    assert check_schedules(range(num_schedules), backends_of(DenoiserOnly), 0) > 3 * num_schedules


def test_pictures_when_the_shipped_int8_shares_a_device_with_float32_then_each_is_that_of_its_job_alone() -> None:
    repository = open_model_repository(SHIPPED)
    backends: dict[Execution, InferenceBackend] = {
        execution: OnnxBackend(repository, 1, execution) for execution in Execution
    }
    wishes = [Wish(0, number, number, 3, 2.0, "ddim", is_low=number % 2 == 0) for number in range(4)]
    for execution, backend in backends.items():
        device = Device(backend, BatchPolicy(4, 4), execution)
        for wish in wishes:
            device.arrive(wish)
        while device.turn():
            pass
        for key, (picture,) in device.pictures.items():
            wish = device.wishes[key]
            # The decoder's batch is another one; what int8 makes of a row never depends on others.
            assert np.abs(picture.astype(int) - alone(wish, backend, execution)).max() <= 1
    exact, low = (alone(replace(wishes[0], is_low=is_low), backends[Execution.STEPWISE]) for is_low in (False, True))
    assert not np.array_equal(exact, low), "both came from one graph"


def test_latents_when_they_stay_on_the_device_then_they_are_bit_for_bit_those_of_the_path_through_the_host() -> None:
    assert check_schedules(range(8), backends_of(Resident), 0, of_solos=backends_of(DenoiserOnly)) > 24


def test_pictures_when_a_job_runs_alone_at_two_numbers_of_rows_then_they_differ_by_one_level_at_most() -> None:
    wish = Wish(0, 0, 1, 5, 2.0, "ddim")
    one, four = (
        alone(wish, backends_of(kind)[Execution.STEPWISE]).astype(np.int16) for kind in (OnnxBackend, OneBucket)
    )
    assert np.abs(one - four).max() <= 1
    assert one.std() > 1, "a picture of one colour would agree with anything"
