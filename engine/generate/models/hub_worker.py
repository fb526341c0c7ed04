"""The process that fetches from the hub: `python -m engine.generate.models.hub_worker`, started by `fetching`.

The hub's library cannot be asked to stop, it prints bars and warnings, and it reads its settings when it is imported:
so it works in a process of its own. That is told what to do in JSON lines on its standard input, and ends when that is
closed, so also with whoever started it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NoReturn

FILES_AT_ONCE = 4
"""What is in flight when a download is stopped may have to be fetched again; the hub's library is fast with few."""

UNIQUE = re.compile(r"[0-9a-f]+\.[0-9a-f]{8}\.incomplete")
"""A temporary file that no later process will go on with (huggingface_hub 2.4); `BLOB.incomplete` is gone on with."""


def fetch() -> NoReturn:
    """The life of the fetching process: orders on standard input, answers on standard output, until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: whoever started this decides
    signal.signal(signal.SIGTERM, lambda *_: _leave())
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever the library prints
    orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_obey, args=(orders, answers), daemon=True).start()
    for line in sys.stdin:
        orders.put(json.loads(line))
    _leave()


def _leave() -> NoReturn:
    """End at once. Files that were being written are removed if nothing can go on with them."""
    with contextlib.suppress(OSError):
        for link in os.scandir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                target = Path(os.readlink(link.path))
                if UNIQUE.fullmatch(target.name):
                    target.unlink()
    os._exit(0)


def _obey(orders: SimpleQueue[dict[str, Any]], answers: IO[str]) -> None:
    for work in (_list_files, _fetch_files):
        order = orders.get()
        try:
            answer = work(order)
        except BaseException as error:  # a panic in the library's compiled part is no Exception
            answer = {"error": _described(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


_CUT_OFF = ("ReadError", "RemoteProtocolError", "ChunkedEncodingError")
"""Errors of a connection that broke in the middle, which some versions of the library give up on at once."""


def _list_files(order: Mapping[str, Any]) -> dict[str, Any]:
    from huggingface_hub import HfApi, constants

    def ask() -> Any:
        return HfApi().model_info(order["repository"], revision=order["revision"], files_metadata=True, timeout=10)

    info = _again(ask, lambda error: _status(error) in (429, 500, 502, 503, 504))
    files = [[file.rfilename, file.size, file.lfs.sha256 if file.lfs else file.blob_id] for file in info.siblings or ()]
    return {"commit": info.sha, "files": files, "endpoint": _without_login(constants.ENDPOINT)}


def _fetch_files(order: Mapping[str, Any]) -> dict[str, Any]:
    from huggingface_hub import hf_hub_download

    def fetch_one(name: str, revision: str) -> None:
        _again(
            lambda: hf_hub_download(order["repository"], name, revision=revision, cache_dir=order["cache"]),
            lambda error: type(error).__name__ in _CUT_OFF,
        )

    for names in order["phases"]:
        pool = concurrent.futures.ThreadPoolExecutor(FILES_AT_ONCE)
        begun = [pool.submit(fetch_one, name, order["commit"]) for name in names]
        for finished in concurrent.futures.as_completed(begun):
            finished.result()
    if order["revision"] != order["commit"]:  # from now on the cache knows which commit that branch or tag is
        fetch_one("config.json", order["revision"])
    return {}


def _again(work: Callable[[], Any], passing: Callable[[Exception], bool]) -> Any:
    """What `work` returns; tried three times where its error is one that may pass."""
    for patience in (0.5, 1.0):
        try:
            return work()
        except Exception as error:
            if not passing(error):
                raise
        time.sleep(patience)
    return work()


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _without_login(text: str) -> str:
    """`text` with the user and password left out of the addresses in it."""
    return re.sub(r"//[^\s/]*@", "//", text)


def _described(error: BaseException) -> dict[str, Any]:
    """`error` and its causes in plain values, without secrets: the library's errors may quote what the server said."""
    token = endpoint = None
    with contextlib.suppress(Exception):  # no library, no login, or one that cannot be read
        from huggingface_hub import constants, get_token

        endpoint = _without_login(constants.ENDPOINT)
        token = get_token()
    chain = list(_causes(error))
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = re.sub(r"\?\S+", "?…", _without_login(lines[0]) if lines else "")  # signatures of links
    text = re.sub(r"hf_\w{6,}", "hf_…", text.replace(token, "…") if token else text)
    return {
        "kinds": sorted({kind.__name__ for cause in chain for kind in type(cause).__mro__}),
        "status": next(filter(None, map(_status, chain)), None),
        "errno": next((cause.errno for cause in chain if isinstance(cause, OSError) and cause.errno), None),
        "text": f"{type(error).__name__}: {text}",
        "token": bool(token),
        "endpoint": endpoint,
    }


if __name__ == "__main__":
    fetch()
