"""`python -m loadtests SCENARIO`: load on a running service, or on one that is started for it, and a report."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx

from benchmarks.marked_page import PageError
from benchmarks.occasion import occasion
from loadtests.page import check_page, write_page
from loadtests.records import read_records
from loadtests.report import write_report
from loadtests.scenarios import FILE, Scenario, planned, read_scenarios
from loadtests.target import TargetError, jobs_per_second, seconds_alone, started_service
from loadtests.verdict import Verdict, judge

_HERE = Path(__file__).resolve().parent


def main() -> int:
    """Run the scenarios; returns `exit_status`, or 2 if nothing could be run."""
    arguments = _arguments()
    try:
        scenarios = read_scenarios(arguments.scenarios)
        chosen = [scenarios[name] for name in arguments.names or ("poisson",)]
        if arguments.page:
            check_page(arguments.page)
        if arguments.triton and arguments.rate is None:
            raise TargetError("--triton goes with --rate: a Triton does not say what it can do")
        with ExitStack() as stack:
            address = (
                arguments.triton
                or arguments.host
                or stack.enter_context(started_service(arguments.workers, _settings(arguments)))
            )
            verdicts = [_run(_changed(scenario, arguments), address, arguments) for scenario in chosen]
        if arguments.page:
            write_page(arguments.page, verdicts, occasion(), _target(arguments))
    except (TargetError, PageError, ValueError, OSError) as error:
        print(f"loadtests: {error}", file=sys.stderr)
        return 2
    except KeyError as error:
        print(f"loadtests: there is no scenario {error}; {FILE.name} has {', '.join(scenarios)}", file=sys.stderr)
        return 2
    return exit_status(verdicts)


def exit_status(verdicts: Sequence[Verdict]) -> int:
    """0, 1 if an objective was missed, 2 if a verdict can't be trusted, which is said."""
    doubtful = [verdict for verdict in verdicts if not verdict.is_trustworthy]
    for verdict in doubtful:
        detail = f"the caller itself was up to {verdict.late_seconds:.2f} s late, so its objectives tell nothing"
        print(f"loadtests: {verdict.plan.scenario.name}: {detail}", file=sys.stderr)
    if doubtful:
        return 2
    return 0 if all(verdict.is_kept for verdict in verdicts) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help="of scenarios.toml (default: poisson)")
    parser.add_argument(
        "--host", help="address of a running service; without it one is started for the run. Its key: XMDPT_KEY"
    )
    parser.add_argument("--triton", metavar="ADDRESS", help="call a Triton itself (docs/triton.md), for comparison")
    parser.add_argument(
        "--prediction",
        default="v",
        choices=["epsilon", "v", "x0"],
        help="what that Triton's model predicts, see MANIFEST.json (default: v)",
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="of the service that is started (default: 1)"
    )
    parser.add_argument("--simulated", action="store_true", help="start one that waits instead of running a network")
    parser.add_argument("--load", type=float, help="share of what the workers can do, instead of the scenario's")
    parser.add_argument("--rate", type=float, help="jobs per second, instead of a share")
    parser.add_argument("--seconds", type=float, help="how long jobs come, instead of the scenario's")
    parser.add_argument("--seed", type=int, default=1, help="of times, steps and persons (default: 1)")
    parser.add_argument(
        "--out", type=Path, default=Path("build/load"), help="folder of the reports (default: build/load)"
    )
    parser.add_argument("--page", type=Path, help="a page to put the runs into, such as docs/benchmarks.md")
    parser.add_argument("--scenarios", type=Path, default=FILE, help="another file of scenarios and objectives")
    return parser.parse_args()


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    # A load test is one caller to a service that is open to this computer alone: no limit of rates stops it.
    simulated = {"XMDPT_BACKEND": "simulated", "XMDPT_SIMULATED__STEP_MS": "4", "XMDPT_SIMULATED__ROW_MS": "1"}
    return {"XMDPT_LOG_LEVEL": "warning"} | (simulated if arguments.simulated else {})


def _changed(scenario: Scenario, arguments: argparse.Namespace) -> Scenario:
    changes = {name: getattr(arguments, name) for name in ("load", "seconds") if getattr(arguments, name) is not None}
    return replace(scenario, **changes)


def _run(scenario: Scenario, address: str, arguments: argparse.Namespace) -> Verdict:
    folder: Path = arguments.out / scenario.name
    folder.mkdir(parents=True, exist_ok=True)
    key = os.environ.get("XMDPT_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    prediction = arguments.prediction if arguments.triton else None
    with httpx.Client(base_url=address, headers=headers, timeout=120, trust_env=False) as client:
        alone = seconds_alone(client, scenario.steps, prediction)
        rate = arguments.rate or scenario.load * jobs_per_second(client, scenario.steps)
    plan = planned(scenario, rate, arguments.seed)
    print(f"{scenario.name}: {len(plan.calls)} calls in {scenario.seconds:g} s, {rate:.3g} a second", flush=True)
    records = folder / "records.jsonl"
    records.unlink(missing_ok=True)
    (folder / "plan.json").write_text(json.dumps(plan.to_json()))
    environment = os.environ | {
        "XMDPT_LOAD_PLAN": str(folder / "plan.json"),
        "XMDPT_LOAD_RECORDS": str(records),
        "XMDPT_LOAD_TRITON_PREDICTION": prediction or "",
        "PYTHONPATH": os.pathsep.join([str(_HERE.parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "locust", "-f", str(_HERE / "locustfile.py"), "--headless", "--only-summary"]
    command += ["--host", address, "--html", str(folder / "locust.html"), "--csv", str(folder / "locust")]
    with (folder / "locust.log").open("w") as log:
        subprocess.run(command, env=environment, stdout=log, stderr=log, check=False)
    if not records.exists():
        tail = "\n".join((folder / "locust.log").read_text().splitlines()[-15:])
        raise TargetError(f"locust wrote no records; the end of its log:\n{tail}")
    verdict = judge(plan, read_records(records), alone)
    found = occasion()
    write_report(verdict, f"{found['machine']}, {found['date']}, {_target(arguments)}", folder)
    print((folder / "report.md").read_text())
    print(f"report in {folder}/report.html and report.md, Locust's own beside it\n", flush=True)
    return verdict


def _target(arguments: argparse.Namespace) -> str:
    if arguments.triton:
        return "a Triton alone"
    if arguments.host:
        return "a service elsewhere"
    workers = f"{arguments.workers} {'worker' if arguments.workers == 1 else 'workers'}"
    return f"a service with {workers}{', simulated' if arguments.simulated else ''} on the caller's own cores"


if __name__ == "__main__":
    sys.exit(main())
