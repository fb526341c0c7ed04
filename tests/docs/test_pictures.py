"""The pictures of the documentation: what the script takes, and what lies there."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.tui import pictures
from tools.pictures.album import LARGEST, Album
from tools.pictures.camera import take_pictures, words_of
from tools.pictures.scenes import PICTURES, Picture

FOLDER = Path(__file__).parents[2] / "docs" / "pictures"
ALWAYS = Picture("story", "The pilot has failed", lambda view: view.current is not None, size=(90, 30))
HELP = Picture("keys", "The help", ALWAYS.moment, ("question_mark",), "Dashboard", (80, 24))


def test_every_picture_lies_there_is_shown_and_no_other_is_kept() -> None:
    names = [picture.name for picture in PICTURES]
    assert sorted(names) == sorted(path.stem for path in FOLDER.iterdir())
    page = (FOLDER.parent / "screen.md").read_text(encoding="utf-8")
    assert {f"pictures/{name}.svg" for name in names} == set(re.findall(r"\((pictures/[^)]+)\)", page))


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.stem)
def test_a_picture_is_small_whole_and_fetches_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) <= LARGEST
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert re.findall(r"https?://[^\s\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"/tmp/|/home/|/root/", words_of(text))


async def test_the_script_takes_what_stands_on_the_screen_and_comes_back_to_the_dashboard(tmp_path: Path) -> None:
    album = Album(tmp_path, secrets=("nobody",))
    service = pictures.FakeService(pictures.seed_story())
    await take_pictures(service, "stage1", (ALWAYS, HELP, ALWAYS), album.keep)
    assert "iteration-1" in words_of((tmp_path / "story.svg").read_text())
    assert "Dashboard" in words_of((tmp_path / "keys.svg").read_text())


@pytest.mark.parametrize(("secret", "told"), [("pod-7", True), ("/home/kim", True), ("pod", False), ("gpu-1", False)])
def test_what_tells_of_the_machine_is_not_kept(tmp_path: Path, secret: str, told: bool) -> None:
    svg = "<svg><text>pod-7&#160;in</text><text>/home/kim/work</text></svg>"
    album = Album(tmp_path, secrets=(secret,))
    if told:
        with pytest.raises(ValueError, match="tells of this machine"):
            album.keep(ALWAYS, svg)
    else:
        album.keep(ALWAYS, svg)
    assert (tmp_path / "story.svg").exists() != told


def test_what_is_too_large_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="octets"):
        Album(tmp_path, secrets=("nobody",)).keep(ALWAYS, f"<svg>{' ' * LARGEST}</svg>")
    assert not list(tmp_path.iterdir())
