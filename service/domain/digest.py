"""Content digests: the names by which pictures are compared and checked.

It reads no files and stores nothing.
"""

import hashlib


def content_digest(content: bytes) -> str:
    """`sha256:` and the 64 lower-case hex digits of the content's SHA-256."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def vector_key(kind: str, picture_digest: str, model_digest: str) -> str:
    """Name of a picture's vector: `source` or `pose`, and 64 hex digits over picture and model."""
    return f"{kind}:{hashlib.sha256(f'{picture_digest} {model_digest}'.encode()).hexdigest()}"
