"""`python -m engine.generate`: generates, and exits 0 when it has, whatever the gate says.

Exit codes: 0 generated or gracefully stopped, 2 usage or configuration, 3 not found, 4 refused (folder, disk),
5 failed.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from engine.errors import EXIT_DONE, EXIT_RUN_FAILED, PilothouseError
from engine.generate.arguments import parser, requested
from engine.generate.stopping import StopRequests
from engine.logs.sanitise import sanitise


def main(argv: Sequence[str] | None = None) -> int:
    """Run one attempt; return the exit code. Errors go to stderr: what, where, what to do."""
    stop = StopRequests()
    stop.install()
    try:
        options = parser().parse_args(argv)
        spec, target, folder = requested(options)
        logging.basicConfig(
            stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)-7s %(message)s", force=True
        )
        from engine.campaign.spec import create_spec
        from engine.files import RunFiles, make_private_folder
        from engine.generate.descriptors import raise_limit
        from engine.generate.session import check, generate

        raise_limit()
        files = RunFiles(folder)
        if not files.spec.is_file():
            check(spec)
            make_private_folder(folder)
            create_spec(files, spec)
        generate(files, spec, target, options.attempt, stop, engine=options.engine)
    except PilothouseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except Exception as error:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        place = f" ({frame.tb_frame.f_code.co_filename}:{frame.tb_lineno})" if frame is not None else ""
        what = sanitise(f"{type(error).__name__}: {error}", 300)
        sys.stderr.write(f"error: {what}{place}\n  to do: report this; records are kept\n")
        return EXIT_RUN_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stderr.flush()
    os._exit(code)  # a model that is still loading, after a request to stop, is not waited for
