"""Tells a webhook: `python -m engine.supervise.notifier WEBHOOK_ENV` posts the JSON message on its standard input.

The address is as good as a password, so it comes from the environment variable that is named, and nothing said here
holds it, or anything that a library or the other side says of it.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus

TIMEOUT_S = 10.0
PAUSES_S = (1.0, 4.0)


class NotTold(Exception):
    """Why the message did not arrive, in words of our own; `again`: another try may do better."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


def tell(url: str, message: bytes) -> None:
    """Post the JSON `message` to `url`, trying again, after `PAUSES_S`, what may be over soon. Raises `NotTold`."""
    for number, pause in enumerate((*PAUSES_S, None), start=1):
        try:
            _post(url, message)
            return
        except NotTold as error:
            if not error.again:
                raise
            if pause is None:
                raise NotTold(f"{error}, {number} times", again=False) from None
            time.sleep(pause)


def _post(url: str, message: bytes) -> None:
    import httpx

    logging.getLogger("httpx").disabled = True  # it logs the address of every request
    try:
        # Streamed, because only the status matters: the body may be anything, and endless. No redirect is followed.
        with httpx.stream(
            "POST", url, content=message, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_S
        ) as answer:
            status = answer.status_code
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise NotTold("the address cannot be used", again=False) from None
    except httpx.TransportError as error:
        raise _broken(error, late=isinstance(error, httpx.TimeoutException)) from None
    if not 200 <= status < 300:
        phrase = f" {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else ""
        raise NotTold(f"the webhook answered {status}{phrase}", again=status == 429 or status >= 500)


def _broken(error: Exception, *, late: bool) -> NotTold:
    if late:
        return NotTold(f"no answer within {TIMEOUT_S:g} s", again=True)
    causes = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return NotTold("connection refused", again=True)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return NotTold("its host's name is not known", again=True)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return NotTold("its certificate is not to be trusted", again=False)
    return NotTold("the connection broke", again=True)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def main(arguments: list[str] | None = None) -> int:
    """0 when the webhook took the message; else 1, and on stderr one line that says why not."""
    parser = argparse.ArgumentParser(prog="python -m engine.supervise.notifier", description=__doc__)
    parser.add_argument("variable", metavar="WEBHOOK_ENV", help="environment variable that holds the address")
    variable = parser.parse_args(arguments).variable
    url = os.environ.get(variable, "").strip()
    if not url:
        why = f"{variable} is not set where the run was started, or is empty"
    elif not url.lower().startswith(("http://", "https://")):
        why = f"{variable} does not hold an address that begins with https:// or http://"
    else:
        try:
            tell(url, sys.stdin.buffer.read())
        except NotTold as error:
            why = f"{error} ({variable})"
        except Exception as error:  # a proxy that is set wrongly, say: the library's own words may hold addresses
            why = f"{variable} could not be used: {type(error).__name__}"
        else:
            return 0
    sys.stderr.write(f"{why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
