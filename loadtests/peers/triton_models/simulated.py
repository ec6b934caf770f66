"""In the place of every graph where Triton's device is simulated: steps take time, what comes out means nothing.

Runs in Triton's environment, which has nothing of ours: the harness puts the two times below into the configuration.
"""

import json
import time
from typing import Any

import numpy as np
import triton_python_backend_utils as pb  # The server brings it.


class TritonPythonModel:
    """One instance."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read which graph this is."""
        config = json.loads(args["model_config"])
        self._is_loop, self._is_step = config["name"] == "sampler", config["name"] == "tdnet_step"
        self._outputs = [
            (each["name"], [int(size) for size in each["dims"]], pb.triton_string_to_numpy(each["data_type"]))
            for each in config["output"]
        ]
        times = {name: float(config["parameters"][name]["string_value"]) for name in ("step_seconds", "row_seconds")}
        self._step_seconds, self._row_seconds = times["step_seconds"], times["row_seconds"]

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response a request, in order; all of them are one batch."""
        num_steps = 1 if self._is_step else 0
        if self._is_loop:
            num_steps = pb.get_input_tensor_by_name(requests[0], "timesteps").as_numpy().shape[1]
        time.sleep(num_steps * (self._step_seconds + self._row_seconds * len(requests)))
        return [
            pb.InferenceResponse([pb.Tensor(name, np.zeros((1, *dims), dtype)) for name, dims, dtype in self._outputs])
            for _ in requests
        ]
