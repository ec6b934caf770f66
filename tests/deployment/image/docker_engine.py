"""A Docker engine of the tests' own, of Debian's packages: unpacked into a folder, started by root, gone at the end.

It installs nothing, touches no other engine and no firewall, and has its mounts and processes in namespaces that end
with it. What it builds and runs is the business of others.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.adapters.parent_death import dying_with_parent
from tests.integration.processes import children, wait_until

_PACKAGES = [
    *("docker.io", "containerd", "runc", "mmdebstrap"),
    # Names of containers are resolved by rules within each container's network.
    *("iptables", "libip4tc2", "libip6tc2", "libmnl0", "libnetfilter-conntrack3", "libnfnetlink0", "libnftnl11"),
    "libxtables12",
]
_CGROUPS = Path("/sys/fs/cgroup")


class NoEngineError(Exception):
    """This computer cannot run one; one line says why."""


@dataclass(frozen=True)
class DockerEngine:
    """A running engine and the programs that speak to it.

    Attributes:
        environment: variables of those programs.
    """

    environment: dict[str, str]

    def docker(self, *words: str) -> str:
        """What `docker` prints; as `run`."""
        return self.run("docker", *words)

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """What a command prints that is to speak to this engine.

        Raises:
            AssertionError: it fails; the message is the end of what it said.
        """
        done = subprocess.run(command, cwd=cwd, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout


def unpacked_packages(folder: Path) -> Path:
    """Where the programs are, after having been downloaded once.

    Raises:
        NoEngineError: not root, not Debian, or Debian's archive is out of reach.
    """
    if os.geteuid() != 0:
        raise NoEngineError("it takes root")
    if shutil.which("apt-get") is None or shutil.which("unshare") is None:
        raise NoEngineError("it is made of Debian's packages, by apt-get, dpkg and unshare")
    root, archives = folder / "unpacked", folder / "packages"
    if root.is_dir():
        return root
    archives.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["apt-get", "download", *_PACKAGES], cwd=archives, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NoEngineError(f"apt-get download: {done.stderr.strip().splitlines()[-1]}")
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg", "-x", archive, unfinished], check=True)
    # What dpkg's scripts would have linked.
    (unfinished / "usr/sbin/iptables").symlink_to("xtables-nft-multi")
    unfinished.rename(root)
    return root


@contextmanager
def running_engine(packages: Path) -> Iterator[DockerEngine]:
    """An empty engine until the block ends; its containers end with it.

    Raises:
        NoEngineError: it does not start here.
    """
    libraries = packages / "usr/lib/x86_64-linux-gnu"
    with tempfile.TemporaryDirectory(prefix="xmdpt-docker-") as name:
        # Nothing is read of, or written to, the settings of whoever runs the tests. A socket's path must be short.
        folder, address = Path(name), f"unix://{name}/socket"
        environment = os.environ | {
            "PATH": f"{packages}/usr/bin:{packages}/usr/sbin:{os.environ['PATH']}",
            "LD_LIBRARY_PATH": str(libraries),
            "XTABLES_LIBDIR": str(libraries / "xtables"),
            "DOCKER_BUILDKIT": "0",
            "DOCKER_CONFIG": f"{name}/config",
            "DOCKER_HOST": address,
        }
        command = [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *("dockerd", "--data-root", f"{name}/data", "--exec-root", f"{name}/exec", "--pidfile", f"{name}/pid"),
            *("--host", address, "--iptables=false", "--ip6tables=false", "--bridge=none"),
            *("--storage-driver", "overlay2", "--cgroup-parent", f"/{folder.name}"),
        ]
        log = folder / "log"
        with log.open("w") as written:
            process = subprocess.Popen(dying_with_parent(command), env=environment, stdout=written, stderr=written)
        try:
            engine = DockerEngine(environment)
            wait_until(lambda: process.poll() is not None or _answers(environment), 60, f"dockerd answers: {log}")
            if process.poll() is not None:
                raise NoEngineError(f"dockerd: {log.read_text().strip().splitlines()[-1]}")
            yield engine
        finally:
            # Its own process stops the containers in order; the one around it would only kill.
            for daemon in children(process.pid):
                os.kill(daemon, signal.SIGTERM)
            try:
                process.wait(60)
            finally:
                process.kill()
                process.wait()
                for group in (*_CGROUPS.glob(folder.name), *_CGROUPS.glob(f"*/{folder.name}")):
                    group.rmdir()


def _answers(environment: dict[str, str]) -> bool:
    return subprocess.run(["docker", "version"], env=environment, capture_output=True, check=False).returncode == 0
