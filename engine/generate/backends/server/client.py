"""HTTP to one server: an answer, bounded in size and time, or the trouble there was. Nothing is followed or retried."""

from __future__ import annotations

import email.utils
import ipaddress
import json
import os
import socket
import ssl
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.generate.backends.server.options import ServerOptions
from engine.logs.sanitise import sanitise, sanitise_bytes

if TYPE_CHECKING:
    import aiohttp

LARGEST_ANSWER = 8 << 20
"""Bytes of one answer; the longest completions and metrics pages stay far below."""

KEEP_ALIVE_S = 3.0
"""Shorter than servers keep idle connections (uvicorn: 5 s), or a request would be sent into one that is closing."""

CONNECT_S = 15.0
WORDS_LIMIT = 300


class Trouble(Exception):
    """No answer came; the text says why."""


class UnreachableError(Trouble):
    """The request did not reach the server. `hopeless`: another try would not help (no such host, a false identity)."""

    def __init__(self, why: str, *, hopeless: bool = False) -> None:
        super().__init__(why)
        self.hopeless = hopeless


class BrokenError(Trouble):
    """The connection ended before the answer was whole."""


class TimedOutError(Trouble):
    """The server took the request and did not answer in time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is None when it was larger than `LARGEST_ANSWER`; `retry_after_s` is what the server asked for."""

    status: int
    body: bytes | None
    server: str = ""
    retry_after_s: float | None = None


class Client:
    """One server at one address. To be opened, used and closed within one event loop."""

    def __init__(self, options: ServerOptions, key: str | None) -> None:
        self._options, self._key = options, key
        self._root = options.url or "http://localhost"
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        import aiohttp

        connector: aiohttp.BaseConnector = (
            aiohttp.UnixConnector(self._options.socket, limit=0, keepalive_timeout=KEEP_ALIVE_S)
            if self._options.socket is not None
            else aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=_trust(self._root))
        )
        headers = {"User-Agent": "pilothouse", "Accept": "application/json, text/plain", "Accept-Encoding": "identity"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(
                total=self._options.timeout_s, sock_connect=min(CONNECT_S, self._options.timeout_s)
            ),
            # Not trust_env, which would send credentials out of ~/.netrc as well.
            proxy=_proxy(self._root),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str) -> Reply:
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: bytes) -> Reply:
        return await self._ask("POST", path, body)

    def words(self, reply: Reply) -> str:
        """The status and what the server says of it: one line of plain text, without the key if it should quote it."""
        said = "" if reply.body is None else self.clean(_message(reply.body).strip(), WORDS_LIMIT)
        return f"{reply.status}: {said}" if said else f"status {reply.status}"

    def clean(self, text: str, limit: int) -> str:
        """Something that the server said, safe to print: no escape sequences, and not the key it was given."""
        if self._key is not None:
            text = text.replace(self._key, "…")
        text = sanitise(text, limit)
        # Again, because it may only now be in one piece.
        return text if self._key is None else text.replace(self._key, "…")

    async def _ask(self, method: str, path: str, body: bytes | None) -> Reply:
        import aiohttp

        assert self._session is not None
        headers = {"Content-Type": "application/json"} if body is not None else None
        try:
            async with self._session.request(
                method, f"{self._root}{path}", data=body, headers=headers, allow_redirects=False
            ) as response:
                return Reply(
                    status=response.status,
                    body=await _bounded(response),
                    server=self.clean(response.headers.get("Server", ""), 80),
                    retry_after_s=_retry_after(response.headers.get("Retry-After")),
                )
        except aiohttp.ClientConnectorCertificateError as error:
            raise UnreachableError(
                "its certificate is not trusted (the environment variable SSL_CERT_FILE may name whom to trust): "
                + sanitise(str(error.certificate_error), 200),
                hopeless=True,
            ) from None
        except aiohttp.ClientConnectorDNSError as error:
            nameless = getattr(error.os_error, "errno", None) == socket.EAI_NONAME
            raise UnreachableError("there is no host of that name", hopeless=nameless) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise UnreachableError(_reason(error)) from None
        except TimeoutError:
            raise TimedOutError(f"no answer within {self._options.timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise BrokenError(_reason(error)) from None


async def _bounded(response: aiohttp.ClientResponse) -> bytes | None:
    """The answer's body; None, and the connection closed, as soon as it proves to be too large."""
    chunks, size = [], 0
    if (response.content_length or 0) <= LARGEST_ANSWER:
        async for chunk in response.content.iter_any():
            size += len(chunk)
            if size > LARGEST_ANSWER:
                break
            chunks.append(chunk)
        else:
            return b"".join(chunks)
    response.close()
    return None


def _reason(error: Exception) -> str:
    """Why there is no connection, in words that hold no address: a proxy's may carry a password."""
    cause = getattr(error, "os_error", error)
    if isinstance(cause, OSError) and (cause.errno or 0) > 0:
        return os.strerror(cause.errno or 0)
    names = {"ConnectionTimeoutError": "no connection in time", "ServerDisconnectedError": "the connection was closed"}
    name = type(error).__name__
    return names.get(name, f"the answer broke off ({name})")


def _message(body: bytes) -> str:
    """What an error's body says: its message where it has one, else its first words."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        text = sanitise_bytes(body[: 4 * WORDS_LIMIT].strip(), WORDS_LIMIT)
        return "a web page" if text.lower().startswith(("<!doctype", "<html")) else text
    for key in ("error", "message", "detail", "msg"):
        while isinstance(value, dict) and key in value:
            value = value[key]
    return value if isinstance(value, str) else json.dumps(value)[: 4 * WORDS_LIMIT]


def _retry_after(value: str | None) -> float | None:
    """Seconds from now that a `Retry-After` header asks for, in either of its forms."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value.strip()[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError, OSError):
        return None


def _trust(root: str) -> ssl.SSLContext | bool:
    """Whose certificates are believed: the system's authorities, or those that the environment names just now."""
    return ssl.create_default_context() if root.startswith("https:") else True


def _proxy(root: str) -> str | None:
    """The proxy that the environment names for this address; none for this machine itself."""
    parts = urlsplit(root)
    host = parts.hostname or ""
    if _is_loopback(host) or urllib.request.proxy_bypass_environment(host):  # type: ignore[attr-defined]
        return None
    return urllib.request.getproxies_environment().get(parts.scheme)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
