"""`python -m engine.generate.serve`: a kept engine. Downloads its model where it must, then becomes `vllm serve`.

The same process goes on as the server, so that whoever keeps it keeps the engine. Exit codes before that: 2
configuration, 3 not found, 4 refused (disk), 5 failed.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.campaign.spec import RunSpec, read_spec
from engine.errors import EXIT_DONE, PilothouseError
from engine.files import RunFiles, storage_error
from engine.generate.backends import check_folder, check_model, models_folder
from engine.generate.backends.vllm_settings import environment, serve_command
from engine.generate.models.folder import ModelFolder
from engine.generate.progress import log
from engine.generate.stopping import StopRequests
from engine.journal.clock import generator_beat
from engine.journal.events import Event, Phase, PhaseEntered, dump_event
from engine.journal.writer import JournalWriter


def become_server(files: RunFiles, spec: RunSpec, socket: Path, stop: StopRequests) -> None:
    """Does not return, unless it was asked to stop before the server began."""
    with JournalWriter(files.generator_journal) as journal:

        def say(event: Event) -> None:
            journal.append(dump_event(event), sync=True)

        def enter(phase: Phase) -> None:
            say(generator_beat(1))
            say(PhaseEntered(phase=phase))

        folder = check_model(spec.model, spec.engine)
        if folder is None:
            enter("downloading")
            folder = _downloaded(spec, say, stop)
        if stop.requested:
            return
        enter("loading")
    argv = serve_command(spec.model, folder, socket)
    log.info("starting %s", " ".join(argv[1:]))
    socket.unlink(missing_ok=True)
    logging.shutdown()
    sys.stderr.flush()
    os.execve(argv[0], argv, environment(spec.engine, os.environ))


def _downloaded(spec: RunSpec, say: Callable[[Event], None], stop: StopRequests) -> ModelFolder:
    from engine.generate.models.download import download

    folder = download(spec.model, models_folder(spec.engine), progress=say, stopped=lambda: stop.requested)
    check_folder(spec.model, folder)
    return folder


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code, where it does not become the server. Errors go to stderr: what, where, what to do."""
    parser = argparse.ArgumentParser(prog="python -m engine.generate.serve", description=__doc__)
    parser.add_argument("--spec", type=Path, required=True, help="spec.json of the engine")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    given = parser.parse_args(argv)
    stop = StopRequests()
    stop.install()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s")
    files = RunFiles(given.spec.absolute().parent)
    try:
        become_server(files, read_spec(files), given.socket, stop)
    except PilothouseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except OSError as error:
        refused = storage_error(error, error.filename or files.folder)
        sys.stderr.write(f"error: {refused}\n")
        return refused.exit_code
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
