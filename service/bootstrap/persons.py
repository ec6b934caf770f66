"""What finds persons in photos: its processes, the cache, and what is done where there are none."""

from importlib.util import find_spec

from service.adapters.blazepose_pool import BlazePosePool
from service.adapters.redis_findings import RedisFindings
from service.adapters.redis_keys import RedisKeys
from service.gateway.persons import Persons
from service.settings import Settings
from service.telemetry.logs import get_logger
from service.telemetry.metrics import GatewayMetrics


class PersonFinding:
    """The parts of a gateway that find persons; nothing is started, loaded or connected until a photo comes.

    Attributes:
        persons: the use case.
    """

    def __init__(self, settings: Settings, metrics: GatewayMetrics) -> None:
        """Finds nobody if the settings say so, or without ONNX Runtime."""
        edge = settings.gateway
        self._findings = RedisFindings(settings.redis_url, RedisKeys(settings.queue.prefix))
        self._detector: BlazePosePool | None = None
        if edge.pose_processes and find_spec("onnxruntime") is None:
            get_logger().warning("onnxruntime is not installed: no pose can be taken from a photo")
        elif edge.pose_processes:
            self._detector = BlazePosePool(edge.pose_processes, edge.max_pixels, on_crash=metrics.decoder_crashes.inc)
        self.persons = Persons(self._detector, self._findings, metrics)

    def close(self) -> None:
        """End the processes and close the connections."""
        if self._detector:
            self._detector.close()
        self._findings.close()
