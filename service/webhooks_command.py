"""`xmdpt-serve webhooks`: show and change the secrets that webhooks are signed with."""

import argparse

from service.domain.access import TENANT
from service.domain.job import DEFAULT_TENANT
from service.settings import Settings

_DESCRIPTION = """The secret of a tenant, with which its receivers check that a call comes from here. It is kept in the
queue's server and made on first use."""
_ROTATE = """Make a new secret and print it. For a day, calls are signed with the old one too."""


def add_webhooks_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command and its two verbs."""
    text = "show and change the secrets of webhooks"
    verbs = commands.add_parser("webhooks", help=text, description=_DESCRIPTION).add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    for name, text, description in (
        ("secret", "print a tenant's present secret", "Print a tenant's present secret."),
        ("rotate", "make a new one and print it", _ROTATE),
    ):
        verb = verbs.add_parser(name, help=text, description=description)
        verb.add_argument(
            "--tenant", type=_tenant, default=DEFAULT_TENANT, help=f"whose secret; default: {DEFAULT_TENANT}"
        )


def run_webhooks_command(settings: Settings, arguments: argparse.Namespace) -> str:
    """Do what was asked; returns what to print.

    Raises:
        ConfigurationError: it can't be done.
        StorageError: the queue does not answer.
    """
    from service.bootstrap.webhooks import rotate_webhook_secret, webhook_secrets

    act = rotate_webhook_secret if arguments.verb == "rotate" else webhook_secrets
    return act(settings, arguments.tenant)[0]


def _tenant(text: str) -> str:
    if not TENANT.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no tenant's name")
    return text
