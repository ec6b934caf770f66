"""One file holds all networks of the demo; what is no such file, or one of another variant, is refused in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.built_repositories import demo_networks, demo_weights
from tests.parity.damaged_files import Command
from xmdpt.nn.bundle import bundle_metadata, is_bundled, load_bundle, save_bundle
from xmdpt.nn.loading import LoadedNetworks, WeightPaths
from xmdpt.nn.network import TrainableXMDPT
from xmdpt.nn.pipeline import Pipeline, build_pipeline
from xmdpt.nn.weight_files import CheckpointError
from xmdpt.spec import VARIANTS

DEMO = VARIANTS["demo"]
KEY = "xmdpt.tdnet.final_layer.linear.bias"
METADATA = {"variant": "demo", "prediction": "v"}
State = dict[str, Tensor]


@pytest.fixture
def state() -> State:
    return load_file(demo_weights())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "demo.safetensors"


def test_variants_when_asked_then_the_demo_alone_is_one_file() -> None:
    assert [name for name, variant in VARIANTS.items() if is_bundled(variant)] == ["demo"]


def test_bundle_when_saved_and_loaded_then_each_number_is_that_of_float16(path: Path) -> None:
    torch.manual_seed(1)
    pipeline = build_pipeline(DEMO)
    before = {name: tensor.clone() for name, tensor in pipeline.state_dict().items()}

    save_bundle(pipeline, path)
    loaded = load_bundle(DEMO, path)

    assert loaded.state_dict().keys() == before.keys()
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, before[name].half().float()), name
        assert torch.equal(pipeline.state_dict()[name], before[name]), "what is saved stays as it is"
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_bundle_when_loaded_then_it_computes(path: Path) -> None:
    tdnet = demo_networks().xmdpt.tdnet

    with torch.inference_mode():
        prediction = tdnet(torch.ones(1, 4, 32, 32), torch.tensor([500.0]), torch.ones(1, 256))

    # Buffers that no file holds are there as well.
    assert torch.isfinite(prediction).all()
    assert float(prediction.std()) > 0.1


def test_bundle_when_saved_then_keys_and_metadata_are_those_agreed(path: Path) -> None:
    save_bundle(demo_networks(), path, {"origin": "somewhere", "variant": "s"})

    with safe_open(path, "pt") as file:
        names = set(file.keys())
    assert names == demo_networks().state_dict().keys()
    assert {"vae.latent_mean", "vae.latent_std", "xmdpt.tdnet.blocks.0.attn.qkv.weight"} < names
    assert bundle_metadata(path) == METADATA | {"origin": "somewhere"}
    assert 21_000_000 < path.stat().st_size < 21_500_000


def test_bundle_when_saved_again_then_the_same_bytes_and_nothing_beside_it(path: Path) -> None:
    words = {f"key {number}": "ü\n" * number for number in range(9)}
    save_bundle(demo_networks(), path, words)
    first = path.read_bytes()

    save_bundle(demo_networks(), path, dict(reversed(words.items())))

    assert path.read_bytes() == first
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert bundle_metadata(path) == METADATA | words


def overflow(pipeline: Pipeline) -> None:
    decoder: Any = pipeline.vae.decoder
    decoder[0].bias[0] = 1e5


def add_mipnet(pipeline: Pipeline) -> None:
    pipeline.xmdpt = TrainableXMDPT(DEMO)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (overflow, r"demo\.safetensors: .* vae\.decoder\.0\.bias holds values that are not finite"),
        (add_mipnet, r"unexpected xmdpt\.mipnet\.mask_token \(and \d+ more\)"),
    ],
)
def test_bundle_when_a_pipeline_does_not_fit_then_nothing_is_written(
    path: Path, change: Callable[[Pipeline], None], words: str
) -> None:
    pipeline = build_pipeline(DEMO)
    change(pipeline)

    with pytest.raises(CheckpointError, match=words):
        save_bundle(pipeline, path)

    assert not list(path.parent.iterdir())


def test_bundle_when_saved_under_another_suffix_then_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"the suffix of a bundle is \.safetensors"):
        save_bundle(demo_networks(), tmp_path / "demo.pt")


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: tensor for key, tensor in state.items() if key != name}


DAMAGE: dict[str, tuple[Callable[[State], State], dict[str, str], str]] = {
    "a key missing": (without(KEY), METADATA, f"missing {KEY}"),
    "the statistics missing": (without("vae.latent_std"), METADATA, "missing vae.latent_std"),
    "a key more": (lambda state: state | {"more": state[KEY].clone()}, METADATA, "unexpected more"),
    "another shape": (
        lambda state: state | {KEY: torch.zeros(3).half()},
        METADATA,
        f"{KEY} has shape [3] instead of [128]",
    ),
    "not finite": (lambda state: state | {KEY: state[KEY] / 0}, METADATA, f"{KEY} holds values that are not finite"),
    "float32": (lambda state: state | {KEY: state[KEY].float()}, METADATA, f"{KEY} holds float32 instead of float16"),
    "another variant": (dict, METADATA | {"variant": "s"}, "these are weights of the variant s, not of demo"),
    "another prediction": (dict, METADATA | {"prediction": "epsilon"}, "predicts epsilon, that of the variant demo v"),
    "no prediction": (dict, {"variant": "demo"}, "predicts None"),
    "no metadata": (dict, {}, "its metadata do not say of which variant"),
}


@pytest.mark.parametrize(("change", "metadata", "words"), DAMAGE.values(), ids=DAMAGE)
def test_bundle_when_it_does_not_fit_then_refused_in_one_line_with_its_name(
    state: State, path: Path, change: Callable[[State], State], metadata: dict[str, str], words: str
) -> None:
    save_file(change(state), path, metadata)

    with pytest.raises(CheckpointError) as error:
        load_bundle(DEMO, path)

    assert str(error.value).startswith(f"{path}: ")
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 7, 1000, 21_000_000])
def test_bundle_when_cut_short_then_refused(path: Path, length: int) -> None:
    path.write_bytes(demo_weights().read_bytes()[:length])

    with pytest.raises(CheckpointError, match=r"demo\.safetensors: not a whole file of weights"):
        load_bundle(DEMO, path)


def test_bundle_when_it_is_a_pickle_then_refused_and_nothing_is_run(tmp_path: Path) -> None:
    torch.save({KEY: Command(tmp_path / "touched")}, tmp_path / "demo.pt")
    torch.save({KEY: torch.zeros(128)}, tmp_path / "other.pt")

    for name, words in (("demo.pt", "not a whole file"), ("other.pt", "do not say of which variant")):
        with pytest.raises(CheckpointError, match=words):
            load_bundle(DEMO, tmp_path / name)
    assert not (tmp_path / "touched").exists()


def test_bundle_when_there_is_none_then_the_systems_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_bundle(DEMO, path)


def test_paths_when_the_variant_is_one_file_then_it_is_all_and_others_are_refused(path: Path) -> None:
    assert WeightPaths(weights=path).files(DEMO) == {"bundle": path}
    assert WeightPaths(weights=path).is_complete_for(DEMO)
    assert not WeightPaths(weights=path).is_complete_for(VARIANTS["s"])
    assert WeightPaths().files(DEMO) == {}
    assert not WeightPaths().is_complete_for(DEMO)
    for more in ({"vae": path}, {"dino": path}, {"vae": path, "dino": path, "weights": path}):
        with pytest.raises(CheckpointError, match="the variant demo takes --weights alone"):
            WeightPaths(**more).files(DEMO)


def test_networks_when_loaded_from_a_bundle_then_each_is_its_part() -> None:
    networks, whole = LoadedNetworks(DEMO, WeightPaths(demo_weights())), demo_networks()

    for name in ("xmdpt", "pose_extractor", "photo_extractor", "vae"):
        state, expected = getattr(networks, name).state_dict(), getattr(whole, name).state_dict()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in state.items())
        assert getattr(networks, name) is getattr(networks.bundle, name)


def test_networks_when_the_demo_has_no_file_then_by_the_rule_with_positive_deviations() -> None:
    vae = LoadedNetworks(DEMO, WeightPaths()).vae

    assert float(vae.get_buffer("latent_std").min()) > 0.5
