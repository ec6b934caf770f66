"""`python -m xmdpt.training`: options, words and exit statuses of its commands.

The work is elsewhere: `evaluate` in `xmdpt.evaluation.evaluate`, `render` in `xmdpt.training.render`; the options of
the rest are in `xmdpt.training.training_commands` and `xmdpt.training.quality_command`.
"""

import argparse
import re
import sys
from pathlib import Path

from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.sampler import SAMPLERS
from xmdpt.spec import VARIANTS
from xmdpt.training.quality_command import add_quality
from xmdpt.training.training_commands import add_autoencoder, add_denoiser, add_prepare
from xmdpt.training.workers import num_cores
from xmdpt.whole_numbers import whole_number

_count = whole_number(1, 10**9)
_jobs = whole_number(1, 256)
_steps = whole_number(2, 1000)
_seed = whole_number(0, 2**63)

_EVALUATE_EPILOG = """examples:
  # a folder of photos with test_pairs.txt and key points as JSON lines, the graphs of model_repository/
  python -m xmdpt.training evaluate --data photos --key-points photos/poses.jsonl --out build/evaluation

  # the same where nobody has annotated the photos: key points are estimated
  python -m xmdpt.training evaluate --data photos --out build/evaluation

  # DeepFashion as PIDM prepares it (256-256/, pose/, test_pairs.txt), the first 100 pairs
  python -m xmdpt.training evaluate --data deepfashion --variant s --repository models/s --limit 100 --out out/s

  # all of it, with FID and LPIPS; stopped runs go on with the same command
  python -m xmdpt.training evaluate --data deepfashion --variant s --repository models/s --out out/s \\
    --inception inception_v3_google-0cc3c7bd.pth --fid-against train_png --lpips alexnet.pth alex.pth

exit status: 0 done, 1 the model or the disk failed or the run was stopped, 2 a mistake in the call or in the data.
What to bring and how to read the figures: docs/evaluation.md
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 for a failed run, 2 for a mistake in the call or the data."""
    parser = argparse.ArgumentParser(
        prog="python -m xmdpt.training",
        description="Work on the model away from serving: render persons, train, judge.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_evaluate(commands)
    _add_render(commands)
    add_prepare(commands)
    add_autoencoder(commands)
    add_denoiser(commands)
    add_quality(commands)
    options = parser.parse_args(arguments)
    try:
        print(options.run(options), flush=True)
        return 0
    except InputError as error:
        return _refuse(options.command, error, 2)
    except RunError as error:
        return _refuse(options.command, error, 1)
    except KeyboardInterrupt:
        return _refuse(options.command, "stopped; the same command goes on from here", 1)


def _add_evaluate(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    evaluate = commands.add_parser(
        "evaluate",
        help="draw every pair of a data set and compare with the true photos, as the paper does",
        description="Draw every pair of a data set and compare with the true photos, as the paper does.",
        epilog=_EVALUATE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    evaluate.set_defaults(run=_evaluate)

    data = evaluate.add_argument_group("data")
    data.add_argument("--data", type=Path, required=True, metavar="DIR", help="photos: a folder, or PIDM's LMDB")
    data.add_argument(
        "--pairs", type=Path, metavar="FILE", help="lines target,source[,source...] (default: DIR/test_pairs.txt)"
    )
    data.add_argument(
        "--key-points",
        type=Path,
        metavar="PATH",
        help="of the targets: CSV name:keypoints_y:keypoints_x, JSON lines (.jsonl), or PIDM's folder of text files "
        "(default: DIR/pose; without one they are estimated from the photos)",
    )
    data.add_argument(
        "--frame",
        type=_frame,
        metavar="WxH+X+Y",
        help="photo's place in the annotated picture, for CSV and text files (default: DeepFashion's 176x256+40+0); "
        "estimates take the photos' true shape from it (default: each photo's own; DeepFashion's in an LMDB)",
    )
    data.add_argument("--limit", type=_count, metavar="N", help="only the first N pairs")

    model = evaluate.add_argument_group("model")
    model.add_argument("--variant", choices=sorted(VARIANTS), help="size (default: the repository's; tiny in torch)")
    model.add_argument(
        "--engine",
        choices=("graphs", "torch"),
        help="graphs: ONNX Runtime, in batches; torch: the slow reference (default: graphs)",
    )
    model.add_argument("--repository", type=Path, metavar="DIR", help="exported graphs (default: model_repository)")
    model.add_argument("--weights", type=Path, metavar="FILE", help="for torch: official X-MDPT checkpoint")
    model.add_argument(
        "--vae", type=Path, metavar="PATH", help="for torch: diffusers folder of the autoencoder, or its file"
    )
    model.add_argument("--dino", type=Path, metavar="DIR", help="for torch: folder with DINOv2's hub files")

    drawing = evaluate.add_argument_group("drawing; the defaults are the paper's")
    drawing.add_argument("--steps", type=_steps, default=50, metavar="N", help="2..1000 (default: 50)")
    drawing.add_argument("--guidance", type=float, default=2.0, metavar="G", help="scale, 1 is none (default: 2.0)")
    drawing.add_argument("--sampler", choices=tuple(SAMPLERS), default="ddim", help="(default: ddim)")
    drawing.add_argument("--seed", type=_seed, metavar="N", help="pair i uses seed N + i (default: 0)")
    drawing.add_argument("--batch", type=_count, metavar="N", help="pictures at once (default: 8)")

    scoring = evaluate.add_argument_group("scores that need weights of your own")
    scoring.add_argument("--inception", type=Path, metavar="FILE", help="torchvision's inception_v3, for FID")
    scoring.add_argument(
        "--fid-against",
        type=Path,
        metavar="PATH",
        help="TRAINING photos: a folder, a list of names in the data, or fid_statistics.npz of an earlier run",
    )
    scoring.add_argument(
        "--lpips", type=Path, nargs="+", metavar="FILE", help="torchvision's alexnet and the lin layers of lpips"
    )

    report = evaluate.add_argument_group("report")
    report.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for pictures and report")
    report.add_argument("--sheet-rows", type=_count, metavar="N", help="pairs on a contact sheet (default: 8)")
    report.add_argument("--sheets", type=_count, metavar="N", help="contact sheets at most (default: 4)")


def _evaluate(options: argparse.Namespace) -> str:
    from xmdpt.evaluation.evaluate import Request, evaluate
    from xmdpt.evaluation.generators import Sampling
    from xmdpt.evaluation.key_points import Frame

    given = {name: value for name, value in vars(options).items() if value is not None}
    for name in ("command", "run"):
        del given[name]
    given["sampling"] = Sampling(*(given.pop(name) for name in ("steps", "guidance", "sampler")))
    given["lpips"] = tuple(given.get("lpips", ()))
    if "frame" in given:
        given["frame"] = Frame(*given["frame"])
    return evaluate(Request(**given))


def _add_render(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    render = commands.add_parser(
        "render",
        help="render pairs of pictures of dressed persons, to train and test on",
        description="Render pairs of pictures of dressed persons, to train and test on. A stopped run goes on with the "
        "same command; what is whole is kept.",
    )
    render.set_defaults(run=_render)
    render.add_argument("--pairs", type=_count, required=True, metavar="N", help="how many the folder shall hold")
    render.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder, made if need be")
    render.add_argument("--seed", type=_seed, default=0, metavar="N", help="pair i is person N + i (default: 0)")
    render.add_argument(
        "--domain",
        choices=("varied", "demo"),
        default="varied",
        help="varied: all clothes, poses and lights; demo: what a small model learns (default: varied)",
    )
    render.add_argument(
        "--split", choices=("train", "held_out"), default="train", help="whose bodies and clothes (default: train)"
    )
    render.add_argument("--jobs", type=_jobs, metavar="N", help="processes, 1..256 (default: one per core)")


def _render(options: argparse.Namespace) -> str:
    from xmdpt.training.render import RenderRequest, render
    from xmdpt.training.rendered_folder import Settings

    settings = Settings(options.seed, options.domain, options.split)
    jobs = options.jobs or num_cores()
    return render(RenderRequest(options.out, options.pairs, settings, jobs))


def _refuse(command: str, reason: object, status: int) -> int:
    print(f"python -m xmdpt.training {command}: {reason}", file=sys.stderr)
    return status


def _frame(text: str) -> tuple[int, ...]:
    found = re.fullmatch(r"([1-9][0-9]*)x([1-9][0-9]*)\+([0-9]+)\+([0-9]+)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"must be like 176x256+40+0, not {text}")
    return tuple(map(int, found.groups()))


if __name__ == "__main__":
    sys.exit(main())
