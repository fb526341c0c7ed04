"""What is found out about a server before anything is generated, and which servers are refused."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine.errors import ConfigurationError, RefusedError, RunFailedError
from engine.generate.backends.server.backend import ServerBackend
from engine.generate.critics import LABELS
from tests.generate.fake_server import SAMPLING, Asked, FakeServer, backend_of, opened, serving, working
from tests.waiting import wait_until

KEY = "sk-a-very-secret-key"


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, (True, True)),
        ({"seeds": False}, (False, True)),
        ({"penalty": False}, (True, False)),
        ({"refuses": ("repetition_penalty",)}, (True, False)),
        ({"refuses": ("seed",)}, (False, True)),
        ({"tells": None, "usage": False, "owner": "", "version": None}, (True, True)),
    ],
)
def test_seeds_and_penalties_are_tried(switches: dict[str, Any], expected: tuple[bool, bool]) -> None:
    with working(**switches) as (_, backend):
        found = backend.capabilities
        assert (found.seed_per_request, found.repetition_penalty) == expected
        assert (found.name, found.label_scores, found.cancel) == ("server", True, True)
        assert backend.generate("Say: ", SAMPLING).result(20).text


def test_a_server_that_always_says_the_same_honours_no_seeds() -> None:
    class Deaf(FakeServer):
        def _text(self, body: dict[str, Any], prompt: str) -> tuple[str, str, None]:
            return " the very same words", "length", None

    server = Deaf().start()
    try:
        with opened(server) as backend:
            found = backend.capabilities
            assert (found.seed_per_request, found.repetition_penalty) == (False, False)
    finally:
        server.end()


def test_versions_are_those_that_the_server_tells() -> None:
    with working(version="0.32.0", owner="vllm") as (_, backend):
        assert backend.capabilities.versions["server"] == "vllm 0.32.0"
        assert backend.concurrency > 128, "vLLM queues what it cannot run yet"
    with working(version=None) as (_, backend):
        assert "aiohttp" in backend.capabilities.versions["server"], "the Server header"


def test_prompts_whose_tokens_nobody_counts_go_as_text() -> None:
    """A server that takes a list of numbers for a text would say yes to it."""
    with working(usage=False) as (server, backend):
        backend.generate("Say: ", SAMPLING).result(20)
        assert server.completions()[-1].body["prompt"] == "Say: "


def test_a_tokenizer_of_another_model_is_refused() -> None:
    class Other(FakeServer):
        def count(self, text: str) -> int:
            return super().count(text) + 7

    server = Other().start()
    try:
        with pytest.raises(ConfigurationError, match="do not belong together") as caught, opened(server):
            pass
        assert caught.value.where == "model.options.tokenizer"
    finally:
        server.end()


# --- which model -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("models", "option", "path", "chosen"),
    [
        (("one",), None, None, "one"),
        (("one", "two"), "two", None, "two"),
        (("one", "/data/two"), None, "/data/two", "/data/two"),
        (("one", "two"), "two", "one", "two"),
    ],
)
def test_the_model_is_the_named_one_or_the_only_one_or_the_campaigns(
    models: tuple[str, ...], option: str | None, path: str | None, chosen: str
) -> None:
    with serving(models=models) as server:
        backend = backend_of({**server.options, "model": option}, path=path)
        try:
            backend.generate("Say: ", SAMPLING).result(20)
            assert server.completions()[-1].body["model"] == chosen
        finally:
            backend.close()


@pytest.mark.parametrize(
    ("models", "option", "message"),
    [
        (("one", "two\x1b[2J"), None, "serves several models: one, two"),
        (("one", "two"), "three", "serves no 'three'; it serves one, two"),
        ((), None, "does not say at /v1/models"),
    ],
)
def test_a_model_that_cannot_be_told_is_refused_with_the_names_there_are(
    models: tuple[str, ...], option: str | None, message: str
) -> None:
    with serving(models=models) as server, pytest.raises(ConfigurationError) as caught:
        backend_of({**server.options, "model": option}, path="pocket")
    assert message in caught.value.what
    assert "\x1b" not in str(caught.value)


# --- who is let in -----------------------------------------------------------------------------------------------


def test_the_key_is_sent_and_stands_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_KEY", KEY)
    with caplog.at_level(logging.DEBUG), working(key=KEY, options={"api_key_env": "FAKE_KEY"}) as (server, backend):
        assert backend.generate("Say: ", SAMPLING).result(20).text

        async def meet(asked: Asked) -> web.Response:
            return web.json_response(
                {"error": f"who is \x1b[1m{asked.headers['Authorization']}, sk-a-\x1b[0mvery-secret-key"}, status=400
            )

        server.meets = meet
        failed = backend.generate("Say: ", SAMPLING).exception(20)
        said = [repr(backend), repr(vars(backend)), str(failed), repr(failed), caplog.text, *capfd.readouterr()]
        said += [repr(value) for value in vars(backend._client).values() if value is not backend._client._key]
    assert "who is" in str(failed)
    for text in said:
        assert KEY not in text


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/completions"])
def test_a_server_that_lets_nobody_in_is_a_refusal(status: int, path: str) -> None:
    class Closed(FakeServer):
        def _answer(self, asked: Asked) -> web.Response:
            if asked.path == path:
                return web.json_response({"error": {"message": "Invalid\x1b]0;x\x07 key"}}, status=status)
            return super()._answer(asked)

    server = Closed().start()
    try:
        with pytest.raises(RefusedError) as caught, opened(server):
            pass
        assert f"{status}: Invalid key" in caught.value.what
        assert "model.options.api_key_env" in (caught.value.remedy or "")
        assert len([asked for asked in server.asked if asked.path == path]) == 1
    finally:
        server.end()


@pytest.mark.parametrize("value", [None, "  ", "two\nlines", "schlüssel"])
def test_a_key_that_is_not_there_or_cannot_be_sent_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("FAKE_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("FAKE_KEY", value)
    with pytest.raises(ConfigurationError, match="FAKE_KEY") as caught:
        backend_of({"url": "http://127.0.0.1:9", "api_key_env": "FAKE_KEY"})
    assert caught.value.where == "model.options.api_key_env"
    assert value is None or value.strip() == "" or value not in str(caught.value)


# --- servers that are none ---------------------------------------------------------------------------------------


def met(answer: Any) -> Iterator[FakeServer]:
    class Odd(FakeServer):
        def _answer(self, asked: Asked) -> web.Response:
            found = answer(self, asked)
            return super()._answer(asked) if found is None else found

    server = Odd().start()
    try:
        yield server
    finally:
        server.end()


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (web.json_response, "does not say at /v1/models"),
        (lambda: web.Response(text="<!DOCTYPE html><h1>Welcome", content_type="text/html"), "does not say"),
        (lambda: web.json_response({"data": [{"id": 5}, "x", {"id": ""}, None]}), "does not say"),
        (lambda: web.json_response({"data": {"id": "x"}}), "does not say"),
        (lambda: web.Response(text="[" * 100_000), "does not say"),
        (lambda: web.Response(status=404, text="<html>nginx"), r"\(404: a web page\)"),
        (lambda: web.Response(status=308, headers={"Location": "http://127.0.0.1:1/"}), r"\(status 308\)"),
    ],
)
def test_what_is_no_list_of_models_is_refused(models: Any, message: str) -> None:
    def answer(server: FakeServer, asked: Asked) -> web.Response | None:
        return (models({}) if models is web.json_response else models()) if asked.path == "/v1/models" else None

    for server in met(answer):
        with pytest.raises(ConfigurationError, match=message), opened(server):
            pass


def test_a_server_without_a_list_of_models_works_once_the_name_is_given() -> None:
    def answer(server: FakeServer, asked: Asked) -> web.Response | None:
        return web.Response(status=404) if asked.path == "/v1/models" else None

    for server in met(answer):
        with opened(server, model="fake") as backend:
            assert backend.generate("Say: ", SAMPLING).result(20).text


@pytest.mark.parametrize(
    ("completions", "message"),
    [
        (lambda: web.Response(status=404, text="no \x1b[2Jsuch page"), "404: no such page"),
        (lambda: web.json_response({"error": {"message": "chat only"}}, status=400), "400: chat only"),
        (lambda: web.json_response({"detail": [{"msg": "bad"}]}, status=422), '422: .*"msg": "bad"'),
        (lambda: web.Response(status=500, text="Internal Server Error"), "500: Internal Server Error"),
        (lambda: web.Response(text="<html>"), "the answer is not JSON"),
        (lambda: web.json_response([1]), "the answer is no JSON object"),
        (lambda: web.json_response({"id": "x"}), "its answers hold no choices"),
        (lambda: web.json_response({"choices": {}}), "its answers hold no choices"),
        (lambda: web.Response(body=b" " * (10 << 20)), "larger than any answer should be"),
    ],
)
def test_a_server_that_completes_nothing_is_refused_in_its_words(completions: Any, message: str) -> None:
    def answer(server: FakeServer, asked: Asked) -> web.Response | None:
        return completions() if asked.path == "/v1/completions" else None

    for server in met(answer):
        with pytest.raises(ConfigurationError, match=message) as caught, opened(server):
            pass
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 800


def test_a_server_that_does_not_take_the_loop_detector_is_refused() -> None:
    detection = {"max_pattern_size": 20, "min_count": 4}
    with serving(refuses=("repetition_detection",)) as server, pytest.raises(ConfigurationError) as caught:
        opened(server, repetition_detection=detection).__enter__()
    assert caught.value.where == "model.options.repetition_detection"


# --- servers that are away ---------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_server_that_is_not_there_is_a_failure_that_names_it(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(RunFailedError, match="Connection refused") as caught:
        backend_of({"url": f"http://127.0.0.1:{port}/v1/", "retry_for_s": 0.2})
    assert caught.value.where == f"http://127.0.0.1:{port}"
    with pytest.raises(RunFailedError, match="No such file") as caught:
        backend_of({"socket": str(tmp_path / "none.sock"), "retry_for_s": 0.2})
    assert caught.value.where == f"unix:{tmp_path}/none.sock"


def test_a_host_that_no_one_knows_is_not_waited_for() -> None:
    with pytest.raises(RunFailedError, match="no host of that name"):
        backend_of({"url": "http://no-such-host.invalid", "retry_for_s": 3600})


@pytest.mark.parametrize("status", [503, 429])
def test_a_server_that_is_still_loading_is_waited_for(status: int, caplog: pytest.LogCaptureFixture) -> None:
    def answer(server: FakeServer, asked: Asked) -> web.Response | None:
        loading = asked.path == "/v1/models" and asked.number < 4
        return web.Response(status=status, text="Loading model") if loading else None

    for server in met(answer):
        with caplog.at_level(logging.WARNING, "pilothouse.generate"), opened(server) as backend:
            assert backend.generate("Say: ", SAMPLING).result(20).text
        assert [record.getMessage() for record in caplog.records if "waited for" in record.getMessage()] == [
            f"{server.options['url']} does not answer ({status}: Loading model): it is waited for up to 300 s"
        ]


def test_a_server_that_starts_later_is_found(tmp_path: Path) -> None:
    server = FakeServer(socket=tmp_path / "s.sock")
    found: list[ServerBackend] = []
    try:
        opening = threading.Thread(target=lambda: found.append(backend_of({**server.options, "retry_for_s": 60})))
        opening.start()
        server.start()
        opening.join(30)
        assert found[0].score("Label:", LABELS).result(20).logprobs
        found[0].close()
    finally:
        server.end()


def test_errors_while_it_is_tried_are_not_taken_for_a_no() -> None:
    """Each request meets an error once; what the server can do is found all the same."""

    class Shaky(FakeServer):
        def _answer(self, asked: Asked) -> web.Response:
            return web.Response(status=500) if len(self.asked) % 2 else super()._answer(asked)

    with working() as (_, steady):
        expected = steady.capabilities
    server = Shaky().start()
    try:
        with opened(server) as backend:
            assert backend.capabilities == expected
    finally:
        server.end()


def test_a_proxy_is_used_for_other_machines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as proxy, serving() as local:
        monkeypatch.setenv("http_proxy", proxy.options["url"])
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with opened(local):
            assert not proxy.asked
        backend = backend_of({"url": "http://models.example"})
        try:
            assert backend.generate("Say: ", SAMPLING).result(20).text
            assert proxy.completions()[-1].headers["Host"] == "models.example"
        finally:
            backend.close()


def test_credentials_of_netrc_are_not_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine models.example login me password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    with serving() as proxy:
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("http_proxy", proxy.options["url"])
        backend_of({"url": "http://models.example"}).close()
        assert all("Authorization" not in asked.headers for asked in proxy.asked)


def test_nothing_is_left_running_after_a_refusal() -> None:
    before = set(threading.enumerate())
    with serving(models=()) as server:
        with pytest.raises(ConfigurationError), opened(server):
            pass
        wait_until(lambda: not any(thread.name.startswith("server ") for thread in set(threading.enumerate()) - before))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_a_server_whose_certificate_nobody_signed_is_not_talked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]
    named = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, *named], cwd=tmp_path, check=True, capture_output=True)
    with serving(certificate=tmp_path) as server:
        with pytest.raises(RunFailedError, match=r"its certificate is not trusted .*self-signed") as caught:
            backend_of({**server.options, "retry_for_s": 3600})
        assert caught.value.where == server.options["url"]
        assert not server.asked
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        with opened(server) as backend:
            assert backend.generate("Say: ", SAMPLING).result(20).text, "once its signature is trusted"
