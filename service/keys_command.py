"""`xmdpt-serve keys`: make, list and revoke API keys."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from service.domain.access import KEY_ID, TENANT, ApiKey, CallerLimits, Scope
from service.settings import Settings

_DESCRIPTION = """API keys of the callers, kept in the queue's server. A key's text is shown once, when it is made; kept
is only a digest. A tenant sees its own jobs alone, and has two keys at most: the present one and the next."""
_LIMITS = CallerLimits()
_CALLERS_SCOPES = (Scope.GENERATE, Scope.READ)


def add_keys_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its three verbs."""
    text = "make, list and revoke API keys"
    verbs = commands.add_parser("keys", help=text, description=_DESCRIPTION).add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    create = verbs.add_parser("create", help="make a key and print it", description="Make a key and print it, once.")
    create.add_argument("--tenant", type=_tenant, required=True, help="whose key it is")
    create.add_argument(
        "--scopes",
        type=_scopes,
        default=_CALLERS_SCOPES,
        metavar="LIST",
        help=f"of {', '.join(Scope)}; default: {','.join(_CALLERS_SCOPES)}",
    )
    create.add_argument("--days", type=_positive, help="how long it is good; default: until it is revoked")
    for name, default, text in (
        ("requests-per-minute", _LIMITS.requests_per_minute, "on the long run"),
        ("burst", _LIMITS.burst, "requests that may come at once"),
        ("max-waiting", _LIMITS.max_waiting, "calls that may wait for a job at one time"),
    ):
        create.add_argument(
            f"--{name}", type=_positive, default=default, metavar="N", help=f"{text}; default: {default}"
        )
    shown = verbs.add_parser("list", help="show all keys, without their secrets")
    shown.add_argument("--json", action="store_true", help="for machines")
    revoke = verbs.add_parser("revoke", help="end a key within seconds")
    revoke.add_argument("id", type=_key_id, help="the 8 characters between the underscores")


def run_keys_command(settings: Settings, arguments: argparse.Namespace) -> str:
    """Do what was asked; returns what to print.

    Raises:
        ConfigurationError: it can't be done.
        StorageError: the queue does not answer.
    """
    from service.bootstrap.access import create_key, list_keys, revoke_key
    from service.telemetry.logs import configure_logs

    configure_logs("keys", settings.log_level, settings.log_format)
    match arguments.verb:
        case "create":
            limits = CallerLimits(arguments.requests_per_minute, arguments.burst, arguments.max_waiting)
            _, text = create_key(settings, arguments.tenant, arguments.scopes, limits, arguments.days)
            return text
        case "revoke":
            revoke_key(settings, arguments.id)
            return f"{arguments.id} is revoked"
        case _:
            keys = list_keys(settings)
            return json.dumps([_public(key) for key in keys], indent=2) if arguments.json else _table(keys)


def _public(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "scopes": sorted(key.scopes),
        "created_at": _day(key.created_at),
        "expires_at": _day(key.expires_at),
        **asdict(key.limits),
    }


def _table(keys: Sequence[ApiKey]) -> str:
    if not keys:
        return "there is no key"
    rows = [("id", "tenant", "scopes", "created", "expires", "a minute")]
    rows += [
        (
            key.id,
            key.tenant,
            ",".join(sorted(key.scopes)),
            (_day(key.created_at) or "")[:10],
            (_day(key.expires_at) or "never")[:10],
            str(key.limits.requests_per_minute),
        )
        for key in keys
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _day(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _tenant(text: str) -> str:
    if not TENANT.fullmatch(text):
        msg = f"{text!r} must be 1 to 64 letters, digits, '.', '_' or '-', and begin with a letter or a digit"
        raise argparse.ArgumentTypeError(msg)
    return text


def _key_id(text: str) -> str:
    if not KEY_ID.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} must be the 8 characters between the key's underscores")
    return text


def _scopes(text: str) -> tuple[Scope, ...]:
    try:
        return tuple(Scope(name) for name in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{error}; there are {', '.join(Scope)}") from None


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 to 1,000,000")
    return int(text)
