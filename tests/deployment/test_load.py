"""The load tests against real services, for as long as it takes to see each part of them work."""

import base64
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from loadtests.__main__ import exit_status
from loadtests.page import BEGIN, END
from loadtests.records import Record, read_records, write_records
from loadtests.scenarios import Scenario, planned, read_scenarios
from loadtests.target import stop_all
from loadtests.verdict import judge
from tests.deployment.artifacts import ROOT
from tests.integration.processes import RunningService, free_port

SCENARIOS = read_scenarios()


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "loadtests", *words, "--out", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", SCENARIOS)
def test_plan_when_made_then_it_is_as_the_scenario_says_and_the_same_again(name: str) -> None:
    scenario = SCENARIOS[name]
    plan, again, other = (planned(scenario, 20.0, seed) for seed in (1, 1, 2))
    times = [call.due for call in plan.calls]
    expected = 20.0 * scenario.seconds

    assert plan == again
    assert scenario.arrivals == "constant" or plan.calls != other.calls
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] < scenario.seconds
    assert len(times) == pytest.approx(expected, rel=0.15)
    assert {call.steps for call in plan.calls} == set(scenario.steps)
    assert len({call.person for call in plan.calls}) == scenario.persons
    share = sum(call.kind == "cancel" for call in plan.calls) / len(times)
    assert share == pytest.approx(scenario.cancel_share, abs=0.05)


def test_arrivals_when_they_ramp_then_twice_as_many_come_at_the_end_as_at_the_mean() -> None:
    times = [call.due for call in planned(SCENARIOS["ramp"], 100.0, 1).calls]
    seconds = SCENARIOS["ramp"].seconds

    assert sum(time > seconds * 0.9 for time in times) / len(times) == pytest.approx(0.19, abs=0.02)


def test_arrivals_when_they_burst_then_half_of_them_come_in_a_tenth_of_the_time() -> None:
    scenario = SCENARIOS["burst"]
    times = [call.due for call in planned(scenario, 100.0, 1).calls]
    length = scenario.seconds * 0.1 / 3
    starts = [scenario.seconds * (number + 0.5) / 3 for number in range(3)]
    loud = [time for time in times if any(start <= time < start + length for start in starts)]

    assert len(loud) / len(times) == pytest.approx(0.55, abs=0.05)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[x]\nabout = "a"\narrivals = "constant"\nload = 1\nseconds = 1\n', "objectives"),
        ("[x]\nobjectives = {success = 1}\n", "[x]"),
        (
            '[x]\nabout="a"\narrivals="often"\nload=1\nseconds=1\nobjectives={success=1,slo_share=1,max_lost=0}\n',
            "poisson",
        ),
    ],
)
def test_scenarios_when_the_file_is_wrong_then_the_entry_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.toml").write_text(text)

    done = run(tmp_path, "x", "--scenarios", str(tmp_path / "bad.toml"))

    assert done.returncode == 2
    assert words in done.stderr


def a_run(**outcomes: int) -> tuple[Scenario, list[Record]]:
    """So many records of each outcome, each of which took a second."""
    names = [name for name, number in outcomes.items() for _ in range(number)]
    Random(1).shuffle(names)
    records = [Record(i / 10, i / 10, i / 10 + 1, "poll", 20, name) for i, name in enumerate(names)]  # pyright: ignore[reportArgumentType]
    return SCENARIOS["poisson"], records


def test_verdict_when_jobs_ended_then_shares_and_rates_are_of_those_that_should_have() -> None:
    scenario, records = a_run(succeeded=80, cancelled=10, failed=5, refused=5)
    plan = planned(scenario, 5.0, 1)
    plan = type(plan)(scenario, 5.0, plan.calls[:100])

    fast = judge(plan, records, dict.fromkeys(scenario.steps, 1.0))
    slow = judge(plan, records, dict.fromkeys(scenario.steps, 0.1))

    assert fast.slo_share == pytest.approx(80 / 90)
    assert fast.throughput == fast.goodput == pytest.approx(80 / records[-1].ended)
    assert (slow.slo_share, slow.goodput, slow.throughput) == (0, 0, fast.throughput)
    assert not fast.is_kept
    assert fast.percentiles[20] == pytest.approx([1, 1, 1, 1])


def test_verdict_when_a_call_left_no_record_then_it_is_lost() -> None:
    scenario, records = a_run(succeeded=99)
    plan = planned(scenario, 5.0, 1)
    plan = type(plan)(scenario, 5.0, plan.calls[:100])

    verdict = judge(plan, records, dict.fromkeys(scenario.steps, 1.0))

    assert verdict.outcomes == {"succeeded": 99, "lost": 1}
    assert [objective.name for objective in verdict.objectives if not objective.is_kept] == [
        *("share of jobs that end well", "accepted jobs without an end"),
    ]


def test_verdict_when_the_caller_was_late_then_its_times_are_not_trusted(tmp_path: Path) -> None:
    scenario, records = a_run(succeeded=100)
    late = [Record(r.due, r.due + 0.5, r.ended, r.kind, r.steps, r.outcome) for r in records]
    write_records(tmp_path / "records", late)
    plan = planned(scenario, 5.0, 1)

    assert judge(plan, records, dict.fromkeys(scenario.steps, 1.0)).is_trustworthy
    assert not judge(plan, read_records(tmp_path / "records"), dict.fromkeys(scenario.steps, 1.0)).is_trustworthy


def test_status_when_a_verdict_cannot_be_trusted_then_it_is_no_success_and_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    scenario, records = a_run(succeeded=100)
    plan = planned(scenario, 5.0, 1)
    plan = type(plan)(scenario, 5.0, plan.calls[:100])
    late = [Record(r.due, r.due + 0.5, r.ended, r.kind, r.steps, r.outcome) for r in records]
    kept = judge(plan, records, dict.fromkeys(scenario.steps, 1.0))
    missed = judge(plan, records, dict.fromkeys(scenario.steps, 0.1))
    doubtful = judge(plan, late, dict.fromkeys(scenario.steps, 1.0))

    statuses = [exit_status(verdicts) for verdicts in ([kept], [kept, missed], [kept, doubtful], [missed, doubtful])]

    assert statuses == [0, 1, 2, 2]
    assert capsys.readouterr().err.count("poisson: the caller itself was up to 0.50 s late") == 2


def test_stop_when_a_process_does_not_end_then_it_is_killed_and_the_others_end() -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    willing = "import signal; print(flush=True); signal.pause()"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for code in (stubborn, willing, stubborn)
    ]
    for process in processes:
        assert process.stdout
        with process.stdout as started:
            started.readline()

    stop_all(processes, patience_seconds=1)

    assert [process.returncode for process in processes] == [-signal.SIGKILL, -signal.SIGTERM, -signal.SIGKILL]


def test_load_when_a_service_runs_then_every_way_of_calling_it_is_seen_and_reported(
    service: RunningService, tmp_path: Path
) -> None:
    (tmp_path / "page.md").write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    target = ("--host", f"http://127.0.0.1:{service.port}", "--page", str(tmp_path / "page.md"))
    done = run(tmp_path, "cancels", "batch", "--rate", "4", "--seconds", "5", *target)
    shown = (tmp_path / "page.md").read_text()
    records = {name: read_records(tmp_path / name / "records.jsonl") for name in ("cancels", "batch")}
    page = (tmp_path / "cancels" / "report.html").read_text()
    batches = service.client.get("/v1/jobs?limit=100").json()["data"]

    # On a busy computer jobs may be late, and so may the caller; no job may be lost.
    assert done.returncode in (0, 1, 2), done.stdout + done.stderr
    assert {record.kind for records in records.values() for record in records} == {"wait", "poll", "cancel"}
    assert {r.outcome for found in records.values() for r in found} <= {"succeeded", "cancelled"}
    assert any(job["batch_id"] for job in batches)
    assert "p95 s" in (tmp_path / "batch" / "report.md").read_text()
    assert base64.b64encode((tmp_path / "cancels" / "chart.png").read_bytes()).decode() in page
    assert (tmp_path / "cancels" / "locust.html").is_file()
    assert shown.startswith("before\n")
    assert shown.endswith("after\n")
    assert "old" not in shown
    assert [f"| {name} | {len(found)} | 4 | " in shown for name, found in records.items()] == [True, True]
    assert "What was called: a service elsewhere. 20" in shown
    assert (tmp_path / "images" / "load.png").read_bytes().startswith(b"\x89PNG")


def test_load_when_no_service_is_named_then_one_is_started_and_gone_afterwards(tmp_path: Path) -> None:
    done = run(tmp_path, "constant", "--simulated", "--workers", "2", "--seconds", "3", "--load", "0.2")

    assert done.returncode in (0, 1, 2), done.stdout + done.stderr
    assert "a service with 2 workers, simulated" in done.stdout
    assert "accepted jobs without an end | 0 | 0 | kept" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "there is no scenario 'nothing'; scenarios.toml has constant"),
        (["poisson", "--host", "http://127.0.0.1:PORT"], "nobody answers at http://127.0.0.1:"),
        (["poisson", "--triton", "http://127.0.0.1:PORT"], "--triton goes with --rate"),
        (["poisson", "--page", "README.md"], "README.md: there is no line <!-- load: begin"),
    ],
)
def test_load_when_it_cannot_be_run_then_it_says_why(tmp_path: Path, words: list[str], said: str) -> None:
    done = run(tmp_path, *(word.replace("PORT", str(free_port())) for word in words))

    assert done.returncode == 2
    assert said in done.stderr
