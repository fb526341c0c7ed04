"""A person's own settings: what is taken, what is refused and how, and that the screen opens whatever they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli import run as command_line
from engine.errors import ConfigurationError
from tests.tui import pictures
from tests.tui.driving import Screen, opened
from tui.app import PilothouseApp
from tui.settings import Settings, load_settings
from tui.theme_choice import remember_theme, remembered_theme


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the settings would stand, in a home of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "config" / "pilothouse" / "settings.yaml"
    path.parent.mkdir(parents=True)
    return path


def test_without_a_file_the_defaults_hold(file: Path) -> None:
    assert load_settings({}) == (Settings(), [])
    file.write_text("# theme: nord\n")
    assert load_settings({}) == (Settings(), [])


def test_the_file_is_taken_and_variables_win_over_it(file: Path) -> None:
    file.write_text("refresh_per_second: 1\ntheme: nord\nnotify: [bell, osc9]\n")
    assert load_settings({"PILOTHOUSE_THEME": ""})[0] == Settings(
        refresh_per_second=1.0, theme="nord", notify=("bell", "osc9")
    )
    variables = {"PILOTHOUSE_REFRESH": "0.5", "PILOTHOUSE_NOTIFY": "screen, bell"}
    assert load_settings(variables) == (
        Settings(refresh_per_second=0.5, theme="nord", notify=("screen", "bell")),
        [],
    )
    assert load_settings({"PILOTHOUSE_NOTIFY": "none"})[0].notify == ()


@pytest.mark.parametrize(
    ("text", "what", "line", "remedy"),
    [
        ("refresh_per_second: 2\nnotfy: [bell]\n", "unknown key 'notfy'", "2, notfy", "did you mean 'notify'?"),
        ("theme: nrod\n", "(it is 'nrod')", "1, theme", "did you mean 'nord'?"),
        ("\nrefresh_per_second: 30\n", "less than or equal to 4", "2, refresh_per_second", "mend the value"),
        ("refresh_per_second: 0\n", "greater than or equal to 0.1", "1, refresh_per_second", "mend the value"),
        ("notify: bell\n", "should be a list", "1, notify", 'put it in brackets: ["bell"]'),
        ("notify: [screen, bel]\n", "(it is 'bel')", "1, notify.1", "did you mean 'bell'?"),
        ("theme: [\n", "not valid YAML", "2", "mend that line"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_the_defaults_hold(
    file: Path, text: str, what: str, line: str, remedy: str
) -> None:
    file.write_text(text)
    settings, (error,) = load_settings({})
    assert settings == Settings()
    assert what in error.what
    assert error.where == f"{file}:{line}"
    assert remedy in (error.remedy or "")


def test_a_wrong_variable_is_named_and_the_file_holds(file: Path) -> None:
    file.write_text("refresh_per_second: 1\n")
    settings, (error,) = load_settings({"PILOTHOUSE_REFRESH": "often"})
    assert settings.refresh_per_second == 1.0
    assert error.where == "environment variable PILOTHOUSE_REFRESH"
    assert "often" in error.what


async def test_what_is_wrong_is_said_on_the_screen_and_hides_nothing_for_good() -> None:
    error = ConfigurationError("unknown key 'notfy'", where="/home/kim/settings.yaml:2, notfy", remedy="did you mean?")
    service = pictures.FakeService(pictures.seed_story())
    app = PilothouseApp(service, complaints=[error])
    async with app.run_test(size=(80, 24)) as pilot:
        screen = Screen(app, pilot, service)
        await screen.until(lambda: app.view.snapshot is not None)
        for words in ("unknown key 'notfy'", "settings.yaml:2, notfy", "to do: did you mean?"):
            assert words in screen.dialog().text
        await screen.press("enter")
        assert app.screen is screen.dashboard
        assert "iteration-1 ● running" in screen.painted


@pytest.mark.parametrize(("refresh_s", "stale"), [(0.5, True), (10.0, False)])
async def test_who_looks_seldom_is_not_told_that_the_picture_is_stale(refresh_s: float, stale: bool) -> None:
    service = pictures.FakeService(pictures.seed_story())
    app = PilothouseApp(service, refresh_s=refresh_s)
    async with app.run_test() as pilot:
        await Screen(app, pilot, service).until(lambda: app.view.snapshot is not None)
        service.poll_error = OSError("away")
        app.feed.fresh_at -= 8.0
        app.renew()
        assert (app.view.stale_s is not None) == stale


@pytest.mark.parametrize("there", [True, False])
def test_the_command_line_says_where_settings_and_state_lie(
    file: Path, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    if there:
        file.write_text("theme: nord\n")
    assert command_line(["config", "path"]) == 0
    settings, state = capsys.readouterr().out.splitlines()
    assert settings.startswith(f"settings: {file}")
    assert settings.endswith("defaults hold)") == (not there)
    assert state == f"state: {file.parents[2] / 'state' / 'pilothouse'}"


def test_a_path_that_is_not_absolute_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".config" / "pilothouse").mkdir(parents=True)
    (tmp_path / ".config" / "pilothouse" / "settings.yaml").write_text("theme: nord\n")
    assert load_settings({})[0].theme == "nord"


# --- themes ------------------------------------------------------------------------------------------------------


async def test_the_theme_that_is_chosen_is_remembered(file: Path) -> None:
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        assert remembered_theme() is None
        screen.app.theme = "nord"
        await screen.until(lambda: remembered_theme() == "nord", "the theme in the state folder")
    app = PilothouseApp(pictures.FakeService(pictures.seed_story()), last_theme=remembered_theme())
    async with app.run_test():
        assert app.theme == "nord"


async def test_the_settings_win_over_what_was_chosen(file: Path) -> None:
    service = pictures.FakeService(pictures.seed_story())
    app = PilothouseApp(service, settings=Settings(theme="dracula"), last_theme="nord")
    async with app.run_test() as pilot:
        assert app.theme == "dracula"
        app.theme = "nord"
        words = "for this time: the settings say dracula"
        await Screen(app, pilot, service).until(lambda: words in [note.message for note in app._notifications])


async def test_a_theme_that_cannot_be_remembered_is_said_and_holds(file: Path) -> None:
    (file.parents[2] / "state").write_text("a file where a folder should be")
    async with opened(pictures.FakeService(pictures.seed_story())) as screen:
        screen.app.theme = "nord"
        await screen.until(lambda: screen.app.screen is not screen.dashboard, "the complaint")
        assert "the theme nord is not remembered" in screen.dialog().text
        assert "a file stands where a folder is needed" in screen.dialog().text
        assert screen.app.theme == "nord"


@pytest.mark.parametrize("kept", ['{"theme": "no-such"}', '{"theme": 3}', "[]", "{", '{"theme": ["nord"]}'])
def test_a_remembered_theme_that_is_none_any_more_is_forgotten(file: Path, kept: str) -> None:
    remember_theme("nord")
    (file.parents[2] / "state" / "pilothouse" / "screen.json").write_text(kept)
    assert remembered_theme() is None
