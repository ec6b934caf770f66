"""The pipeline behind Ray Serve: one replica whose method makes batches.

By https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html, without a wait for more requests. The model
runs in the event loop, as there: what comes meanwhile is then taken as one batch. In a thread beside it, every request
would at once be a batch of its own that waits for its turn.
"""

import argparse
import os
import signal

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response

from loadtests.peers.pipeline import Inputs, max_batch, read_request, warm_pipeline

_MAX_WAITING = 10_000


@serve.deployment(num_replicas=1, max_ongoing_requests=_MAX_WAITING, ray_actor_options={"num_cpus": 0})
class PosedPerson:
    """The deployment."""

    def __init__(self) -> None:
        self._pipeline = warm_pipeline()

    @serve.batch(max_batch_size=max_batch(), batch_wait_timeout_s=0.0)
    async def make(self, requests: list[Inputs]) -> list[bytes]:
        return self._pipeline.run(requests)

    async def __call__(self, request: Request) -> Response:
        return Response(await self.make(read_request(await request.body())), media_type="image/png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    ray.init(
        _node_ip_address="127.0.0.1",
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {name: os.environ[name] for name in os.environ if name.startswith("PEERS_")}},
    )
    serve.start(http_options={"host": "127.0.0.1", "port": parser.parse_args().port})
    serve.run(PosedPerson.bind(), route_prefix="/generate")
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
