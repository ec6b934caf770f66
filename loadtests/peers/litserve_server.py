"""The pipeline behind LitServe: requests that wait are one batch, made by one worker process.

By https://lightning.ai/docs/litserve/features/batching: `max_batch_size`, and a `batch_timeout` of 0, as a batch lasts
longer than any wait that would fill it. A worker that dies is started again.
"""

import argparse
from collections.abc import Sequence

import litserve
from fastapi import Request, Response

from loadtests.peers.pipeline import Inputs, decode_request, max_batch, warm_pipeline


class PosedPerson(litserve.LitAPI):
    """The API; all of it runs in the worker."""

    def setup(self, device: str) -> None:
        self._pipeline = warm_pipeline()

    def decode_request(self, request: Request) -> Inputs:
        # LitServe has read the JSON by then.
        return decode_request(request)

    def predict(self, x: Inputs | Sequence[Inputs]) -> bytes | Sequence[bytes]:
        # Without batches LitServe hands over one request by itself.
        return self._pipeline.run([x])[0] if isinstance(x, Inputs) else self._pipeline.run(x)

    def encode_response(self, output: bytes) -> Response:
        return Response(output, media_type="image/png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    api = PosedPerson(max_batch_size=max_batch(), batch_timeout=0.0, api_path="/generate")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False, restart_workers=True)
    server.run(host="127.0.0.1", port=parser.parse_args().port, generate_client_file=False, log_level="warning")
