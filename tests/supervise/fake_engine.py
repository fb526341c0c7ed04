"""A server at a Unix socket that says what a test wants, word for word, and the files of engines and runs."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine.campaign.models import ModelConfig
from engine.campaign.naming import kind_of
from engine.campaign.spec import RunSpec, create_spec
from engine.files import RunFiles, Workspace, make_private_folder
from engine.journal.engine_record import EngineRecord, write_engine
from engine.journal.events import ProcessIdentity
from engine.supervise.identity import own_identity
from engine.supervise.liveness import KeeperRecord, write_keeper

MODEL = ModelConfig(path="/models/7B", backend="vllm", options={"max_model_len": 2048})


def page(generated: float = 0, running: int = 0, waiting: int = 0) -> str:
    """A page of metrics."""
    labels = '{engine="0",model_name="/models/7B"}'
    return (
        f"vllm:num_requests_running{labels} {running}\nvllm:num_requests_waiting{labels} {waiting}\n"
        f"vllm:generation_tokens_total{labels} {generated}\n"
    )


def answer(body: str | bytes = b"", status: int = 200) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class FakeEngine:
    """Answers `/health` and `/metrics` with the octets `says` holds for them; None: takes the question, says nothing.

    `asked` lists the questions so far. A connection is closed once all was said.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.says: dict[str, bytes | None] = {"/health": answer(), "/metrics": answer(page())}
        self.asked: list[str] = []
        self._held: list[socket.socket] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def metrics(self, **counted: Any) -> None:
        self.says["/metrics"] = answer(page(**counted))

    def close(self) -> None:
        """Be gone, as an engine whose process has ended."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        for one in (self._socket, *self._held):
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            target = connection.recv(4096).split(b" ")[1].decode()
            said = self.says.get(target, answer("no such page", 404))
            self.asked.append(target)
            if said is None:
                self._held.append(connection)
                continue
            with contextlib.suppress(OSError), connection:
                connection.sendall(said)


@contextlib.contextmanager
def fake_engine(folder: Path) -> Iterator[FakeEngine]:
    served = FakeEngine(folder / "engine.sock")
    try:
        yield served
    finally:
        served.close()


# --- files ---------------------------------------------------------------------------------------------------------


def dead() -> ProcessIdentity:
    """Somebody of this boot who lives no more."""
    return own_identity().model_copy(update={"start_ticks": 1})


def elsewhere() -> ProcessIdentity:
    return own_identity().model_copy(update={"host": "another-host"})


def kept(
    workspace: Workspace,
    name: str,
    *,
    keeper: Callable[[], ProcessIdentity] = own_identity,
    ended: str | None = None,
    attached: str = "",
    **fields: Any,
) -> tuple[RunFiles, RunSpec]:
    """What a run, or an engine, of the campaign `camp` leaves that is kept by `keeper` (this very process).

    A run is `attached` to the engine of that name.
    """
    files = workspace.run_files("camp", name)
    make_private_folder(files.folder)
    spec = RunSpec.model_validate(
        {"campaign": "camp", "run": name, "kind": kind_of(name), "run_id": f"id-of-{name}", "model": MODEL, **fields}
    )
    if not files.spec.exists():
        create_spec(files, spec)
    record = KeeperRecord(run=spec.id, run_id=spec.run_id, attempt=1, keeper=keeper(), engine=attached, ended=ended)
    write_keeper(files, record)
    return files, spec


def says_of_itself(files: RunFiles, state: str, *, in_use: bool = False, socket_path: str = "/nowhere") -> None:
    """engine.json, as the engine's keeper writes it."""
    write_engine(
        files,
        EngineRecord.model_validate({"state": state, "socket": socket_path, "model": MODEL.path, "in_use": in_use}),
    )
