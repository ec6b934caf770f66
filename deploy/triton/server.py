"""Install Triton from PyPI and start it on a model repository, on the CPU.

It stands in for NVIDIA's container where there is none: the real server, with a Python backend of ours for ONNX graphs.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# It needs no environment in which the project is installed.
sys.path.insert(0, str(ROOT))

from deploy.triton.installation import (  # noqa: E402 - found through the line above
    Installation,
    InstallationError,
    NotInstallableError,
    find_installation,
    install,
)
from deploy.triton.served_copy import servable  # noqa: E402
from deploy.triton.server_process import Listeners, StartError, TritonServer  # noqa: E402
from xmdpt.repository import RepositoryError  # noqa: E402

_FAILED, _NOT_INSTALLABLE = 2, 3

_EPILOG = """examples:
  python deploy/triton/server.py install
  python deploy/triton/server.py run
  python deploy/triton/server.py run --http-port 9000 -- --model-control-mode=explicit --load-model=canet

Exit status: 0 done or stopped by SIGTERM or SIGINT, 2 not, 3 this computer lacks something that Triton needs.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    # Until there is a server that it is passed on to, it ends us as ctrl-C does: what was begun is cleared away.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.command == "install":
            print(f"Triton is in {install(options.venv).root}")
        else:
            _run(find_installation(options.venv), options)
    except NotInstallableError as error:
        print(f"triton: {error}", file=sys.stderr)
        return _NOT_INSTALLABLE
    except (InstallationError, StartError, RepositoryError, OSError) as error:
        print(f"triton: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        if options.command == "install":
            print("triton: interrupted", file=sys.stderr)
            return _FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python deploy/triton/server.py",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    installing = commands.add_parser("install", help="make the environment; where it is there, take up a new backend")
    running = commands.add_parser("run", help="start the server and stay until SIGTERM or SIGINT; a second one kills")
    for command in (installing, running):
        command.add_argument(
            "--venv",
            type=Path,
            default=ROOT / "build" / "triton",
            help="folder of Triton and its environment (default: build/triton)",
        )
    running.add_argument(
        "--repository", type=Path, default=ROOT / "model_repository", help="what to serve (default: model_repository)"
    )
    running.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    for name, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        running.add_argument(f"--{name}-port", type=int, default=port, metavar="PORT", help=f"(default: {port})")
    running.add_argument(
        "--work", type=Path, metavar="DIR", help="for the log and linked graphs (default: VENV/run/HTTP_PORT)"
    )
    running.add_argument(
        "--start-seconds", type=float, default=600, metavar="S", help="limit until it is ready (default: 600)"
    )
    running.add_argument("further", nargs="*", metavar="-- OPTION", help="further options of tritonserver")
    return parser


def _run(installation: Installation, options: argparse.Namespace) -> None:
    """Serve until a signal."""
    ports = {"http": options.http_port, "grpc": options.grpc_port, "metrics": options.metrics_port}
    listeners = Listeners(options.host, ports)
    listeners.check()
    work = (options.work or installation.root / "run" / str(options.http_port)).resolve()
    source = options.repository.resolve()
    if work.is_relative_to(source):
        raise StartError(f"{work}: is in the repository, which is never written to; choose another with --work")
    work.mkdir(parents=True, exist_ok=True)
    # A new name: what lies there already is not ours.
    with tempfile.TemporaryDirectory(prefix="models-", dir=work) as folder:
        repository = servable(source, Path(folder) / "copy")
        server = TritonServer(installation, repository, listeners, work / "triton.log", options.further)
        try:
            ready = server.wait_until_ready(options.start_seconds)
            if ready:
                print(ready, flush=True)
            server.wait()
        finally:
            server.clear_away()


if __name__ == "__main__":
    sys.exit(main())
