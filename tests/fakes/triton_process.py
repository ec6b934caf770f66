"""A real Triton with the shipped repository, for tests that call it, kill it and start it again."""

import os
import signal
import subprocess
from pathlib import Path

from tests.integration.processes import children
from tests.triton.running_triton import install_triton, run_command


class TritonProcess:
    """Listens on the same ports each time that it is started.

    Attributes:
        url: `host:port` of its gRPC endpoint.
    """

    def __init__(self, folder: Path) -> None:
        """Start it; where it can't run, the test is skipped."""
        install_triton()
        self._command = run_command(folder)
        self.url = f"127.0.0.1:{self._command[self._command.index('--grpc-port') + 1]}"
        self.start()

    def start(self) -> None:
        """Return once it is ready."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert "is ready" in line, line + self._process.stdout.read()

    def kill(self) -> None:
        """At once, the server and the processes of its models."""
        (server,) = children(self._process.pid)
        os.killpg(server, signal.SIGKILL)
        # Its starter tidies up.
        self._process.communicate(timeout=20)

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=60)
