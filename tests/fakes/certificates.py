"""A certificate of a test's own."""

import ssl
import subprocess
from pathlib import Path

import pytest

_COMMAND = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj"


def make_tls(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server of this name, and of a client that trusts it and nobody else."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    options = [f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(key), "-out", str(certificate)]
    try:
        subprocess.run([*_COMMAND.split(), *options], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed: make setup-system")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=certificate)
