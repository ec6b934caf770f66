"""A real Triton with the shipped repository, for tests that call it, kill it and start it again."""

from pathlib import Path

from tests.triton.running_triton import TritonStarter, install_triton, run_command


class TritonProcess(TritonStarter):
    """Listens on the same ports each time that it is started.

    Attributes:
        url: `host:port` of its gRPC endpoint.
    """

    def __init__(self, folder: Path) -> None:
        """Start it; where it can't run, the test is skipped."""
        install_triton()
        super().__init__(run_command(folder))
        self.url = f"127.0.0.1:{self.ports['grpc']}"
        self.start()
