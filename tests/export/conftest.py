"""Networks and repositories that several tests of the export share."""

import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export.graphs import GRAPHS
from export.to_onnx import to_onnx
from tests.built_repositories import demo_networks, demo_repository, tiny_networks, tiny_repository
from tests.run_folder import made_once
from xmdpt.nn.pipeline import Pipeline, build_pipeline
from xmdpt.nn.untrained import fill_untrained
from xmdpt.spec import VARIANTS, Variant, graph_specs


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The repository that the project ships; not to be written to."""
    return Path(__file__).resolve().parents[2] / "model_repository"


@pytest.fixture(scope="session")
def tiny() -> Pipeline:
    """The variant tiny with the weights of the rule."""
    return tiny_networks()


@pytest.fixture(scope="session")
def tiny_built() -> Path:
    """Its repository; not to be written to."""
    return tiny_repository()


@pytest.fixture
def repository(tiny_built: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(tiny_built, tmp_path / "models"))


@pytest.fixture(scope="session")
def demo() -> Pipeline:
    """The variant demo with weights that nobody trained."""
    return demo_networks()


@pytest.fixture(scope="session")
def demo_built() -> Path:
    """Its repository, whose graphs share one file of weights; not to be written to."""
    return demo_repository()


@pytest.fixture
def sharing(demo_built: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(demo_built, tmp_path / "models"))


@pytest.fixture(scope="session")
def size_s() -> Variant:
    """Size S with the extractors and the autoencoder of tiny, which its denoiser does not contain."""
    tiny = VARIANTS["tiny"]
    return replace(
        VARIANTS["s"], pose_extractor=tiny.pose_extractor, photo_extractor=tiny.photo_extractor, vae=tiny.vae
    )


@pytest.fixture(scope="session")
def size_s_pipeline(size_s: Variant) -> Pipeline:
    pipeline = build_pipeline(size_s)
    fill_untrained(pipeline)
    return pipeline


@pytest.fixture(scope="session")
def size_s_step(size_s_pipeline: Pipeline) -> onnx.ModelProto:
    """The denoiser's step at size S, exported; about 15 s."""

    def make(path: Path) -> None:
        spec = graph_specs(size_s_pipeline.variant)["tdnet_step"]
        onnx.save(to_onnx(GRAPHS["tdnet_step"](size_s_pipeline), spec), path)

    return onnx.load(made_once("size_s_step.onnx", make))
