"""Files in the official layouts are taken as they are; anything else is refused in one line with name and key."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.parity.damaged_files import DAMAGED
from tests.parity.official_files import (
    State,
    dinov2_shapes,
    dinov2_state,
    vae_config,
    vae_state,
    with_old_names,
    xmdpt_state,
)
from xmdpt.nn.checkpoint import load_xmdpt, official_name
from xmdpt.nn.dinov2 import bake_position_table
from xmdpt.nn.encoder_files import load_dinov2, load_vae
from xmdpt.nn.vae import Vae
from xmdpt.nn.weight_files import CheckpointError, read_state, shapes_of
from xmdpt.spec import VARIANTS

ENCODERS = json.loads((Path(__file__).resolve().parents[1] / "golden" / "encoders.json").read_text())
TINY = VARIANTS["tiny"]
SCALE = TINY.latent_scale


@pytest.fixture(scope="module")
def checkpoint() -> State:
    return xmdpt_state(TINY)


@pytest.fixture(scope="module")
def hub() -> State:
    return dinov2_state(TINY.photo_extractor)


@pytest.fixture(scope="module")
def autoencoder() -> State:
    return vae_state(TINY.vae)


def written(state: object, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".safetensors":
        assert isinstance(state, dict)
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["ema_0.9999_300000.pt", "ema.safetensors"])
def test_checkpoint_when_it_is_an_official_file_then_each_tensor_finds_its_place(
    checkpoint: State, tmp_path: Path, name: str
) -> None:
    network = load_xmdpt(TINY, written(checkpoint, tmp_path / name))

    assert all(torch.equal(tensor, checkpoint[official_name(n)]) for n, tensor in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("is_zip", [True, False])
def test_file_when_torch_wrote_it_in_either_format_then_read(checkpoint: State, tmp_path: Path, is_zip: bool) -> None:
    torch.save(checkpoint, tmp_path / "ema.pt", _use_new_zipfile_serialization=is_zip)
    assert read_state(tmp_path / "ema.pt").keys() == checkpoint.keys()


@pytest.mark.parametrize("name", ["dinov2_vitb14", "dinov2_vitg14"])
def test_dinov2_when_of_the_papers_shape_then_the_keys_and_shapes_of_the_hub_files(name: str) -> None:
    config = VARIANTS["s"].pose_extractor if name.endswith("b14") else VARIANTS["s"].photo_extractor
    assert dinov2_shapes(config) == {key: tuple(shape) for key, shape in ENCODERS[name].items()}


def test_vae_when_of_the_papers_shape_then_the_keys_and_shapes_of_the_official_file() -> None:
    found = shapes_of(lambda: Vae(VARIANTS["s"].vae))
    assert found == {key: tuple(shape) for key, shape in ENCODERS["vae_ft_mse"].items()}


def test_dinov2_when_loaded_then_the_position_table_is_baked_and_the_mask_token_left_out(
    hub: State, tmp_path: Path
) -> None:
    network = load_dinov2(TINY.photo_extractor, written(hub, tmp_path / "dinov2.pth"))

    state = network.state_dict()
    assert torch.equal(state.pop("pos_embed"), bake_position_table(hub["pos_embed"]))
    assert all(torch.equal(tensor, hub[name]) for name, tensor in state.items())
    assert set(hub) - set(state) == {"pos_embed", "mask_token"}


def as_present(state: State) -> State:
    return state


def as_old(state: State) -> State:
    return with_old_names(state, as_convolutions=False)


def as_older(state: State) -> State:
    return with_old_names(state, as_convolutions=True)


@pytest.mark.parametrize("layout", [as_present, as_old, as_older])
@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("is_folder", [True, False])
def test_vae_when_in_any_layout_then_each_tensor_finds_its_place(
    autoencoder: State, tmp_path: Path, layout: Callable[[State], State], suffix: str, is_folder: bool
) -> None:
    path = written(layout(autoencoder), tmp_path / f"diffusion_pytorch_model.{suffix}")
    (tmp_path / "config.json").write_text(json.dumps(vae_config(TINY.vae)))

    network = load_vae(TINY.vae, SCALE, tmp_path if is_folder else path)

    assert all(torch.equal(tensor, autoencoder[name]) for name, tensor in network.state_dict().items())


def test_vae_when_stored_in_half_precision_then_widened(autoencoder: State, tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in autoencoder.items()}

    network = load_vae(TINY.vae, SCALE, written(halves, tmp_path / "vae.safetensors"))

    assert all(torch.equal(tensor, halves[name].float()) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"norm_num_groups": 32}, "norm_num_groups is 32 instead of 16"),
        ({"block_out_channels": [32, 32]}, r"block_out_channels is \[32, 32\] instead of \[32, 32, 64, 64\]"),
        ({"scaling_factor": 0.13025}, "scaling_factor is 0.13025 instead of 0.18215"),
        ({"_class_name": "AutoencoderTiny"}, '_class_name is "AutoencoderTiny"'),
        ({"act_fn": "gelu"}, "act_fn"),
        ({"latent_channels": 16}, "latent_channels is 16 instead of 4"),
    ],
)
def test_vae_when_its_config_says_another_network_then_refused(
    autoencoder: State, tmp_path: Path, change: dict, words: str
) -> None:
    written(autoencoder, tmp_path / "diffusion_pytorch_model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(vae_config(TINY.vae) | change))

    with pytest.raises(CheckpointError, match=rf"config\.json: {words}"):
        load_vae(TINY.vae, SCALE, tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", b"\xff\xfe"])
def test_vae_when_its_config_is_no_json_object_then_refused(tmp_path: Path, content: str | bytes) -> None:
    (tmp_path / "config.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(CheckpointError, match=r"config\.json: not"):
        load_vae(TINY.vae, SCALE, tmp_path)


def test_vae_when_the_folder_holds_no_weights_then_the_names_that_it_could_have(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(vae_config(TINY.vae)))
    with pytest.raises(CheckpointError, match=r"diffusion_pytorch_model\.safetensors nor diffusion_pytorch_model\.bin"):
        load_vae(TINY.vae, SCALE, tmp_path)


@pytest.mark.parametrize(("write", "words"), DAMAGED.values(), ids=DAMAGED)
def test_dinov2_when_the_file_is_damaged_then_refused_in_one_line(
    hub: State, tmp_path: Path, write: Callable[[State, Path], object], words: str
) -> None:
    path = tmp_path / "dinov2_vitg14_pretrain.pth"
    write(hub, path)

    with pytest.raises(CheckpointError) as error:
        load_dinov2(TINY.photo_extractor, path)

    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message
    assert len(message) < len(str(path)) + 300
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0{}", b"\xff" * 64, b"PK\3\4" + bytes(100)])
def test_safetensors_when_damaged_then_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vae.safetensors"
    path.write_bytes(content)

    with pytest.raises(CheckpointError) as error:
        load_vae(TINY.vae, SCALE, path)

    assert str(error.value).startswith(f"{path}: not a whole file of weights")
    assert "\n" not in str(error.value)


def test_dinov2_when_the_file_is_that_of_another_extractor_then_refused(tmp_path: Path) -> None:
    path = written(dinov2_state(TINY.pose_extractor), tmp_path / "dinov2.pth")
    with pytest.raises(CheckpointError, match=r"missing blocks\.0\.mlp\.w12\.weight .*unexpected blocks\.0\.mlp\.fc1"):
        load_dinov2(TINY.photo_extractor, path)


def test_checkpoint_when_of_another_variant_then_the_variant_is_named(checkpoint: State, tmp_path: Path) -> None:
    path = written(checkpoint, tmp_path / "ema.pt")
    with pytest.raises(CheckpointError, match=r"ema\.pt: these are weights of the variant tiny, not of s"):
        load_xmdpt(VARIANTS["s"], path)


def test_file_when_there_is_none_then_an_os_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pt"):
        read_state(tmp_path / "none.pt")
