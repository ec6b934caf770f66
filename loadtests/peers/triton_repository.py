"""What Triton serves here: the shipped repository with a loop beside its ensemble, tuned for the batches at hand."""

import re
import shutil
from pathlib import Path

from deploy.triton.served_copy import servable
from loadtests.peers.pipeline import REPOSITORY, SimulatedDevice

_HERE = Path(__file__).resolve().parent
_GRAPHS = ("source_encoder", "pose_encoder", "canet", "sampler", "tdnet_step", "vae_decoder")
_CONFIG = "configs/cpu.pbtxt"
# Pictures that are made at one time by the loop: each is an instance, and so a process.
_LOOP_INSTANCES = 16


def write_repository(folder: Path, max_batch: int, simulated: SimulatedDevice | None) -> Path:
    """Write it into a folder that is not there yet; returns it.

    Args:
        folder: for hard links to the shipped graphs, and what is changed.
        max_batch: rows of a call that a graph is to run at most.
        simulated: put models that wait as this device would into the place of the graphs.
    """
    servable(REPOSITORY, folder)
    # It is no longer what its manifest says.
    (folder / "MANIFEST.json").unlink()
    for graph in _GRAPHS:
        config = (folder / graph / _CONFIG).read_text()
        if max_batch > 1:
            # Whatever waits goes together; as shipped, a CPU's queues make no batches.
            config = _limited(re.sub(r"\n  preferred_batch_size: \[.*\]", "", config), max_batch)
        if simulated:
            config = _simulated(config, simulated)
            (folder / graph / "1" / "model.onnx").unlink()
            shutil.copy(_HERE / "triton_models" / "simulated.py", folder / graph / "1" / "model.py")
        _replace(folder / graph / _CONFIG, config)
    # A request is one row; Triton only compares the limits.
    for name in ("config.pbtxt", _CONFIG):
        _replace(folder / "xmdpt" / name, _limited((folder / "xmdpt" / name).read_text(), 1))
    loop = folder / "xmdpt_loop"
    (loop / "1").mkdir(parents=True)
    (loop / "configs").mkdir()
    shutil.copy(_HERE / "triton_models" / "loop.py", loop / "1" / "model.py")
    for name in ("config.pbtxt", _CONFIG):
        (loop / name).write_text(_loop((folder / "xmdpt" / _CONFIG).read_text()))
    return folder


def _limited(config: str, max_batch: int) -> str:
    return re.sub(r"max_batch_size: \d+", f"max_batch_size: {max_batch}", config)


def _replace(path: Path, text: str) -> None:
    """The file is a link to the shipped one, which must stay what it is."""
    path.unlink()
    path.write_text(text)


def _simulated(config: str, device: SimulatedDevice) -> str:
    """A graph's configuration for the model that waits."""
    kept = re.sub(r"\nmodel_warmup \{.*?\n\}", "", config, flags=re.DOTALL)
    kept = kept.replace('platform: "onnxruntime_onnx"', 'backend: "python"')
    # The encoders' answers are kept by Triton itself; here they take no time, and are not.
    kept = re.sub(r"\nresponse_cache \{.*?\n\}", "", kept, flags=re.DOTALL)
    times = {"step_seconds": device.step_seconds, "row_seconds": device.row_seconds}
    return kept + "".join(_parameter(name, f"{value:g}") for name, value in times.items())


def _parameter(key: str, value: str) -> str:
    return f'parameters {{\n  key: "{key}"\n  value {{\n    string_value: "{value}"\n  }}\n}}\n'


def _loop(ensemble: str) -> str:
    """The ensemble's inputs and outputs, for a Python model."""
    tensors = re.sub(r"\nensemble_scheduling \{.*\n\}", "", ensemble, flags=re.DOTALL)
    tensors = tensors.replace('name: "xmdpt"', 'name: "xmdpt_loop"').replace(
        'platform: "ensemble"', 'backend: "python"'
    )
    return tensors + f"instance_group {{\n  count: {_LOOP_INSTANCES}\n  kind: KIND_CPU\n}}\n"
