"""A loopback server that answers as the Hub does: `/REPO/resolve/REVISION/FILE`, large files by way of a redirect."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from gnomon.forecast.kronos.config import Checkpoint

LARGE = "model.safetensors"


@dataclass
class Hub:
    """What it serves, what was asked of it, and how it misbehaves."""

    url: str
    folders: dict[tuple[str, str], Path] = field(default_factory=dict)  # (repository, revision) to files
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, range
    token: str = ""  # asked for, if any
    short: bool = False  # large files end early, and are said to be that long
    drops: int = 0  # how many answers with a large file break off halfway
    stall_s: float = 0.0  # halfway through a large file
    status: int = 0  # the answer to everything

    def serve(self, checkpoint: Checkpoint, folder: Path) -> None:
        self.folders[checkpoint.hf_id, checkpoint.revision] = folder

    def asked(self, method: str) -> list[str]:
        return [path for one, path, _ in self.requests if one == method]


@contextmanager
def hub_server() -> Iterator[Hub]:
    """The Hub on a free port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    server.daemon_threads = True
    hub = server.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(self.path)
        self.hub.requests.append((self.command, path, self.headers.get("Range", "")))
        if self.hub.status:
            return self._refuse(self.hub.status, "", "the Hub is not well")
        if path.startswith("/cdn/"):
            return self._content(Path("/" + path.removeprefix("/cdn/")), with_body)
        if self.hub.token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._refuse(401, "", "Invalid username or password.")
        repository, _, rest = path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if not any(repository == one for one, _ in self.hub.folders):
            return self._refuse(404, "RepoNotFound", "Repository not found")
        folder = self.hub.folders.get((repository, revision))
        if folder is None:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if not (folder / name).is_file():
            return self._refuse(404, "EntryNotFound", "Entry not found")
        self._resolved(folder / name, revision, with_body)
        return None

    def _resolved(self, file: Path, revision: str, with_body: bool) -> None:
        """Small files at once, with the Git hash as ETag; large ones elsewhere, with their SHA-256 and size."""
        content = file.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        headers = {"X-Repo-Commit": revision, "ETag": f'"{blob}"', "Accept-Ranges": "bytes"}
        if file.name != LARGE:
            return self._send(200, headers | {"Content-Type": "text/plain"}, content, with_body)
        headers |= {
            "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"{self.hub.url.replace('127.0.0.1', 'localhost')}/cdn{file}",  # another host, as there
        }
        return self._send(302, headers, b"Found. Redirecting", with_body)

    def _content(self, file: Path, with_body: bool) -> None:
        content = file.read_bytes()
        if self.hub.short:
            content = content[: len(content) // 2]
        first = 0
        status, headers = 200, {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if asked := self.headers.get("Range"):
            first = int(asked.removeprefix("bytes=").split("-")[0])
            status = 206
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        body = content[first:]
        if with_body and (self.hub.drops or self.hub.stall_s):
            self.hub.drops = max(self.hub.drops - 1, 0)
            return self._break_off(status, headers, body)
        return self._send(status, headers, body, with_body)

    def _break_off(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._head(status, headers | {"Content-Length": str(len(body))})
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        time.sleep(self.hub.stall_s)
        self.close_connection = True
        self.connection.close()

    def _send(self, status: int, headers: dict[str, str], body: bytes, with_body: bool) -> None:
        self._head(status, headers | {"Content-Length": str(len(body))})
        if with_body:
            self.wfile.write(body)

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message, "Content-Length": "0"} | ({"X-Error-Code": code} if code else {})
        self._head(status, headers)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
