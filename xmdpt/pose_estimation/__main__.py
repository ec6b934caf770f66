"""`python -m xmdpt.pose_estimation`: how exactly poses are found in photos.

Only words, options and exit statuses; the work is in `xmdpt.pose_estimation.accuracy`. To find the pose in one photo:
`python -m xmdpt pose`.
"""

import argparse
import sys
from pathlib import Path

from xmdpt.pose_estimation.estimator import PoseEstimator
from xmdpt.whole_numbers import whole_number

_EPILOG = """examples:
  # 200 rendered persons that no training run sees; report in build/pose/
  python -m xmdpt.pose_estimation evaluate --persons 200

  # folders of DeepFashion's photos with the skeletons drawn of them: <name>/target.png and <name>/pose.png
  python -m xmdpt.pose_estimation evaluate --samples photos --out build/pose-of-photos

exit status: 0 done, 1 less exact than is asked for or nothing can be written, 2 a mistake in the call.
What the figures are: docs/pose-estimation.md
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m xmdpt.pose_estimation", description="Poses from photos.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    evaluate = commands.add_parser(
        "evaluate",
        help="compare with poses that are known",
        description="Compare the poses that are found in photos with the true ones.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.add_argument(
        "--persons",
        type=whole_number(1, 10**6),
        metavar="N",
        help="held-out rendered persons (default: 200, or none with --samples)",
    )
    evaluate.add_argument(
        "--domain", choices=("demo", "varied"), default="demo", help="what persons to render (default: demo)"
    )
    evaluate.add_argument("--samples", type=Path, metavar="DIR", help="folders of target.png and pose.png")
    evaluate.add_argument(
        "--out",
        type=Path,
        default=Path("build/pose"),
        metavar="DIR",
        help="for the report (default: build/pose)",
    )
    return _evaluate(parser.parse_args(arguments))


def _evaluate(options: argparse.Namespace) -> int:
    try:
        from tqdm import tqdm

        from xmdpt.persons.domain import DOMAINS
        from xmdpt.pose_estimation.accuracy.cases import (
            SamplesError,
            annotated_photos,
            rendered_persons,
            sample_folders,
        )
        from xmdpt.pose_estimation.accuracy.measure import Result, measured
        from xmdpt.pose_estimation.accuracy.report import write_report
    except ModuleNotFoundError as error:
        return _refuse(f"{error.name} is not installed; install xmdpt-serve[cpu,train]", 1)
    estimator, results = PoseEstimator(threads=1), dict[str, list[Result]]()
    try:
        folders = sample_folders(options.samples) if options.samples else []
        num_persons = options.persons or (0 if folders else 200)
        if num_persons:
            persons = rendered_persons(num_persons, DOMAINS[options.domain])
            shown = tqdm(measured(persons, estimator), desc=options.domain, total=num_persons, unit="photo")
            results[options.domain] = list(shown)
        if folders:
            photos = annotated_photos(folders)
            shown = tqdm(measured(photos, estimator), desc="samples", total=len(folders), unit="photo")
            results["samples"] = list(shown)
        report, is_met = write_report(results, options.out)
    except SamplesError as error:
        return _refuse(f"--samples {error}", 2)
    except OSError as error:
        return _refuse(f"{error.filename or options.out}: {error.strerror or error}", 1)
    print(report)
    print(f"wrote {options.out}/report.md")
    return 0 if is_met else 1


def _refuse(reason: str, status: int) -> int:
    print(f"python -m xmdpt.pose_estimation evaluate: {reason}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
