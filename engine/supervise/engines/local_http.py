"""GET over a Unix socket, for a keeper that asks its engine how it does."""

from __future__ import annotations

import http.client
import socket

LARGEST_ANSWER = 4 << 20


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(path: str, target: str, *, timeout_s: float) -> tuple[int, bytes] | None:
    """Status and body (`LARGEST_ANSWER` octets at most) of `GET target` at the socket `path`; None: no answer, or half
    of one."""
    connection = _UnixConnection(path, timeout_s)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        body = answer.read(LARGEST_ANSWER)
        torn = bool(answer.length) and len(body) < LARGEST_ANSWER
        return None if torn else (answer.status, body)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
