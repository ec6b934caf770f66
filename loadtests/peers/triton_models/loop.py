"""Triton's model `xmdpt_loop`: the ensemble's job with the loop outside of the graphs, a call of `tdnet_step` a step.

Business logic scripting as in Triton's Python backend. Every instance makes one picture; steps of those that run at one
time share calls by the dynamic batching of `tdnet_step`. Runs in Triton's environment.
"""

from typing import Any

import numpy as np
import triton_python_backend_utils as pb  # The server brings it.


class TritonPythonModel:
    """One instance."""

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response a request, in order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        try:
            return pb.InferenceResponse([pb.Tensor("image", self._picture(request))])
        except pb.TritonModelException as error:
            return pb.InferenceResponse(error=pb.TritonError(str(error)))

    def _picture(self, request: Any) -> np.ndarray:
        given = {
            name: pb.get_input_tensor_by_name(request, name).as_numpy()
            for name in ("photo", "skeleton", "noise", "timesteps", "guidance", "coefficients")
        }
        source = _call("source_encoder", ["source_vector"], photo=given["photo"])
        pose = _call("pose_encoder", ["pose_vector"], skeleton=given["skeleton"])
        condition = _call("canet", ["condition"], **source, **pose)["condition"]
        latents, denoised = given["noise"], np.zeros_like(given["noise"])
        for step in range(given["timesteps"].shape[1]):
            found = _call(
                "tdnet_step",
                ["next_latents", "denoised"],
                latents=latents,
                previous_denoised=denoised,
                condition=condition,
                timestep=given["timesteps"][:, step : step + 1],
                guidance=given["guidance"][:, step : step + 1],
                coefficients=given["coefficients"][:, step],
            )
            latents, denoised = found["next_latents"], found["denoised"]
        return _call("vae_decoder", ["image"], latents=latents)["image"]


def _call(model: str, outputs: list[str], **inputs: np.ndarray) -> dict[str, np.ndarray]:
    tensors = [pb.Tensor(name, np.ascontiguousarray(array)) for name, array in inputs.items()]
    response = pb.InferenceRequest(model_name=model, requested_output_names=outputs, inputs=tensors).exec()
    if response.has_error():
        raise pb.TritonModelException(response.error().message())
    return {name: pb.get_output_tensor_by_name(response, name).as_numpy() for name in outputs}
