"""The command `xmdpt-serve`: gateway, worker, or everything on one machine.

It parses the command line and turns start-up errors into one readable line; `service.bootstrap` builds the parts.
"""

import argparse
import json
import sys

from service.configuration_page import configuration_page
from service.domain.errors import EXIT_CONFIGURATION, EXIT_TRY_LATER, ServiceError
from service.keys_command import add_keys_command, run_keys_command
from service.plan_command import add_plan_command, run_plan_command
from service.settings import Settings, load_settings
from service.webhooks_command import add_webhooks_command, run_webhooks_command

_EPILOG = """Settings are environment variables: XMDPT_GATEWAY__PORT=9000, REDIS_URL=redis://...; docs/configuration.md
lists them all."""
_FUNCTIONS = """Load the queue's functions if the server has none, or those of an earlier version, and say which ones
it has now. Every gateway and worker does so at its start, if its user of the server may; newer functions serve earlier
versions as well."""
_REPLACE = """also over those of a newer version, for a roll back: only when no process of that version runs any more,
as those put theirs back"""
_CALIBRATE = """Open the backend as the worker does, time its calls, and print what the worker makes of that: how many
jobs share a step, whether steps are called one by one, how many jobs are in flight. Needs no queue."""


def main() -> None:
    """Entry point; exits 0 after a stop that was asked for, 78 on a configuration error, 75 without queue or Triton."""
    arguments = _parser().parse_args()
    command = arguments.command
    if command == "configuration":
        print(configuration_page(), end="")
        return
    try:
        settings = load_settings()
        if command == "all":
            from service.supervisor import run_all

            sys.exit(run_all(settings))
        if command == "calibrate":
            _calibrate(settings, as_json=arguments.json)
            return
        if command == "functions":
            from service.bootstrap.queue import functions_line

            print(functions_line(settings, replaces_newer=arguments.replace))
            return
        if command == "plan":
            print(run_plan_command(settings, arguments))
            return
        if command == "keys":
            print(run_keys_command(settings, arguments))
            return
        if command == "webhooks":
            print(run_webhooks_command(settings, arguments))
            return
        if command == "gateway":
            from service.bootstrap.gateway import run_gateway

            run_gateway(settings)
        else:
            from service.bootstrap.worker import run_worker

            run_worker(settings)
    except ServiceError as error:
        print(f"xmdpt-serve {command}: {error.detail}", file=sys.stderr)
        sys.exit(EXIT_TRY_LATER if error.is_retryable else EXIT_CONFIGURATION)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="xmdpt-serve", description="Serve X-MDPT over HTTP.", epilog=_EPILOG)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in (
        ("gateway", "the HTTP edge; needs REDIS_URL"),
        ("worker", "the engine on one device; needs REDIS_URL"),
        ("all", "gateway, worker and, without REDIS_URL, a queue of their own"),
        ("configuration", "print every setting as a page"),
    ):
        commands.add_parser(name, help=text, description=text, epilog=_EPILOG)
    text = "time the backend, and print how a worker would use it"
    calibrate = commands.add_parser("calibrate", help=text, description=_CALIBRATE, epilog=_EPILOG)
    calibrate.add_argument("--json", action="store_true", help="for machines: one JSON object, times in seconds")
    text = "load the queue's functions, and say which ones it has"
    functions = commands.add_parser("functions", help=text, description=_FUNCTIONS, epilog=_EPILOG)
    functions.add_argument("--replace", action="store_true", help=_REPLACE)
    add_plan_command(commands)
    add_keys_command(commands)
    add_webhooks_command(commands)
    return parser


def _calibrate(settings: Settings, *, as_json: bool) -> None:
    from service.bootstrap.backend import measure, open_backend
    from service.engine.capacity_report import capacity_document, capacity_page
    from service.telemetry.logs import configure_logs

    configure_logs("calibrate", settings.log_level, settings.log_format)
    backend = open_backend(settings)
    capacity = measure(settings, backend)
    if as_json:
        model = {"runtime": backend.runtime, "model": backend.variant, "model_digest": backend.model_digest}
        print(json.dumps(model | capacity_document(capacity), indent=2))
        return
    own = settings.worker
    print(f"{backend.variant} on {backend.runtime}, {backend.model_digest}\n")
    page = capacity_page(capacity, is_execution_set=own.fixed_execution is not None, are_slots_set=own.max_slots > 0)
    print(page, end="")


if __name__ == "__main__":
    main()
