"""From files in the official layouts to a picture over HTTP: size S, its extractors cut to two blocks each.

Once with weights rounded to float16 (`--half-weights`), once as they are, the denoiser then cut to four blocks.
"""

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from export.manifest import read_manifest
from export.repository import build_repository
from export.weights import networks_of, read_origin
from tests.export.checks import graph_errors
from tests.integration.processes import EXAMPLES, pixels, running_service, skeleton_of
from tests.parity.official_files import vae_state, with_old_names, write_files
from xmdpt.nn.loading import WeightPaths
from xmdpt.nn.reference import reference_picture
from xmdpt.preprocess import to_photo
from xmdpt.spec import VARIANTS, Variant

STEPS = 4


@pytest.fixture(scope="module", params=[True, False], ids=["rounded", "float32"])
def is_rounded(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(scope="module")
def variant(is_rounded: bool) -> Variant:
    """Size S with extractors of the paper's widths and fewer blocks, and the small autoencoder."""
    s = VARIANTS["s"]
    return replace(
        s,
        depth=s.depth if is_rounded else 4,
        pose_extractor=replace(s.pose_extractor, depth=2),
        photo_extractor=replace(s.photo_extractor, depth=2),
        vae=VARIANTS["tiny"].vae,
    )


@pytest.fixture(scope="module")
def paths(variant: Variant, tmp_path_factory: pytest.TempPathFactory) -> WeightPaths:
    files = write_files(variant, tmp_path_factory.mktemp("official"))
    # As older diffusers wrote it.
    (files["vae"] / "diffusion_pytorch_model.safetensors").unlink()
    old = with_old_names(vae_state(variant.vae), as_convolutions=True)
    torch.save(old, files["vae"] / "diffusion_pytorch_model.bin")
    return WeightPaths(**files)


@pytest.fixture(scope="module")
def repository(
    variant: Variant, paths: WeightPaths, is_rounded: bool, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Built with the extractor of photos in two files; about 30 s, of float32 15 s."""
    out = tmp_path_factory.mktemp("repository")
    build_repository(
        variant,
        lambda: networks_of(variant, paths, is_rounded),
        read_origin(variant, paths, is_rounded),
        out,
        report=lambda _line: None,
        max_inline_bytes=200_000_000,
    )
    return out


def test_repository_when_built_of_official_files_then_it_names_them_and_says_whether_they_are_rounded(
    repository: Path, is_rounded: bool
) -> None:
    manifest = read_manifest(repository)

    weights = manifest["weights"]
    assert (weights["is_trained"], weights["is_rounded"]) == (True, is_rounded)
    assert weights["origin"] == (
        "xmdpt ema_0.9999_300000.pt; pose_extractor dinov2_vitb14_pretrain.pth; "
        "photo_extractor dinov2_vitg14_pretrain.pth; vae diffusion_pytorch_model.bin"
    )
    assert len({file["sha256"] for file in weights["files"].values()}) == 4
    assert [name for name, entry in manifest["graphs"].items() if entry["external"]] == ["source_encoder"]


def test_denoiser_when_weights_are_rounded_then_half_the_bytes_and_else_all(
    repository: Path, variant: Variant, paths: WeightPaths, is_rounded: bool
) -> None:
    step = repository / "tdnet_step/1/model.onnx"
    network = networks_of(variant, paths).xmdpt.tdnet
    # Beside the weights the graph holds a bias for each pair of cells.
    of_float32 = step.stat().st_size / sum(4 * tensor.numel() for tensor in network.parameters())
    assert (0.5 < of_float32 < 0.6) if is_rounded else (1 < of_float32 < 1.2)


def test_graphs_when_compared_then_they_agree_with_torch_on_weights_rounded_alike_alone(
    repository: Path, variant: Variant, paths: WeightPaths, is_rounded: bool
) -> None:
    def errors(is_rounded: bool) -> dict[str, bool]:
        rows = graph_errors(
            repository,
            lambda: networks_of(variant, paths, is_rounded),
            (1,),
            ("pose_encoder", "tdnet_step"),
        )
        return {f"{row.graph}.{row.output}": row.is_within_tolerance for row in rows}

    assert all(errors(is_rounded).values())
    assert not any(errors(not is_rounded).values())


def test_picture_when_served_then_at_most_one_grey_level_off_the_torch_reference(
    repository: Path, variant: Variant, paths: WeightPaths, is_rounded: bool, tmp_path: Path
) -> None:
    photo, pose = (EXAMPLES / "astronaut.jpg").read_bytes(), json.loads((EXAMPLES / "pose.json").read_text())
    with running_service(tmp_path, XMDPT_MODEL_REPOSITORY=str(repository)) as service:
        response = service.generate(photo, pose, seed=3, steps=STEPS)
        model = service.client.get("/v1/models").json()
    assert response.status_code == httpx.codes.OK, response.text

    skeleton = skeleton_of(pose)
    networks = networks_of(variant, paths, is_rounded)
    with Image.open(BytesIO(photo)) as image:
        expected = reference_picture(networks, to_photo(image), skeleton, seed=3, num_steps=STEPS, guidance=2.0)

    assert "ema_0.9999_300000.pt" in json.dumps(model)
    assert expected.std() > 10, "a picture of one colour would agree with anything"
    assert np.abs(pixels(response.content) - expected.astype(np.int16)).max() <= 1
