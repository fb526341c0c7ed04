"""`python -m engine …`: the command line without the screen; what a keeper calls to follow the policy."""

import sys

from engine.cli import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
