"""Models of the hub, downloaded from a real HTTP server on loopback."""

from __future__ import annotations

import fcntl
import itertools
import json
import logging
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from engine.campaign.models import ModelConfig
from engine.errors import ConfigurationError, PilothouseError, RefusedError, RunFailedError
from engine.generate.models.download import download
from engine.generate.models.fetching import DownloadStoppedError
from engine.generate.models.folder import POCKET_FOLDER
from engine.generate.models.hub_files import HubFile, wanted_files
from engine.generate.models.hugging_face import find_model
from engine.journal.events import LoadProgress
from tests.generate.fake_hub import SIGNATURE, FakeHub, Repository, weights_file
from tests.waiting import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
POCKET = {path.name: path.read_bytes() for path in (POCKET_FOLDER / "hf").iterdir()}
SMALL = {name: content for name, content in POCKET.items() if name != "model.safetensors"}
INDEX = "model.safetensors.index.json"
SHARDS = tuple(f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3))
TOKEN = "hf_" + "abcdefgh" * 4
MEGABYTE = 1_000_000
CHUNK = 10 * 2**20
"""Bytes that the hub's library hands on at a time."""


Refusal = tuple[str, str, tuple[int, str] | None, str, str]
"""Model, token, how requests are denied, and what is said of it: what, and the remedy."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    with FakeHub() as fake:
        for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HF_ENDPOINT", fake.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        fake.repositories["acme/pocket"] = Repository(dict(POCKET))
        fake.repositories["acme/sharded"] = Repository(sharded(2 * MEGABYTE))
        yield fake


def sharded(size: int) -> dict[str, bytes]:
    index = {"weight_map": {f"w{number}": name for number, name in enumerate(SHARDS)}}
    return SMALL | {name: weights_file(size + number) for number, name in enumerate(SHARDS)} | {INDEX: as_json(index)}


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def fetch(path: str, cache: Path, events: list[LoadProgress] | None = None, **options: object) -> Path:
    said = events.append if events is not None else lambda _: None
    model = ModelConfig(path=path, backend="vllm", options=options)
    return download(model, cache, progress=said, stopped=lambda: False).weights


def refusal(path: str, cache: Path) -> PilothouseError:
    with pytest.raises(PilothouseError) as caught:
        fetch(path, cache)
    return caught.value


def leftovers(cache: Path) -> list[Path]:
    return sorted(cache.glob("models--*/blobs/*.incomplete"))


def downloads() -> list[psutil.Process]:
    """Our child processes that download; what else has ended, and nobody asked after yet, is not ours to judge."""
    children = psutil.Process().children()
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "download" in " ".join(child.cmdline())]


def useless(cache: Path) -> list[Path]:
    """What no later download can go on with: 2.4 of the hub's library writes under names that it never uses again."""
    return [path for path in leftovers(cache) if re.fullmatch(r"[0-9a-f]+\.[0-9a-f]{8}\.incomplete", path.name)]


# --- what is fetched ---------------------------------------------------------------------------------------------


def test_a_model_is_fetched_checked_and_found_from_then_on(
    hub: FakeHub, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    model, events = ModelConfig(path="acme/pocket", backend="vllm"), []
    cache = tmp_path / "models"
    assert find_model(model, cache) is None
    folder = download(model, cache, progress=events.append, stopped=lambda: False)
    assert {path.name: path.read_bytes() for path in folder.weights.iterdir()} == POCKET
    assert (folder.name, folder.context, folder.chat_template) == ("acme/pocket", 1024, False)
    assert find_model(model, cache) == folder
    assert cache.stat().st_mode & 0o777 == 0o700
    assert events[0].stage == "downloading"
    asked = [path.rpartition("/")[2] for method, path, _ in hub.requests if method == "GET"]
    assert asked[-1] == "model.safetensors", "where the weights are, all else is"
    assert "4 files, 0.0 of 10.0 MB" in caplog.text
    assert capfd.readouterr() == ("", ""), "nothing but log lines and progress comes out"


def test_whatever_else_the_process_prints_is_no_answer(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Some installations print as Python starts, and libraries may print in between, with no line's end."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nprint('hello')\n"
        "sys.addaudithook(lambda event, _: event == 'socket.connect' and os.write(1, b'noise'))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert fetch("acme/pocket", tmp_path / "models").is_dir()
    assert capfd.readouterr() == ("", "")


def test_only_what_is_needed_is_fetched(hub: FakeHub, tmp_path: Path) -> None:
    needed = SMALL | {
        "model.safetensors": weights_file(10),
        "generation_config.json": b"{}",
        "chat_template.jinja": b"x",
    }
    hub.repositories["acme/full"] = Repository(
        needed
        | dict.fromkeys(("pytorch_model.bin", "consolidated.safetensors", "model.gguf", "tf_model.h5"), b"twice")
        | dict.fromkeys(("original/model.pth", "onnx/model.onnx", "README.md", "LICENSE.txt", ".gitattributes"), b"x")
        | {"modeling_acme.py": b"raise SystemExit", "pytorch_model.bin.index.json": b"{}"}
    )
    assert {path.name for path in fetch("acme/full", tmp_path).iterdir()} == needed.keys()


def test_pytorch_weights_are_taken_where_there_are_no_others(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["acme/old"] = Repository(SMALL | {"pytorch_model.bin": b"weights", "training_args.bin": b"x"})
    assert {path.name for path in fetch("acme/old", tmp_path).iterdir()} == SMALL.keys() | {"pytorch_model.bin"}


def test_dummy_weights_are_not_fetched(hub: FakeHub, tmp_path: Path) -> None:
    assert {path.name for path in fetch("acme/pocket", tmp_path, load_format="dummy").iterdir()} == SMALL.keys()


def test_a_revision_is_fetched_beside_another(hub: FakeHub, tmp_path: Path) -> None:
    main = fetch("acme/pocket", tmp_path)
    hub.repositories["acme/pocket"] = Repository(SMALL | {"model.safetensors": weights_file(5)}, "c" * 40, ("v2",))
    other = fetch("acme/pocket@v2", tmp_path)
    assert (main.name, other.name) == ("a" * 40, "c" * 40)
    for path, folder in (("acme/pocket", main), ("acme/pocket@v2", other), (f"acme/pocket@{'c' * 40}", other)):
        found = find_model(ModelConfig(path=path, backend="vllm"), tmp_path)
        assert found is not None
        assert found.weights == folder


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (SMALL | {"model.gguf": b"x"}, {}, r"no weights that vLLM loads, only \.gguf"),
        (
            SMALL | {"pytorch_model.bin": b"x"},
            {"load_format": "safetensors"},
            r"no weights that vLLM loads, only \.bin",
        ),
        ({"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"}, {}, r"an adapter \(LoRA\)"),
        ({"config.json": b"{}", "model.safetensors": weights_file(1)}, {}, "no tokenizer"),
        (POCKET, {"load_format": "tensorizer"}, "not known which files load_format: tensorizer needs"),
    ],
)
def test_a_repository_that_vllm_cannot_load_costs_no_download(
    hub: FakeHub, tmp_path: Path, files: dict[str, bytes], options: dict[str, object], message: str
) -> None:
    hub.repositories["acme/wrong"] = Repository(files)
    with pytest.raises(ConfigurationError, match=message):
        fetch("acme/wrong", tmp_path, **options)
    assert [path for _, path, _ in hub.requests] == ["/api/models/acme/wrong/revision/main"]


def test_file_names_that_lead_elsewhere_are_not_fetched() -> None:
    evil = (
        "../../evil.json",
        "/etc/evil.json",
        "..",
        "a\0.json",
        "\x1b]0;x\x07.json",
        "*.json",
        "a\\b.json",
        ".env.json",
    )
    good = ("config.json", "tokenizer.json", "model.safetensors")
    small, weights = wanted_files([HubFile(name, 1, None) for name in (*evil, *good)], {})
    assert [file.name for file in (*small, *weights)] == list(good)


# --- going on ----------------------------------------------------------------------------------------------------


def test_a_second_download_fetches_nothing_again(hub: FakeHub, tmp_path: Path) -> None:
    first = fetch("acme/pocket", tmp_path)
    served = dict(hub.served)
    assert fetch("acme/pocket", tmp_path) == first
    assert dict(hub.served) == served


def test_a_connection_that_breaks_once_goes_on_where_it_broke(
    hub: FakeHub, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hub.repositories["acme/large"] = Repository(SMALL | {"model.safetensors": weights_file(24 * MEGABYTE)})
    hub.cut("model.safetensors", 12 * MEGABYTE)
    folder = fetch("acme/large", tmp_path)
    assert (folder / "model.safetensors").read_bytes() == weights_file(24 * MEGABYTE)
    assert hub.fetched("model.safetensors") == [None, f"bytes={CHUNK}-"]
    assert capfd.readouterr() == ("", ""), "the library's warning does not come out"


def test_after_a_break_the_next_download_fetches_only_what_is_missing(hub: FakeHub, tmp_path: Path) -> None:
    hub.cut(SHARDS[1], MEGABYTE)
    hub.deny(f"/storage/.*/{SHARDS[1]}", 502, later=1)
    error = refusal("acme/sharded", tmp_path)
    assert isinstance(error, RunFailedError)
    assert "status 502" in error.what
    assert not useless(tmp_path)
    assert find_model(ModelConfig(path="acme/sharded", backend="vllm"), tmp_path) is None
    hub.relent()
    before = {name: hub.fetched(name) for name in SHARDS}
    folder = fetch("acme/sharded", tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == hub.repositories["acme/sharded"].files
    whole = [name for name in SHARDS if hub.fetched(name) == before[name]]
    assert SHARDS[0] in whole
    assert SHARDS[1] not in whole


def test_a_stop_in_the_middle_ends_it_at_once_and_keeps_whole_files(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["acme/large"] = Repository(sharded(24 * MEGABYTE))
    hub.hold(SHARDS[2], 12 * MEGABYTE)
    events: list[LoadProgress] = []
    stop = threading.Event()
    asked: list[float] = []

    def say(event: LoadProgress) -> None:
        events.append(event)
        if event.share is not None and event.share > 0.75:
            asked.append(time.monotonic())
            stop.set()

    with pytest.raises(DownloadStoppedError) as caught:
        download(ModelConfig(path="acme/large", backend="vllm"), tmp_path, progress=say, stopped=stop.is_set)
    assert time.monotonic() - asked[0] < 2
    assert "goes on from there" in (caught.value.remedy or "")
    assert not downloads()
    assert not useless(tmp_path)
    assert re.fullmatch(r"58\.[67] of 72\.2 MB, [\d.]+ MB/s, 1 s left", events[-1].detail)
    hub.relent()
    before = {name: hub.fetched(name) for name in SHARDS}
    fetch("acme/large", tmp_path)
    assert [name for name in SHARDS if hub.fetched(name) != before[name]] == [SHARDS[2]]


def test_progress_comes_once_a_second_at_most_with_share_and_words(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["acme/large"] = Repository(SMALL | {"model.safetensors": weights_file(24 * MEGABYTE)})
    hub.hold("model.safetensors", 12 * MEGABYTE)
    of_another_process = hub.repositories["acme/large"].blob("model.safetensors") + ".0123abcd.incomplete"
    blobs = tmp_path / "models--acme--large" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / of_another_process).write_bytes(bytes(20 * MEGABYTE))
    events: list[LoadProgress] = []
    enough = threading.Event()

    def say(event: LoadProgress) -> None:
        events.append(event)
        if len(events) == 3:
            enough.set()

    with pytest.raises(DownloadStoppedError):
        download(ModelConfig(path="acme/large", backend="vllm"), tmp_path, progress=say, stopped=enough.is_set)
    times = [datetime.fromisoformat(event.time).timestamp() for event in events]
    assert all(later - sooner >= 0.99 for sooner, later in itertools.pairwise(times))
    assert {event.stage for event in events} == {"downloading"}
    assert events[0].detail == "asking the hub for acme/large"
    share = (CHUNK + sum(map(len, SMALL.values()))) / (24 * MEGABYTE + sum(map(len, SMALL.values())))
    assert events[-1].share == pytest.approx(share, abs=0.01)
    assert re.fullmatch(r"10\.[67] of 24\.2 MB, [\d.]+ MB/s, \d+ s left", events[-1].detail)


def test_the_fetching_process_ends_with_whoever_started_it(hub: FakeHub, tmp_path: Path) -> None:
    hub.hold("model.safetensors", MEGABYTE)
    script = (
        "import sys; from pathlib import Path; from engine.campaign.models import ModelConfig;"
        "from engine.generate.models.download import download;"
        "download(ModelConfig(path='acme/pocket', backend='vllm'), Path(sys.argv[1]), print, lambda: False)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: hub.fetched("model.safetensors"), what="the weights are asked for")
        [child] = psutil.Process(parent.pid).children()
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, what="the child's end")
    assert not useless(tmp_path)


# --- what killed processes left -----------------------------------------------------------------------------------


def test_what_a_killed_process_left_is_removed_unless_somebody_writes_it(hub: FakeHub, tmp_path: Path) -> None:
    fetch("acme/pocket", tmp_path)
    blobs = tmp_path / "models--acme--pocket" / "blobs"
    dead, live, locked, resumable = (
        blobs / f"{digit * 64}{rest}"
        for digit, rest in (
            ("1", ".0123abcd.incomplete"),
            ("2", ".0123abcd.incomplete"),
            ("3", ".0123abcd.incomplete"),
            ("4", ".incomplete"),
        )
    )
    for path in (dead, live, locked, resumable):
        path.write_bytes(b"half")
    for path in (dead, locked, resumable):
        os.utime(path, (1, 1))
    lock = tmp_path / ".locks" / "models--acme--pocket" / f"{'3' * 64}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert find_model(ModelConfig(path="acme/pocket", backend="vllm"), tmp_path) is None
        fetch("acme/pocket", tmp_path)
    assert leftovers(tmp_path) == sorted((live, locked, resumable))


def test_what_a_killed_process_left_is_gone_before_the_space_is_measured(hub: FakeHub, tmp_path: Path) -> None:
    blobs = tmp_path / "models--acme--pocket" / "blobs"
    blobs.mkdir(parents=True)
    dead = blobs / f"{'1' * 64}.0123abcd.incomplete"
    dead.write_bytes(b"half")
    os.utime(dead, (1, 1))
    hub.sizes["model.safetensors"] = 10**18
    assert isinstance(refusal("acme/pocket", tmp_path), RefusedError)
    assert not dead.exists()


def test_a_part_of_what_is_whole_by_now_is_removed(hub: FakeHub, tmp_path: Path) -> None:
    """As older versions of the hub's library left it: it would have the model downloaded for ever."""
    blobs = tmp_path / "models--acme--pocket" / "blobs"
    blobs.mkdir(parents=True)
    part = blobs / f"{hub.repositories['acme/pocket'].blob('model.safetensors')}.incomplete"
    part.write_bytes(POCKET["model.safetensors"][:1000])
    os.utime(part, (1, 1))
    fetch("acme/pocket", tmp_path)
    assert not leftovers(tmp_path)
    assert find_model(ModelConfig(path="acme/pocket", backend="vllm"), tmp_path) is not None


def test_a_whole_model_is_used_as_it_lies_when_the_hub_cannot_be_asked(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = fetch("acme/pocket", tmp_path)
    (tmp_path / "models--acme--pocket" / "blobs" / f"{'1' * 64}.incomplete").write_bytes(b"of another file")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert find_model(ModelConfig(path="acme/pocket", backend="vllm"), tmp_path) is None
    assert fetch("acme/pocket", tmp_path) == folder
    assert "used as it lies" in caplog.text


# --- what goes wrong ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "case",
    [
        ("acme/nothing", "", None, "no model acme/nothing: there is none, or it is private", "set HF_TOKEN"),
        ("acme/nothing", TOKEN, None, "does not take the token", "check the model's name, and HF_TOKEN"),
        ("acme/pocket", "", (404, "RepoNotFound"), "there is none, or it is private", "HF_TOKEN"),
        ("acme/pocket@v9", "", None, "acme/pocket has no revision v9", "a branch, a tag or a commit"),
        (
            "acme/pocket",
            "",
            (403, "GatedRepo"),
            "is gated",
            "/acme/pocket with an account, and set HF_TOKEN to its token",
        ),
        ("acme/pocket", TOKEN, (403, "GatedRepo"), "is gated", "with the account whose HF_TOKEN is set here"),
        ("acme/pocket", "", (401, "GatedRepo"), "is gated", "accept the licence on http"),
        ("acme/pocket", TOKEN, (401, ""), "does not take the token", "HF_TOKEN"),
    ],
)
def test_what_the_hub_refuses_is_said_in_words(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Refusal
) -> None:
    path, token, denied, message, remedy = case
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    if denied is not None:
        hub.deny("/resolve/" if denied[1] == "GatedRepo" else "/api/", denied[0], code=denied[1], says=TOKEN)
    error = refusal(path, tmp_path)
    assert isinstance(error, ConfigurationError)
    assert message in error.what
    assert remedy in (error.remedy or "")
    assert TOKEN not in str(error)
    assert hub.tokens == ({f"Bearer {token}"} if token else set())


def test_secrets_in_what_the_library_says_do_not_come_out(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.deny("/storage/", 418, says=TOKEN)
    error = refusal("acme/pocket", tmp_path)
    assert "418" in error.what
    assert SIGNATURE not in str(error) + caplog.text
    assert TOKEN not in str(error) + caplog.text
    assert not hub.leaked, "the token goes to the hub alone, not to where it redirects"


@pytest.mark.parametrize("trouble", ["no hub", "no model", "no server"])
def test_a_password_in_the_hubs_address_is_not_shown(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    hub.repositories["acme/pocket"].commit = "not a commit"
    url = "http://127.0.0.1:1" if trouble == "no server" else hub.url
    monkeypatch.setenv("HF_ENDPOINT", url.replace("//", "//me:hunter2@"))
    error = refusal("acme/other" if trouble == "no model" else "acme/pocket", tmp_path)
    assert "http://" in str(error)
    assert "hunter2" not in str(error)


def test_trouble_of_the_hub_is_waited_out_a_little(hub: FakeHub, tmp_path: Path) -> None:
    hub.deny("/api/", 503, times=1)
    assert fetch("acme/pocket", tmp_path).is_dir()
    hub.deny("/api/", 503)
    error = refusal("acme/sharded", tmp_path)
    assert isinstance(error, RunFailedError)
    assert "status 503" in error.what


def test_without_a_network_the_remedy_is_to_copy_the_model(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        error = refusal("acme/pocket", tmp_path)
    assert isinstance(error, RunFailedError)
    assert "cannot be reached" in error.what
    assert "copy the model here" in (error.remedy or "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    offline = refusal("acme/pocket", tmp_path)
    assert isinstance(offline, ConfigurationError)
    assert "HF_HUB_OFFLINE" in offline.what
    assert not hub.requests


def test_what_is_no_hub_is_told_apart(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories["acme/pocket"].commit = "not a commit"
    assert "is no hub" in refusal("acme/pocket", tmp_path).what


def test_a_model_larger_than_the_disk_is_refused_before_the_first_byte(hub: FakeHub, tmp_path: Path) -> None:
    hub.sizes["model.safetensors"] = 10**18
    error = refusal("acme/pocket", tmp_path)
    assert isinstance(error, RefusedError)
    assert "1000000000.0 GB are to be downloaded, and " in error.what
    assert " GB are free" in error.what
    assert error.where == str(tmp_path)
    assert not any("/resolve/" in path for _, path, _ in hub.requests)


def test_a_disk_that_takes_no_more_is_said_to_be_that(hub: FakeHub, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from engine.campaign.models import ModelConfig;"
        "from engine.generate.models.download import download;"
        "download(ModelConfig(path='acme/pocket', backend='vllm'), Path(sys.argv[1]), print, lambda: False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, MEGABYTE)),
        timeout=60,
        check=False,
    )
    assert "RefusedError: cannot write: File too large" in done.stderr


def test_a_folder_that_cannot_be_made_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert isinstance(refusal("acme/pocket", tmp_path / "file" / "models"), RefusedError)


def test_what_names_nothing_on_the_hub_is_refused(hub: FakeHub, tmp_path: Path) -> None:
    assert "names nothing on the hub" in refusal("./models/mine", tmp_path).what
