"""The paper's evaluation, step by step, the cheap checks first.

Each step's work is elsewhere in this package; options and words on the terminal are `xmdpt.training.__main__`'s.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from xmdpt.evaluation.charts import save_chart, save_contact_sheets
from xmdpt.evaluation.dataset import Dataset
from xmdpt.evaluation.estimated_key_points import estimate_key_points
from xmdpt.evaluation.generators import Generator, Sampling
from xmdpt.evaluation.graph_generator import GraphGenerator
from xmdpt.evaluation.inception import InceptionFeatures
from xmdpt.evaluation.key_points import DEEPFASHION_FRAME, Frame, KeyPoints
from xmdpt.evaluation.lpips import LpipsDistance
from xmdpt.evaluation.mistakes import InputError, RunError
from xmdpt.evaluation.pairs import read_pairs
from xmdpt.evaluation.photos import Photos, open_photos
from xmdpt.evaluation.pictures import make_pictures
from xmdpt.evaluation.reference_photos import ReferencePhotos, ReferenceStatistics, kept_statistics
from xmdpt.evaluation.report import Run, comparison_table, markdown, notes, report_json
from xmdpt.evaluation.scores import Networks, Scores, score
from xmdpt.evaluation.torch_generator import TorchGenerator
from xmdpt.nn.loading import WeightPaths
from xmdpt.pose_estimation import PoseEstimator
from xmdpt.spec import VARIANTS

FID_STATISTICS = "fid_statistics.npz"
"""File in the output folder that keeps the statistics of the training photos."""

KEY_POINTS = "key_points.jsonl"
"""File in the output folder that keeps the poses of the targets, where they are estimated."""


@dataclass(frozen=True)
class Request:
    """What is to be evaluated, and how; each field is an option of the command.

    Attributes:
        data: folder of photos, or of PIDM's LMDB.
        out: folder for pictures and report.
        pairs: pair file; None: `test_pairs.txt` in `data`.
        key_points: file or folder; None: `pose` in `data`, or estimated from the targets if there is none.
        frame: of key points that do not bring their own; its shape is the photos', too. None: DeepFashion's, and each
            photo's own shape.
        limit: only the first pairs; None: all.
        engine: "graphs" or "torch".
        repository: of graphs.
        variant: name; None takes the repository's, or tiny in torch.
        weights: official files for torch, as `WeightPaths` names them; likewise vae and dino; none: untrained.
        sampling: how each picture is drawn.
        seed: of the drawn sources, and with the pair's index of the noise.
        batch: pictures at once.
        inception: weights file; with `fid_against`.
        fid_against: training photos: folder, list, or kept statistics.
        lpips: weights files; none: no LPIPS.
        sheet_rows: pairs on a contact sheet.
        sheets: contact sheets at most.
    """

    data: Path
    out: Path
    pairs: Path | None = None
    key_points: Path | None = None
    frame: Frame | None = None
    limit: int | None = None
    engine: str = "graphs"
    repository: Path = Path("model_repository")
    variant: str | None = None
    weights: Path | None = None
    vae: Path | None = None
    dino: Path | None = None
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    batch: int = 8
    inception: Path | None = None
    fid_against: Path | None = None
    lpips: tuple[Path, ...] = ()
    sheet_rows: int = 8
    sheets: int = 4


def evaluate(request: Request) -> str:
    """Draw the picture of every pair, score them all and write the report.

    Returns:
        Table and notes, for the terminal.

    Raises:
        InputError: something that the user gave does not fit.
        RunError: the model or the disk failed.
    """
    if (request.inception is None) != (request.fid_against is None):
        raise InputError("FID needs both --inception and --fid-against; give both or neither")
    with open_photos(request.data) as photos:
        dataset = _dataset(request, photos)
        lpips = LpipsDistance(request.lpips) if request.lpips else None
        inception = InceptionFeatures(request.inception) if request.inception else None
        reference = _reference(request, photos, inception)
        generator = _generator(request)
        poses = PoseEstimator()
        if dataset.key_points is None:
            dataset = replace(dataset, key_points=estimate_key_points(dataset, poses, request.out / KEY_POINTS))
        pictures = request.out / "pictures"
        tally = make_pictures(dataset, generator, request.sampling, request.seed, request.batch, pictures)
        try:
            if isinstance(reference, ReferencePhotos) and inception:
                reference = reference.statistics(inception, request.batch, request.out / FID_STATISTICS)
            statistics = reference if isinstance(reference, ReferenceStatistics) else None
            networks = Networks(generator.source_vectors, poses, lpips, inception, statistics)
            scores = score(dataset, pictures, networks, request.batch)
            data = {
                "data": photos.where(),
                "pair file": str(dataset.pair_file),
                "key points": _origin(request, dataset),
            }
            num_photos = statistics.count if statistics else 0
            run = Run(generator.model, request.sampling, request.seed, len(dataset.pairs), tally, data, num_photos)
            return _write(request, dataset, run, scores)
        except OSError as error:
            raise RunError(f"{error.filename or request.out}: {error.strerror or error}") from None


def _dataset(request: Request, photos: Photos) -> Dataset:
    pair_file = request.pairs or request.data / "test_pairs.txt"
    pairs = read_pairs(pair_file, request.seed)[: request.limit]
    path, frame = request.key_points, request.frame
    if path is None and (request.data / "pose").is_dir():
        path = request.data / "pose"
    key_points = KeyPoints(path, frame or DEEPFASHION_FRAME) if path else None
    dataset = Dataset(pair_file, pairs, photos, key_points, frame.width / frame.height if frame else None)
    dataset.check()
    return dataset


def _origin(request: Request, dataset: Dataset) -> str:
    where = dataset.key_points.where() if dataset.key_points else ""
    return f"{where} (estimated)" if where == str(request.out / KEY_POINTS) else where


def _reference(
    request: Request, photos: Photos, inception: InceptionFeatures | None
) -> ReferencePhotos | ReferenceStatistics | None:
    if inception is None or request.fid_against is None:
        return None
    if request.fid_against.suffix == ".npz":
        return kept_statistics(request.fid_against, inception)
    return ReferencePhotos(request.fid_against, photos)


def _generator(request: Request) -> Generator:
    paths = WeightPaths(request.weights, request.vae, request.dino)
    if request.engine == "torch":
        return TorchGenerator(VARIANTS[request.variant or "tiny"], paths)
    if paths != WeightPaths():
        raise InputError(
            "--weights, --vae and --dino are for --engine torch; for the graphs give them to `python -m export build "
            "--out DIR`, and --repository DIR here"
        )
    return GraphGenerator(request.repository, request.variant)


def _write(request: Request, dataset: Dataset, run: Run, scores: Scores) -> str:
    out = request.out
    sheets = save_contact_sheets(dataset, out / "pictures", out, request.sheet_rows, request.sheets)
    save_chart(scores.per_pair, out / "metrics.png")
    names = [(pair.target, pair.source) for pair in dataset.pairs]
    (out / "report.json").write_text(report_json(run, scores, names))
    (out / "report.md").write_text(markdown(run, scores, ["metrics.png", *sheets]))
    lines = [comparison_table(run, scores), "", *(f"* {note}" for note in notes(run, scores))]
    lines += ["", f"{run.tally.num_made} pictures drawn, {run.tally.num_kept} kept"]
    return "\n".join([*lines, f"wrote {out}/report.md, report.json, metrics.png and {len(sheets)} contact sheets"])
