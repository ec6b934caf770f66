"""A real S3-compatible server, SeaweedFS, with one bucket, for tests that take it away."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.adapters.object_store import ObjectStore
from service.domain.errors import StorageError
from tests.integration.processes import free_port

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "an-access-key", "AWS_SECRET_ACCESS_KEY": "a-secret-key"}
BUCKET = "pictures"
# Every port that it would else take by default, or derive of another: two test runs may go at one time.
_PORTS = (
    *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
    *("s3.port", "s3.port.grpc"),
)
_START_SECONDS = 60


class BucketServer:
    """One process; `endpoint` is its address."""

    def __init__(self, folder: Path) -> None:
        """Start it, and wait until a bucket can be written."""
        identity = {
            "name": "test",
            "credentials": [
                {"accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
            ],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        config = folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        self._ports = {name: free_port() for name in _PORTS}
        self._command = [
            _program(),
            *("server", "-ip=127.0.0.1", f"-dir={folder}", "-s3", f"-s3.config={config}", "-s3.autoCreateBucket"),
            *("-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=8"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            *(f"-{name}={port}" for name, port in self._ports.items()),
        ]
        self._log = folder / "log"
        self.endpoint = f"http://127.0.0.1:{self._ports['s3.port']}"
        self.start()

    def start(self) -> None:
        """Start it, or start it again with what it had."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        give_up_at = time.monotonic() + _START_SECONDS
        while True:
            try:
                self.store().check_writable()
                return
            except StorageError:
                assert self._process.poll() is None, self._log.read_text(errors="replace")
                assert time.monotonic() < give_up_at, self._log.read_text(errors="replace")
                time.sleep(0.1)

    def store(self, prefix: str = "start", bucket: str = BUCKET) -> ObjectStore:
        """The bucket below a prefix, with the credentials of the environment."""
        return ObjectStore(f"s3://{bucket}/{prefix}", self.endpoint)

    def kill(self) -> None:
        """As a power cut would."""
        self._process.kill()
        self._process.wait()
        for port in self._ports.values():
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)


def _program() -> str:
    program = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    return program or pytest.fail("weed is not installed: make setup-dev")
