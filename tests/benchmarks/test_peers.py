"""The comparison with other serving frameworks: its parts, and one cheap run of our own service; peers take minutes."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.peers.__main__ import main
from benchmarks.peers.comparison import Choice, Comparison
from benchmarks.peers.findings import SCENARIOS, Finding, finding_of_rounds, is_met, ratio
from benchmarks.peers.report import REPORT, RESULTS, Run, runs_of, tables, write_page
from benchmarks.peers.scenarios import (
    LOADS,
    QUICK,
    SHOWN_LOAD,
    Reference,
    Running,
    after_a_kill,
    borne_load,
    in_the_open,
    judged,
)
from loadtests.peers.callers import Due
from loadtests.peers.pipeline import (
    Inputs,
    OnnxGraphs,
    Pipeline,
    SimulatedDevice,
    SimulatedGraphs,
    decode_photo,
    draw_pose,
)
from loadtests.peers.processes import ServiceProcess
from loadtests.peers.services import SERVICES, Device, Mosec
from loadtests.peers.traffic import STEPS, job, mixed, poisson
from loadtests.peers.triton_repository import write_repository
from loadtests.records import Record
from tests.integration.processes import wait_until
from xmdpt.repository import check_files, load_manifest

_SHIPPED = Path(__file__).resolve().parents[2] / "model_repository"


def a_record(sent: float, ended: float, steps: int = 20, outcome: str = "succeeded") -> Record:
    return Record(sent, sent, ended, "wait", steps, outcome)  # pyright: ignore[reportArgumentType]


def an_input(number: int, steps: int) -> Inputs:
    asked = job(number, steps)
    return Inputs(decode_photo(asked.photo), draw_pose(dict(asked.pose)), steps, asked.seed)


def a_run(*findings: Finding) -> Run:
    return Run(list(findings), {"on": "a day"}, is_quick=False)


def test_pipeline_when_steps_differ_in_a_batch_then_each_picture_is_that_of_its_request_alone() -> None:
    pipeline = Pipeline(OnnxGraphs())
    requests = [an_input(0, 3), an_input(1, 2), an_input(0, 4)]

    together = pipeline.run(requests)

    assert together == [pipeline.run([request])[0] for request in requests]
    assert len(set(together)) == 3


def test_pipeline_when_a_person_comes_again_then_no_encoder_runs() -> None:
    class Counting(SimulatedGraphs):
        rows = 0

        def encode_source(self, photos):
            self.rows += len(photos)
            return super().encode_source(photos)

        def encode_pose(self, skeletons):
            return super().encode_source(skeletons)

    graphs = Counting(SimulatedDevice(0.0, 0.0))
    pipeline = Pipeline(graphs)
    pipeline.run([an_input(0, 2), an_input(0, 2), an_input(1, 2)])
    pipeline.run([an_input(1, 2)])

    # Two persons were encoded, each once, though they came four times.
    assert graphs.rows == 2


def test_traffic_when_made_twice_then_it_is_the_same_and_steps_are_in_equal_parts() -> None:
    stream = poisson(0, 2.0, 30.0)
    steps = [each.job.steps for each in stream]

    assert stream == poisson(0, 2.0, 30.0)
    assert 30 < len(stream) < 90
    assert max(steps.count(each) for each in STEPS) - min(steps.count(each) for each in STEPS) <= 1
    assert len({each.photo for each in mixed(0, 100)}) == 100


def test_judged_when_jobs_are_late_or_fail_then_they_are_not_in_time() -> None:
    known = Reference(2.0, {10: 1.0, 50: 5.0})
    records = [a_record(0, 0.5, 10), a_record(1, 3, 10), a_record(2, 6, 50), a_record(3, 3.1, 10, "failed")]

    values = judged({0.5: [a_record(0, 0.5, 10)], 0.7: records}, known)

    assert (values["in_time_0.5"], values["in_time_0.7"], values["p50"]) == ([1.0], [0.5], [2.0])
    # From 0.5 to 0.7 the share falls from 1 to 0.5: a fifth of the way it is 0.9.
    assert values["goodput"] == [pytest.approx(2.0 * 0.54)]


def test_judged_when_nobody_gets_a_picture_then_there_is_no_latency() -> None:
    values = judged({0.7: [a_record(0, 1, 10, "lost")]}, Reference(1.0, {10: 1.0}))

    assert "p50" not in values
    assert values["in_time_0.7"] == [0.0]


@pytest.mark.parametrize(
    ("shares", "load"),
    [
        pytest.param({0.5: 1.0, 0.9: 0.95}, 0.9, id="all are borne, and more is not known"),
        pytest.param({0.5: 0.8, 0.9: 0.1}, 0.25, id="none is: between nobody and the lowest"),
        pytest.param({0.5: 0.92, 0.7: 0.88, 0.9: 0.95}, 0.6, id="the first one that is not borne counts"),
    ],
)
def test_borne_load_when_shares_are_known_then_it_is_where_nine_of_ten_are_in_time(
    shares: dict[float, float], load: float
) -> None:
    assert borne_load(shares) == pytest.approx(load)


def test_after_a_kill_when_jobs_were_in_flight_then_lost_ones_and_the_pause_are_told() -> None:
    records = [
        a_record(0, 1),
        a_record(1, 9),
        a_record(1, 2.5, outcome="lost"),
        a_record(3, 3.1, outcome="refused"),
        a_record(8, 10),
    ]

    values = after_a_kill(records, killed_at=2.0, over_at=20.0)

    # Pictures end until 10, and nobody asks anew from 20 on.
    assert values == {"in_flight": [2.0], "lost": [1.0], "failed_later": [1.0], "pause": [10.0]}


@pytest.mark.parametrize(
    ("ended", "over_at", "pause"),
    [
        pytest.param([], 20.0, 18.0, id="none comes"),
        pytest.param([3.0, 4.0], 20.0, 16.0, id="none comes but those nearly done"),
        pytest.param([3.0, 30.0], 20.0, 27.0, id="it is over before the next one comes"),
        pytest.param([3.0, 9.0, 10.0, 11.0], 10.0, 6.0, id="they come again"),
        pytest.param([3.0, 9.0, 9.5, 10.5, 90.0], 10.0, 6.0, id="they come again, and one waits long"),
    ],
)
def test_after_a_kill_when_pictures_stay_away_then_the_pause_is_the_longest_while_callers_ask(
    ended: list[float], over_at: float, pause: float
) -> None:
    records = [a_record(0, 1), *(a_record(1, each) for each in ended)]

    assert after_a_kill(records, killed_at=2.0, over_at=over_at)["pause"] == [pause]


def test_ratio_when_sides_took_turns_then_it_is_the_median_of_rounds() -> None:
    lone, kept = SCENARIOS["lone"], SCENARIOS["mixed"]
    ours, peer = (
        Finding("lone", "ours", {"seconds": [1.0]}),
        Finding("lone", "mosec", {"seconds": [9.0]}, [0.9, 1.0, 1.3]),
    )

    assert ratio(lone, ours, peer) == 1.0
    assert is_met(lone, 1.02)
    assert not is_met(lone, 1.03)
    assert ratio(
        kept, Finding("mixed", "ours", {"goodput": [3.0]}), Finding("mixed", "ray", {"goodput": [0.0]})
    ) == float("inf")
    assert ratio(kept, ours, Finding("mixed", "ray", remark="did not start")) is None
    assert ratio(lone, ours, Finding("lone", "ray", {"seconds": [2.0]})) is None


def test_in_the_open_when_a_load_is_not_borne_then_no_higher_one_is_tried_and_nobody_comes_twice() -> None:
    class Idle:
        def cpu_seconds(self) -> dict[int, float]:
            return {}

    class Scripted:
        """At a load above 0.5 every job is late."""

        def __init__(self) -> None:
            self.seeds: list[list[int]] = []

        async def when_due(self, stream: Sequence[Due], grace_seconds: float) -> list[Record]:
            self.seeds.append([each.job.seed for each in stream])
            seconds = 0.5 if len(self.seeds) == 1 else 9.0
            return [a_record(each.seconds, each.seconds + seconds, each.job.steps) for each in stream]

    callers, known = Scripted(), Reference(20.0, dict.fromkeys(STEPS, 1.0))
    running = Running(SERVICES["ours"], Idle(), callers)  # pyright: ignore[reportArgumentType]

    values = asyncio.run(in_the_open(running, known, replace(QUICK, loads=(0.5, 0.7, 0.9)), seconds=2.0))

    assert (values["in_time_0.5"], values["in_time_0.7"]) == ([1.0], [0.0])
    assert "in_time_0.9" not in values
    first, second = callers.seeds
    assert not set(first) & set(second)


def test_rounds_when_some_failed_then_they_are_named_and_only_rounds_of_both_are_compared() -> None:
    seconds = {"ours": {1: 1.0, 2: 1.0, 4: 3.0}, "mosec": {2: 2.0, 3: 5.0, 4: 2.0}, "ray": {}}
    by_round = {name: {turn: {"seconds": [value]} for turn, value in taken.items()} for name, taken in seconds.items()}

    ours, mosec, ray = (finding_of_rounds("lone", name, by_round, 0.1, num_rounds=4) for name in by_round)

    assert (ours.values["seconds"], ours.ratios, ours.remark) == ([1.0, 1.0, 3.0], [], "made no picture in round 3")
    assert (mosec.ratios, mosec.remark) == ([0.5, 1.5], "made no picture in round 1")
    assert (ray.values, ray.remark) == ({}, "made no picture")
    assert finding_of_rounds("lone", "ours", by_round, 0.1, num_rounds=2).remark == ""


def test_tables_when_a_peer_failed_then_its_row_says_why() -> None:
    found = a_run(
        Finding("mixed", "ours", {"p50": [0.5], "p95": [1.0], "in_time_0.7": [1.0], "goodput": [3.0]}),
        Finding(
            "mixed", "bentoml", {"p50": [0.9], "p95": [2.0], "in_time_0.7": [0.5], "goodput": [1.5]}, remark="twice"
        ),
        Finding("mixed", "mosec", remark="did not start: a | b"),
    )

    lines = tables([found])

    ours, bentoml = (
        " | ".join(share if load == SHOWN_LOAD else "not measured" for load in LOADS) for share in ("100.0%", "50.0%")
    )
    assert f"| **xmdpt-serve** | {ours} | 0.5 | 1 | 3 |  |" in lines
    assert f"| BentoML (twice) | {bentoml} | 0.9 | 2 | 1.5 | **2**, met |" in lines
    assert f"| mosec | did not start: a / b |{'  |' * (len(LOADS) + 3)}" in lines


def test_tables_when_nothing_is_wanted_of_a_ratio_then_it_is_told_without_a_judgement() -> None:
    found = a_run(
        Finding("edge", "ours", {"rate": [60.0], "p50": [0.3]}),
        Finding("edge", "ray", {"rate": [120.0], "p50": [0.1]}),
    )

    lines = tables([found])

    assert lines[0].endswith("| ours / it |")
    assert "| Ray Serve | 120 | 0.1 | **0.5** |" in lines


def test_tables_when_sides_took_turns_then_the_middle_half_of_the_ratios_is_told() -> None:
    found = a_run(
        Finding("lone", "ours", {"seconds": [1.0] * 5}),
        Finding("lone", "ray", {"seconds": [1.0] * 5}, ratios=[0.5, 0.9, 1.0, 1.1, 3.0]),
    )

    assert "| Ray Serve | 1 | not measured | **1** (0.9 to 1.1), met |" in tables([found])


def test_page_when_written_twice_then_the_second_run_is_shown(tmp_path: Path) -> None:
    page = tmp_path / "peers.md"
    mark = "<!-- measured: {}; `python -m benchmarks.peers --page` -->"
    page.write_text(f"before\n{mark.format('begin')}\n<!-- measured: end -->\nbehind\n")
    first, second = (Finding("kill", "ours", {"in_flight": [number]}) for number in (7.0, 8.0))

    write_page(page, a_run(first))
    write_page(page, a_run(second))

    text = page.read_text()
    assert "| **xmdpt-serve** | 8 |" in text
    assert "| **xmdpt-serve** | 7 |" not in text
    assert text.startswith("before\n")
    assert text.endswith("behind\n")
    assert [each.values for run in runs_of(page.with_suffix(".json")) for each in run.findings] == [second.values]


def test_page_when_a_run_leaves_a_scenario_out_then_what_was_found_of_it_stays(tmp_path: Path) -> None:
    page = tmp_path / "peers.md"
    mark = "<!-- measured: {}; `python -m benchmarks.peers --page` -->"
    page.write_text(f"{mark.format('begin')}\n<!-- measured: end -->\n")
    kill, edge, later = (
        Finding(key, "ours", {"in_flight": [number], "rate": [number], "p50": [0.1]})
        for key, number in (("kill", 7.0), ("edge", 60.0), ("edge", 61.0))
    )

    write_page(page, a_run(kill, edge))
    write_page(page, a_run(later))

    text = page.read_text()
    assert "| **xmdpt-serve** | 7 |" in text
    assert "| **xmdpt-serve** | 61 | 0.1 |" in text
    assert "| **xmdpt-serve** | 60 |" not in text
    assert text.count("Measured (") == 2


def test_comparison_when_a_service_is_found_twice_then_the_better_finding_stays() -> None:
    comparison = Comparison(Choice([], ["mixed"], QUICK, max_batch=8), lambda _: None, lambda _: None)
    for goodput in (1.0, 2.0, 1.5):
        comparison.note(Finding("mixed", "mosec", {"goodput": [goodput]}))
    comparison.note(Finding("mixed", "mosec", remark="did not start"))

    assert [finding.values for finding in comparison.found] == [{"goodput": [2.0]}]


@pytest.mark.parametrize("simulated", [None, SimulatedDevice(0.01, 0.0005)])
def test_triton_repository_when_written_then_the_shipped_one_is_unchanged(
    tmp_path: Path, simulated: SimulatedDevice | None
) -> None:
    folder = write_repository(tmp_path / "repository", 16, simulated)

    step = (folder / "tdnet_step/configs/cpu.pbtxt").read_text()
    assert "max_batch_size: 16" in step
    assert "preferred_batch_size" not in step
    assert (folder / "tdnet_step/1/model.py").exists() == (simulated is not None)
    assert "KIND_CPU" in (folder / "xmdpt_loop/config.pbtxt").read_text()
    check_files(_SHIPPED, load_manifest(_SHIPPED))


def test_service_process_when_stopped_then_all_that_it_started_is_gone(tmp_path: Path) -> None:
    # A process of a session of its own that does not listen to SIGTERM, and works.
    inner = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\nwhile True: pass"
    outer = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {inner!r}], start_new_session=True)"
    log = tmp_path / "log"
    process = ServiceProcess([sys.executable, "-c", outer], os.environ, tmp_path, log)
    give_up_at = time.monotonic() + 60
    while "up" not in log.read_text() and time.monotonic() < give_up_at:
        time.sleep(0.05)
    # On a busy computer it gets a core now and then only.
    number = process.busiest(2.0)
    words = Path(f"/proc/{number}/cmdline").read_text()

    process.stop(patience_seconds=0.2)

    assert "SIG_IGN" in words
    assert process.has_ended
    assert not process.cpu_seconds()


def test_service_process_when_paused_then_all_of_it_stands_still_until_it_is_resumed_or_stopped(tmp_path: Path) -> None:
    # What it starts while it is told to stand still must stand still too.
    starting = "i=0; while [ $i -lt 50 ]; do sleep 60 & i=$((i+1)); done; wait"
    process = ServiceProcess(["sh", "-c", starting], os.environ, tmp_path, tmp_path / "log")
    while len(process.cpu_seconds()) < 3:
        time.sleep(0.01)

    def states() -> set[str]:
        found = set[str]()
        for number in process.cpu_seconds():
            # One that has only been forked may be gone by now.
            with suppress(OSError):
                found.add(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0])
        return found

    # A signal is sent before it has done anything.
    process.pause()
    wait_until(lambda: states() == {"T"}, 60, "all of it stands still")
    process.resume()
    wait_until(lambda: "T" not in states(), 60, "all of it goes on")
    process.pause()
    process.stop(patience_seconds=0.2)

    assert not process.cpu_seconds()


def test_service_process_when_its_command_ends_then_it_is_started_again(tmp_path: Path) -> None:
    process = ServiceProcess(["sleep", "60"], os.environ, tmp_path, tmp_path / "log")
    (number,) = process.cpu_seconds()
    subprocess.run(["kill", "-9", str(number)], check=True)
    while not process.has_ended:
        time.sleep(0.01)

    process.keep_running()

    assert process.num_restarts == 1
    assert number not in process.cpu_seconds()
    process.stop(patience_seconds=0.2)


def test_comparison_when_a_peer_does_not_start_then_it_is_said_and_the_run_goes_on() -> None:
    class Broken(Mosec):
        def prepare(self, report) -> None:
            pass

        def command(self, device: Device, port: int, folder: Path) -> list[str]:
            return [sys.executable, "-c", "raise SystemExit('no mosec today')"]

    kept: list[int] = []
    choice = Choice([Broken()], ["saturated", "kill"], QUICK, max_batch=1)
    comparison = Comparison(choice, lambda _: None, lambda found: kept.append(len(found)))

    asyncio.run(comparison.run())

    assert [(found.scenario, found.service) for found in comparison.found] == [
        ("saturated", "mosec"),
        ("kill", "mosec"),
    ]
    assert all("no mosec today" in found.remark for found in comparison.found)
    assert kept == [1, 2]


def test_command_when_run_with_ours_alone_then_it_is_measured_and_reported(tmp_path: Path) -> None:
    words = ["--only", "ours", "--scenario", "persons", "--quick", "--out", str(tmp_path)]

    assert main(words) == 0

    ((finding,),) = (run.findings for run in runs_of(tmp_path / RESULTS))
    assert (finding.scenario, finding.service) == ("persons", "ours")
    assert finding.values["rate"][0] > 0
    assert "its figures mean nothing" in (tmp_path / REPORT).read_text()


def test_services_when_listed_then_ours_is_first_and_each_has_its_requirements() -> None:
    folder = Path(__file__).resolve().parents[2] / "loadtests" / "peers"
    with_environment = [name for name in SERVICES if (folder / "requirements" / f"{name}.txt").exists()]

    assert next(iter(SERVICES)) == "ours"
    assert with_environment == ["litserve", "bentoml", "ray", "mosec"]
    assert all((folder / f"{name}_server.py").exists() for name in with_environment)
