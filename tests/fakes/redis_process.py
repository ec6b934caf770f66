"""A server process of a given binary with given settings, for tests that kill it or change them."""

import os
import subprocess
import time
from pathlib import Path

import redis

from service.adapters.redis_server import connect

SAFE = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction"}


class RedisProcess:
    def __init__(self, binary: str, folder: Path, **settings: str) -> None:
        self._command = [binary, "--port", "0", "--dir", str(folder), "--daemonize", "no", "--logfile", "log"]
        self._socket = f"/tmp/xmdpt-test-{os.getpid()}-{id(self)}.sock"  # tmp_path is too long for a socket
        for name, value in (SAFE | {"unixsocket": self._socket} | settings).items():
            self._command += [f"--{name}", value]
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up_at = time.monotonic() + 20
        with connect(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    assert self.process.poll() is None, "the server ended"
                    assert time.monotonic() < give_up_at, "the server does not answer"
                    time.sleep(0.01)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        Path(self._socket).unlink(missing_ok=True)
