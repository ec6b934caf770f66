"""What a training run leaves in its folder, so that it can be stopped at any moment and goes on with the same command.

`state.safetensors` holds the tensors and the number of steps, `log.jsonl` a line per report; both are replaced or cut
to fit each other, whenever the run was killed.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from xmdpt.evaluation.mistakes import InputError
from xmdpt.training.whole_files import whole_file

_STATE = "state.safetensors"
_LOG = "log.jsonl"


class RunFolder:
    """The folder of one run of one configuration."""

    def __init__(self, path: Path, description: Mapping[str, Any]) -> None:
        """Make the folder, or find it again.

        Args:
            path: of the folder.
            description: all that the run's result depends on; JSON.

        Raises:
            InputError: the folder holds a run of another description.
        """
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        file = path / "run.json"
        text = json.dumps(description, indent=2, sort_keys=True)
        if file.exists() and (wrong := _difference(_read_json(file), json.loads(text))):
            raise InputError(f"{path} holds a run with another {wrong}: give another --out, or delete the folder")
        _replace_text(file, text + "\n")

    def save(self, num_steps: int, tensors: Mapping[str, Tensor]) -> None:
        """Replace the state; a kill at any moment leaves the old one or the new one."""
        save_tensors(tensors, self.path / _STATE, {"num_steps": str(num_steps)})

    def load(self) -> tuple[int, dict[str, Tensor]]:
        """Return the number of steps made and the tensors; 0 and none for a run that has not begun.

        Log lines written after the state are dropped: their steps will be made again.
        """
        path = self.path / _STATE
        if not path.exists():
            (self.path / _LOG).unlink(missing_ok=True)
            return 0, {}
        try:
            with safe_open(path, "pt") as file:
                num_steps = int(file.metadata()["num_steps"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        except SafetensorError as error:
            raise InputError(f"{path} is damaged ({error}): delete it, and the run begins anew") from None
        kept = [line for line in self.lines() if line["step"] <= num_steps]
        _replace_text(self.path / _LOG, "".join(json.dumps(line) + "\n" for line in kept))
        return num_steps, tensors

    def log(self, line: Mapping[str, Any]) -> None:
        """Append one line of figures; "step" is among them."""
        with (self.path / _LOG).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines of the log; one that was cut by a kill is left out."""
        path = self.path / _LOG
        found = []
        for text in path.read_text().splitlines() if path.exists() else []:
            try:
                found.append(json.loads(text))
            except json.JSONDecodeError:
                continue
        return found


def _difference(old: Any, new: Any, name: str = "") -> str:
    """Return the first name whose value differs, with both values; empty if nothing does."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if found := _difference(old.get(key), new.get(key), f"{name}.{key}".lstrip(".")):
                return found
        return ""
    return "" if old == new else f"{name} ({old}, not {new})"


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file that is whole whenever it is there."""
    with whole_file(path) as new:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new, metadata)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}): delete the folder") from None


def _replace_text(path: Path, text: str) -> None:
    with whole_file(path) as new:
        new.write_text(text)
