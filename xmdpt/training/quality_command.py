"""Options of the command `quality`.

The work is in `xmdpt.quality.measure`, which is imported when the command runs: torch takes seconds.
"""

import argparse
from pathlib import Path

from xmdpt.training.workers import num_cores
from xmdpt.whole_numbers import whole_number

_EPILOG = """examples:
  # the shipped checkpoint, as the README shows it
  python -m xmdpt.training quality --out build/quality

  # a quick look at a repository that was just exported
  python -m xmdpt.training quality --repository build/candidate --pairs 32 --steps 20 --out build/look

A stopped run goes on with the same command: pictures that are there are kept.
exit status: 0 done, 1 the model or the disk failed or the run was stopped, 2 a mistake in the call.
What each figure is: docs/evaluation.md
"""


def add_quality(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    quality = commands.add_parser(
        "quality",
        help="draw held-out rendered persons by exported graphs and score them beside the exact truth",
        description="Draw held-out rendered persons by exported graphs and score them beside the exact truth.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    quality.set_defaults(run=_quality)
    quality.add_argument(
        "--repository", type=Path, default=Path("model_repository"), metavar="DIR", help="(default: model_repository)"
    )
    quality.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for pictures and report")
    quality.add_argument(
        "--pairs", type=whole_number(1, 10**6), default=500, metavar="N", help="held-out pairs (default: 500)"
    )
    quality.add_argument("--steps", type=whole_number(2, 1000), default=50, metavar="N", help="2..1000 (default: 50)")
    quality.add_argument("--guidance", type=float, default=2.0, metavar="G", help="scale, 1 is none (default: 2.0)")
    quality.add_argument(
        "--seed", type=whole_number(0, 2**63), default=0, metavar="N", help="pair i uses seed N + i (default: 0)"
    )
    quality.add_argument(
        "--jobs", type=whole_number(1, 256), metavar="N", help="threads, 1..256 (default: one per core)"
    )
    quality.add_argument(
        "--batch", type=whole_number(1, 256), default=8, metavar="N", help="pairs a thread draws at once (default: 8)"
    )
    quality.add_argument("--sheet", type=Path, metavar="PNG", help="write the contact sheet here, too")


def _quality(options: argparse.Namespace) -> str:
    from xmdpt.evaluation.generators import Sampling
    from xmdpt.quality.measure import measure
    from xmdpt.quality.study import Request

    return measure(
        Request(
            out=options.out,
            repository=options.repository,
            pairs=options.pairs,
            sampling=Sampling(options.steps, options.guidance),
            seed=options.seed,
            jobs=options.jobs or num_cores(),
            batch=options.batch,
            sheet=options.sheet,
        )
    )
