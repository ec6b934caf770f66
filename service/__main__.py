"""The command `xmdpt-serve`: gateway, worker, or everything on one machine.

It parses the command line and turns start-up errors into one readable line; `service.bootstrap` builds the parts.
"""

import argparse
import sys

from service.domain.errors import EXIT_CONFIGURATION, EXIT_TRY_LATER, ServiceError
from service.settings import configuration_page, load_settings

_EPILOG = """Settings are environment variables: XMDPT_GATEWAY__PORT=9000, REDIS_URL=redis://...; docs/configuration.md
lists them all."""


def main() -> None:
    """Entry point; exits 0 after a stop that was asked for, 78 on a configuration error, 75 without queue or Triton."""
    parser = argparse.ArgumentParser(prog="xmdpt-serve", description="Serve X-MDPT over HTTP.", epilog=_EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("gateway", help="the HTTP edge; needs REDIS_URL")
    commands.add_parser("worker", help="the engine on one device; needs REDIS_URL")
    commands.add_parser("all", help="gateway, worker and, without REDIS_URL, a queue of their own")
    commands.add_parser("configuration", help="print every setting as a page")
    command = parser.parse_args().command
    if command == "configuration":
        print(configuration_page(), end="")
        return
    try:
        settings = load_settings()
        if command == "all":
            from service.supervisor import run_all

            sys.exit(run_all(settings))
        from service.bootstrap import run_gateway, run_worker

        run_gateway(settings) if command == "gateway" else run_worker(settings)
    except ServiceError as error:
        print(f"xmdpt-serve {command}: {error.detail}", file=sys.stderr)
        sys.exit(EXIT_TRY_LATER if error.is_retryable else EXIT_CONFIGURATION)


if __name__ == "__main__":
    main()
