"""What all tests share."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)  # time is measured in benchmarks
settings.load_profile("shared-machine")


TOLD_IN_REPORTS = ("PYTEST", "TEXTUAL", "TERM", "COLORTERM", "TZ", "LANG")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """The report on pictures that differ lists the environment, in which people keep their keys."""
    for name in [name for name in os.environ if not name.startswith(TOLD_IN_REPORTS)]:
        del os.environ[name]


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hundreds of processes are started: none compiles what another has compiled, in whatever tree this is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(autouse=True)
def no_handler_stays() -> Iterator[None]:
    """A program's main, called in this process, logs to what is its stderr then, and is closed after the test."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    for handler in list(root.handlers):
        if type(handler) is logging.StreamHandler and handler not in before:
            root.removeHandler(handler)
