"""The pipeline behind mosec: a stage that decodes, and one that makes batches, each a process.

By https://mosecorg.github.io/mosec/: `max_batch_size` and `max_wait_time` of the second stage, of which 1 ms is the
shortest.
"""

from typing import Any

from mosec import Server, Worker

from loadtests.peers.pipeline import Inputs, max_batch, read_request, warm_pipeline

# Of a batch; so long a server that has lost its only worker waits for those that are in flight, before it ends.
_TIMEOUT_SECONDS = 30


class Decode(Worker):
    """Bytes to arrays."""

    def deserialize(self, data: bytes) -> Inputs:
        return read_request(data)

    def forward(self, data: Inputs) -> Inputs:
        return data


class Generate(Worker):
    """Arrays to files."""

    resp_mime_type = "image/png"

    def __init__(self) -> None:
        super().__init__()
        self._pipeline = warm_pipeline()

    def forward(self, data: Any) -> Any:
        return self._pipeline.run([data])[0] if isinstance(data, Inputs) else self._pipeline.run(data)

    def serialize(self, data: bytes) -> bytes:
        return data


if __name__ == "__main__":
    server = Server()
    server.append_worker(Decode, timeout=_TIMEOUT_SECONDS, route="/generate")
    server.append_worker(
        Generate, max_batch_size=max_batch(), max_wait_time=1, timeout=_TIMEOUT_SECONDS, route="/generate"
    )
    server.run()
