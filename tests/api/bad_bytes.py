"""The corpus of what no HTTP client would send: whole requests as bytes, and the status and code of their answers."""

import json
from dataclasses import dataclass

from tests.api.bad_inputs import GOOD_BODY, GOOD_PNG

_GOOD_BODY = json.dumps(GOOD_BODY).encode()
_JOB = "job_" + "0" * 32
_GET, _POST = b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n"
_JSON = _POST + b"Content-Type: application/json\r\n"


@dataclass(frozen=True)
class BadBytes:
    """One request and its answer, after which the connection is closed.

    Attributes:
        name: the pytest id.
        status, code: of the answer.
        content: the bytes.
    """

    name: str
    status: int
    code: str
    content: bytes


def _call(name: str, status: int, code: str, line: str, *headers: str, body: bytes = b"") -> BadBytes:
    """A request that is HTTP, and closes by itself."""
    lines = [f"{line} HTTP/1.1", "Host: x", "Connection: close", *headers]
    return BadBytes(name, status, code, "\r\n".join([*lines, "", ""]).encode("latin-1") + body)


_HEADS = [
    BadBytes("head-100-kb", 431, "headers_too_large", _GET + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n"),
    BadBytes("head-5000-headers", 431, "headers_too_large", _GET + b"A: b\r\n" * 5000 + b"\r\n"),
    BadBytes("head-cookies", 431, "headers_too_large", _GET + b"Cookie: a=b\r\n" * 64 + b"\r\n"),
    BadBytes("head-10000-ranges", 431, "headers_too_large", _GET + b"Range: bytes=" + b"0-0," * 10_000 + b"\r\n\r\n"),
    BadBytes("url-64-kb", 414, "uri_too_long", b"GET /" + b"a" * 64_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    BadBytes("url-query-9-kb", 414, "uri_too_long", b"GET /?" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    BadBytes("host-none", 400, "malformed_request", b"GET /livez HTTP/1.1\r\n\r\n"),
    BadBytes("host-two", 400, "malformed_request", _GET + b"Host: y\r\n\r\n"),
    *(
        BadBytes(f"host-{name}", 400, "malformed_request", b"GET /livez HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        for name, host in {
            "path": b"a/../b",
            "user": b"user@x",
            "spaces": b"x y",
            "list": b"x, y",
            "long-port": b"x:123456",
            "script": b"<script>",
            "bytes": b"\xff\xfe",
        }.items()
    ),
    BadBytes("length-and-chunks", 400, "malformed_request",
             _JSON + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BadBytes("chunks-and-length", 400, "malformed_request",
             _JSON + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    BadBytes("length-twice", 400, "malformed_request", _JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    BadBytes("length-negative", 400, "malformed_request", _JSON + b"Content-Length: -1\r\n\r\n{}"),
    BadBytes("length-plus", 400, "malformed_request", _JSON + b"Content-Length: +2\r\n\r\n{}"),
    BadBytes("length-words", 400, "malformed_request", _JSON + b"Content-Length: two\r\n\r\n{}"),
    BadBytes("length-of-100-digits", 400, "malformed_request",
             _JSON + b"Content-Length: " + b"9" * 100 + b"\r\n\r\n{}"),
    BadBytes("length-200-mb", 413, "body_too_large", _JSON + b"Content-Length: 200000000\r\n\r\n{}"),
    BadBytes("chunk-of-words", 400, "malformed_request", _JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    BadBytes("chunk-longer-than-said", 400, "malformed_request",
             _JSON + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}{}\r\n0\r\n\r\n"),
    BadBytes("chunk-size-of-20-digits", 400, "malformed_request",
             _JSON + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n{}"),
    BadBytes("coding-before-chunked", 415, "media_type",
             _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    BadBytes("coding-twice-chunked", 400, "malformed_request",
             _JSON + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    BadBytes("header-space-before-colon", 400, "malformed_request", _GET + b"X-A : b\r\n\r\n"),
    BadBytes("header-folded", 400, "malformed_request", _GET + b"X-A: b\r\n c\r\n\r\n"),
    BadBytes("header-nul", 400, "malformed_request", _GET + b"X-A: b\0c\r\n\r\n"),
    BadBytes("header-bare-cr", 400, "malformed_request", _GET + b"X-A: b\rX-B: c\r\n\r\n"),
    BadBytes("header-no-name", 400, "malformed_request", _GET + b": b\r\n\r\n"),
    BadBytes("line-tls", 400, "malformed_request", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    BadBytes("line-nonsense", 400, "malformed_request", b"NONSENSE\r\n\r\n"),
    BadBytes("line-http-2", 400, "malformed_request", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    BadBytes("line-http-9", 400, "malformed_request", b"GET /livez HTTP/9.9\r\nHost: x\r\n\r\n"),
    BadBytes("line-picture", 400, "malformed_request", GOOD_PNG),
    BadBytes("path-bytes", 400, "malformed_request", b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n"),
]  # fmt: skip

_METHODS = [
    _call(f"method-{method.lower()}", 405, "method_not_allowed", f"{method} /v1/jobs")
    for method in ("TRACE", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
]

_VALUES = [
    _call("idempotency-key-of-256", 400, "bad_header", "POST /v1/jobs", "Idempotency-Key: " + "k" * 256),
    _call("idempotency-key-with-space", 400, "bad_header", "POST /v1/jobs", "Idempotency-Key: a b"),
    _call("idempotency-key-of-bytes", 400, "bad_header", "POST /v1/jobs", "Idempotency-Key: \xe9"),
    _call("idempotency-key-empty", 400, "bad_header", "POST /v1/jobs", "Idempotency-Key: "),
    _call("last-event-of-words", 400, "bad_header", f"GET /v1/jobs/{_JOB}/events", "Last-Event-ID: last"),
    _call("last-event-of-30-digits", 400, "bad_header", f"GET /v1/jobs/{_JOB}/events", "Last-Event-ID: " + "9" * 30),
    _call("accept-nothing-of-ours", 406, "not_acceptable", "POST /v1/generate", "Accept: text/html",
          "Content-Type: application/json", f"Content-Length: {len(_GOOD_BODY)}", body=_GOOD_BODY),
    *(
        _call(f"list-{name}", 422, "validation", f"GET /v1/jobs?{query}")
        for name, query in {
            "limit-0": "limit=0",
            "limit-101": "limit=101",
            "limit-words": "limit=all",
            "limit-twice": "limit=1&limit=1",
            "limit-of-4000-digits": "limit=" + "9" * 4000,
            "cursor-words": "cursor=next",
            "cursor-nul": "cursor=%00",
            "status-unknown": "status=lost",
            "status-format": "status=%25s",
            "parameter-unknown": "colour=red",
        }.items()
    ),
]  # fmt: skip

_IDS = {
    "up": "../x",
    "up-encoded": "%2e%2e%2fetc%2fpasswd",
    "nul": "%00",
    "star": "*",
    "5-kb": "a" * 5000,
    "upper-case": "JOB_" + "0" * 32,
    "upper-case-digits": "job_" + "A" * 32,
    "31-digits": "job_" + "0" * 31,
    "33-digits": "job_" + "0" * 33,
    "line-end": _JOB + "%0a",
    "emoji": "job_%F0%9F%98%80",
    "not-utf-8": "job_%FF%FE",
    "template": "%7B%7B7*7%7D%7D",
    "format": "%25s%25n",
    "absent": _JOB,
}
_JOB_CALLS = {
    "job": "GET {}",
    "events": "GET {}/events",
    "result": "GET {}/result",
    "preview": "GET {}/preview",
    "cancel": "POST {}/cancel",
    "erase": "DELETE {}",
}
_PATHS = [
    _call(f"id-{name}-{what}", 404, "not_found", call.format(f"/v1/jobs/{job_id}"))
    for name, job_id in _IDS.items()
    for what, call in _JOB_CALLS.items()
]

BYTES = [*_HEADS, *_METHODS, *_VALUES, *_PATHS]
