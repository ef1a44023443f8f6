"""A real HTTP server that speaks the archives' protocols, on a free port, with faults as a test scripts them.

- `/api/v2/images/search/`: the ISIC API's cursor paging over `records`, as its server's source has it; the count comes
  with the first page alone.
- `/bucket/?list-type=2`: S3's listing of `files` below `bucket/`.
- Every other path: one of `files`, as S3 serves it: ETag is the MD5, Range and If-None-Match are honoured.
"""

import hashlib
import html
import json
import threading
import time
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit


class Fault(NamedTuple):
    """What happens to one request instead of the true answer."""

    status: int = 0
    """An answer with this status and `body`; 0 where the true answer is spoilt only."""
    headers: Mapping[str, str] = MappingProxyType({})
    """Added to the answer's, or replacing them."""
    body: bytes | None = None
    """Sent in place of the true one, under its headers."""
    cut: int | None = None
    """The connection ends after so many bytes of the body."""
    stall: bool = False
    """Nothing more comes after `cut` bytes, and the connection stays open."""
    drip_s: float = 0
    """A byte every so many seconds."""


class Seen(NamedTuple):
    """One request as it came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float
    """`time.monotonic`."""


class ArchiveServer:
    """Use as a context; `url` has no slash at its end."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        """By path; each is used once."""
        self.always: dict[str, Fault] = {}
        """By path; for every request."""
        self.seen: list[Seen] = []
        self.page_size = 100
        self.delay_s = 0.0
        """Before every answer."""
        self.released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # clients that hang up are part of the tests

        self._http = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> "ArchiveServer":
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()

    def add_image(self, identifier: str, content: bytes, **metadata: Any) -> str:
        """An image of the ISIC archive with its record, the newest of all; returns its file's path."""
        path = f"/images/{hashlib.sha256(identifier.encode()).hexdigest()[:12]}.jpg"
        self.files[path] = content
        attribution, licence = metadata.pop("attribution", "Anonymous"), metadata.pop("licence", "CC-0")
        self.files.setdefault(f"/api/v2/zip-download/license-file/{licence}/", f"The text of {licence}".encode())
        acquisition = {key: metadata.pop(key) for key in ("image_type", "pixels_x", "pixels_y") if key in metadata}
        full = {"url": f"{self.url}{path}?Signature={len(self.seen)}", "size": len(content)}
        record = {
            "isic_id": identifier,
            "copyright_license": licence,
            "attribution": attribution,
            "public": True,
            "files": {"full": full, "thumbnail_256": {"url": f"{self.url}/thumbnail", "size": 1}},
            "metadata": {"acquisition": acquisition, "clinical": metadata},
        }
        self.records = [record, *(one for one in self.records if one["isic_id"] != identifier)]
        return path

    def count(self, prefix: str) -> int:
        """Requests for paths that start so."""
        return sum(one.path.startswith(prefix) for one in self.seen)

    def _answer(self, http: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(http.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        headers = {key.lower(): value for key, value in http.headers.items()}
        self.seen.append(Seen(parts.path, query, headers, time.monotonic()))
        fault = self.faults[parts.path].pop(0) if self.faults[parts.path] else self.always.get(parts.path, Fault())
        time.sleep(self.delay_s)
        if fault.status:
            status, more, body = fault.status, {}, b"no"
        elif parts.path == "/api/v2/images/search/":
            status, more, body = self._page(query)
        elif parts.path == "/bucket/":
            status, more, body = self._listing(query["prefix"])
        else:
            status, more, body = self._file(unquote(parts.path), headers)
        self._send(http, status, {**more, **fault.headers}, body if fault.body is None else fault.body, fault)

    def _send(
        self, http: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes, fault: Fault
    ) -> None:
        http.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            http.send_header(name, value)
        http.end_headers()
        if fault.drip_s:
            for byte in body:
                http.wfile.write(bytes([byte]))
                if self.released.wait(fault.drip_s):
                    return
        http.wfile.write(body[: fault.cut])
        http.wfile.flush()
        if fault.stall:
            self.released.wait(30)
        http.close_connection = fault.cut is not None or fault.stall

    def _page(self, query: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        found = self.records
        if "query" in query:
            field, _, value = query["query"].partition(":")
            if not value:
                return 400, {}, b'{"message": "Couldn\'t parse search query."}'
            found = [one for one in found if str(_flat(one).get(field)) == value]
        limit = min(int(query.get("limit", self.page_size)), self.page_size)
        start = int(parse_qs(b64decode(query["cursor"]).decode())["o"][0]) if "cursor" in query else 0
        cursor = b64encode(urlencode({"o": start + limit}).encode()).decode()
        following = f"{self.url}/api/v2/images/search/?{urlencode({**query, 'cursor': cursor})}"
        page = {
            "results": found[start : start + limit],
            "count": None if start else len(found),
            "next": following if start + limit < len(found) else None,
            "previous": None,
        }
        return 200, {"Content-Type": "application/json"}, json.dumps(page).encode()

    def _listing(self, prefix: str) -> tuple[int, dict[str, str], bytes]:
        listed = "".join(
            f"<Contents><Key>{html.escape(path.removeprefix('/bucket/'))}</Key><ETag>&quot;{_md5(content)}&quot;</ETag>"
            f"<Size>{len(content)}</Size></Contents>"
            for path, content in sorted(self.files.items())
            if path.startswith(f"/bucket/{prefix}")
        )
        return 200, {}, f"<ListBucketResult><Name>b</Name>{listed}</ListBucketResult>".encode()

    def _file(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        content = self.files.get(path)
        if content is None:
            return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        about = {"ETag": f'"{_md5(content)}"', "x-amz-request-id": "1"}
        if headers.get("if-none-match") == about["ETag"]:
            return 304, about, b""
        if "range" not in headers:
            return 200, about, content
        start = int(headers["range"].removeprefix("bytes=").partition("-")[0])
        if start >= len(content):
            return 416, {"Content-Range": f"bytes */{len(content)}"}, b""
        return 206, about | {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}, content[start:]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    return record | record["metadata"]["acquisition"] | record["metadata"]["clinical"]


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
