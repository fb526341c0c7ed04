"""A Hugging Face hub on loopback: a real HTTP server that speaks as much of the hub's API as a download needs.

Large files (`LFS`) are redirected to signed links of another path, as the hub's storage does, and can be asked for
in ranges. What goes wrong is asked for with `cut`, `hold` and `deny`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 1 << 16
"""Bytes from which on a file is kept in LFS."""

SIGNATURE = "X-Signature=secret-of-the-link"


def weights_file(size: int) -> bytes:
    """A valid safetensors file with one tensor of `size` bytes."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


@dataclass
class Repository:
    """`files` by name, in the commit `commit`; `revisions` are its branches and tags."""

    files: dict[str, bytes]
    commit: str = "a" * 40
    revisions: tuple[str, ...] = ("main",)

    def blob(self, name: str) -> str:
        content = self.files[name]
        if len(content) >= LARGE:
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Denial:
    """How requests are turned away: after the first `later` of them, `times` times (None: always)."""

    status: int
    headers: dict[str, str]
    times: int | None
    later: int


class FakeHub:
    """`with FakeHub() as hub:` serves `hub.repositories` at `hub.url` until the block ends."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.sizes: dict[str, int] = {}
        """Sizes that are announced instead of the real ones, by file name."""
        self.requests: list[tuple[str, str, str | None]] = []
        """Method, path, and range of every request, in order."""
        self.tokens: set[str] = set()
        """The tokens that came with requests to the hub, and those that came to its storage."""
        self.leaked: set[str] = set()
        self.served: Counter[str] = Counter()
        """Bytes of each file that went out."""
        self._cuts: dict[str, list[int]] = {}
        self._holds: dict[str, int] = {}
        self._denials: list[tuple[str, Denial]] = []
        self._released = threading.Event()
        self._lock = threading.Lock()

    def cut(self, file: str, *after: int) -> None:
        """Close the connection after so many bytes of `file`, once for each number."""
        self._cuts[file] = list(after)

    def hold(self, file: str, after: int) -> None:
        """Send so many bytes of `file` and then nothing more."""
        self._holds[file] = after

    def deny(
        self, pattern: str, status: int, *, code: str = "", says: str = "", times: int | None = None, later: int = 0
    ) -> None:
        """Turn requests away whose path matches `pattern`; `code` is the hub's own name of the error."""
        headers = {"X-Error-Code": code, "X-Error-Message": says}
        named = {key: value for key, value in headers.items() if value}
        self._denials.append((pattern, Denial(status, named, times, later)))

    def relent(self) -> None:
        """Nothing goes wrong any more."""
        self._cuts.clear()
        self._holds.clear()
        self._denials.clear()

    def fetched(self, file: str) -> list[str | None]:
        """The ranges that `file` was asked for in, None for all of it."""
        return [where for method, path, where in self.requests if method == "GET" and path.endswith(f"/{file}")]

    def __enter__(self) -> FakeHub:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    # --- what the handler asks ---

    def denial(self, path: str) -> Denial | None:
        with self._lock:
            for pattern, denial in self._denials:
                if not re.search(pattern, path) or denial.times == 0:
                    continue
                if denial.later:
                    denial.later -= 1
                    continue
                if denial.times is not None:
                    denial.times -= 1
                return denial
        return None

    def note(self, method: str, path: str, where: str | None) -> None:
        with self._lock:
            self.requests.append((method, path, where))

    def end_of(self, file: str, first: int, size: int) -> int:
        """How far `file` is sent when it is asked for from `first` on."""
        with self._lock:
            cuts = self._cuts.get(file)
            if cuts:
                return min(size, max(first, cuts.pop(0)))
        return min(size, max(first, self._holds.get(file, size)))

    def wait(self, file: str) -> None:
        if file in self._holds:
            self._released.wait()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.note(self.command, path, self.headers.get("Range"))
        if token := self.headers.get("Authorization"):
            (self.hub.leaked if path.startswith("/storage/") else self.hub.tokens).add(token)
        if denial := self.hub.denial(path):
            self._send(denial.status, b"denied", denial.headers, body=body)
            return
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(.+))?", path):
            self._api(match[1], match[2], match[3] or "main", body=body)
        elif match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/(.+?)/([^/]+)", path):
            self._resolve(match[1], match[2], match[3], body=body)
        elif match := re.fullmatch(r"/storage/([^/]+/[^/]+)/([^/]+)", path):
            self._content(self.hub.repositories[match[1]], match[2], {}, body=body)
        else:
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)

    def _found(self, name: str, revision: str, *, body: bool) -> Repository | None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self._send(401, b"", {"X-Error-Message": "Invalid username or password."}, body=body)
        elif revision not in (repository.commit, *repository.revisions):
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"}, body=body)
            return None
        return repository

    def _api(self, name: str, kind: str | None, revision: str, *, body: bool) -> None:
        repository = self._found(name, revision, body=body)
        if repository is None:
            return
        sizes = {file: self.hub.sizes.get(file, len(content)) for file, content in repository.files.items()}
        if kind == "tree":
            answer: Any = [
                {"type": "file", "path": file, "size": size, "oid": repository.blob(file)}
                for file, size in sizes.items()
            ]
        else:
            siblings = []
            for file, size in sizes.items():
                entry: dict[str, Any] = {"rfilename": file, "size": size, "blobId": "b" * 40}
                if len(repository.files[file]) >= LARGE:
                    entry["lfs"] = {"sha256": repository.blob(file), "size": size, "pointerSize": 135}
                else:
                    entry["blobId"] = repository.blob(file)
                siblings.append(entry)
            answer = {"id": name, "modelId": name, "sha": repository.commit, "siblings": siblings, "tags": []}
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"}, body=body)

    def _resolve(self, name: str, revision: str, file: str, *, body: bool) -> None:
        repository = self._found(name, revision, body=body)
        if repository is None:
            return
        common = {"X-Repo-Commit": repository.commit}
        if file not in repository.files:
            self._send(404, b"", common | {"X-Error-Code": "EntryNotFound"}, body=body)
        elif len(repository.files[file]) >= LARGE:
            link = f"http://localhost:{self.server.server_address[1]}/storage/{name}/{file}?{SIGNATURE}"
            size = str(len(repository.files[file]))
            linked = {"X-Linked-Etag": f'"{repository.blob(file)}"', "X-Linked-Size": size, "Location": link}
            self._send(302, b"", common | linked, body=body)
        else:
            self._content(repository, file, common | {"ETag": f'"{repository.blob(file)}"'}, body=body)

    def _content(self, repository: Repository, file: str, headers: dict[str, str], *, body: bool) -> None:
        content = repository.files[file]
        first, status = 0, 200
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            first, status = int(match[1]), 206
            headers = headers | {"Content-Range": f"bytes {first}-{len(content) - 1}/{len(content)}"}
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(content) - first), "Accept-Ranges": "bytes"}).items():
            self.send_header(key, value)
        self.end_headers()
        if not body:
            return
        end = self.hub.end_of(file, first, len(content))
        self.hub.served[file] += end - first
        try:
            self.wfile.write(content[first:end])
            self.wfile.flush()
        except OSError:  # whoever asked is gone
            end = first
        if end < len(content):
            self.hub.wait(file)
            self.close_connection = True

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(status)
        for key, value in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(content)
