"""The notifier against a real HTTP server: what is tried again, what is said of a failure, and what never is."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from engine.supervise import notifier

SECRET = "T0PSECRET"
VARIABLE = "TEST_WEBHOOK"
MESSAGE = json.dumps({"text": "camp/pilot succeeded"}).encode()


@dataclass
class Hook:
    """A webhook that answers with `answers` in turn, the last of them from then on; None: it never answers."""

    answers: list[int | None]
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    def serve(self) -> ThreadingHTTPServer:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
                answer = hook.answers.pop(0) if len(hook.answers) > 1 else hook.answers[0]
                if answer is None:
                    hook.over.wait(30)
                    return
                self.send_response(answer, f"reason with {SECRET}")
                self.send_header("Location", f"http://127.0.0.1:1/{SECRET}")
                self.end_headers()
                self.wfile.write(f"body with {SECRET}".encode())

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
        return server


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine, and no long pauses."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(notifier, "PAUSES_S", (0.01, 0.01))


@pytest.fixture
def hook() -> Iterator[Callable[..., Hook]]:
    made: list[tuple[Hook, ThreadingHTTPServer]] = []

    def start(*answers: int | None) -> Hook:
        hook = Hook(list(answers))
        server = hook.serve()
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        made.append((hook, server))
        return hook

    yield start
    for hook, server in made:
        hook.over.set()
        server.shutdown()
        server.server_close()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[[str | None], tuple[int, str]]:
    """Runs the notifier with that address; its exit code and all it printed, which never holds the secret."""

    def tell(url: str | None) -> tuple[int, str]:
        if url is None:
            monkeypatch.delenv(VARIABLE, raising=False)
        else:
            monkeypatch.setenv(VARIABLE, url)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(MESSAGE)))
        code = notifier.main([VARIABLE])
        printed = "".join(capfd.readouterr())
        assert SECRET not in printed
        assert printed.count("\n") == (0 if code == 0 else 1)
        return code, printed

    return tell


Tell = Callable[[str | None], tuple[int, str]]


@pytest.mark.parametrize("status", [200, 204])
def test_the_webhook_gets_the_message_once(hook: Callable[..., Hook], told: Tell, status: int) -> None:
    there = hook(status)
    assert told(there.url) == (0, "")
    assert there.bodies == [MESSAGE]


def test_what_may_be_over_soon_is_tried_again(hook: Callable[..., Hook], told: Tell) -> None:
    there = hook(500, 429, 200)
    assert told(there.url) == (0, "")
    assert len(there.bodies) == 3


def test_three_tries_are_enough(hook: Callable[..., Hook], told: Tell) -> None:
    there = hook(503)
    assert told(there.url) == (1, f"the webhook answered 503 Service Unavailable, 3 times ({VARIABLE})\n")
    assert len(there.bodies) == 3


@pytest.mark.parametrize(("status", "said"), [(404, "404 Not Found"), (302, "302 Found"), (499, "499")])
def test_what_will_not_change_is_tried_once(hook: Callable[..., Hook], told: Tell, status: int, said: str) -> None:
    there = hook(status)
    assert told(there.url) == (1, f"the webhook answered {said} ({VARIABLE})\n")
    assert len(there.bodies) == 1


def test_one_that_never_answers(hook: Callable[..., Hook], told: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "TIMEOUT_S", 0.2)
    there = hook(None)
    assert told(there.url) == (1, f"no answer within 0.2 s, 3 times ({VARIABLE})\n")
    assert len(there.bodies) == 3


def test_one_that_is_not_there(told: Tell) -> None:
    with socket.socket() as taken:  # bound, and not listened to
        taken.bind(("127.0.0.1", 0))
        assert told(f"http://127.0.0.1:{taken.getsockname()[1]}/{SECRET}") == (
            1,
            f"connection refused, 3 times ({VARIABLE})\n",
        )


def test_one_that_breaks_the_connection(told: Tell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            for _ in range(3):
                server.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        code, said = told(f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}")
    assert (code, said) == (1, f"the connection broke, 3 times ({VARIABLE})\n")


def test_a_host_without_a_name(told: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, f"no such host {SECRET}")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("NO_PROXY", "*")
    assert told(f"https://{SECRET}.invalid/hook") == (1, f"its host's name is not known, 3 times ({VARIABLE})\n")


@pytest.mark.parametrize("url", [None, "", "  \n"])
def test_no_address(told: Tell, url: str | None) -> None:
    assert told(url) == (1, f"{VARIABLE} is not set where the run was started, or is empty\n")


@pytest.mark.parametrize("url", [f"hooks.example.org/{SECRET}", f"ftp://example.org/{SECRET}", f"file:///{SECRET}"])
def test_what_is_no_web_address(told: Tell, url: str) -> None:
    assert told(url) == (1, f"{VARIABLE} does not hold an address that begins with https:// or http://\n")


@pytest.mark.parametrize("url", [f"http:///{SECRET}", f"https://host:{SECRET}/"])
def test_an_address_that_cannot_be_used(told: Tell, url: str) -> None:
    assert told(url) == (1, f"the address cannot be used ({VARIABLE})\n")


def test_a_proxy_that_cannot_be_used(told: Tell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", f"socks9://user:{SECRET}@nowhere")
    code, said = told(f"http://example.org/{SECRET}")
    assert code == 1
    assert said.startswith(f"{VARIABLE} could not be used: ")


def test_as_a_program(hook: Callable[..., Hook]) -> None:
    there = hook(404)
    result = subprocess.run(
        [sys.executable, "-m", "engine.supervise.notifier", VARIABLE],
        input=MESSAGE,
        env=os.environ | {VARIABLE: there.url, "PYTHONDEVMODE": "1"},
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.decode() == f"the webhook answered 404 Not Found ({VARIABLE})\n"
    assert there.bodies == [MESSAGE]
