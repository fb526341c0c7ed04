"""Arguments that several commands take, and the workspace they work on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from engine.service import Service

OpenDashboard = Callable[[Path, str | None], int]

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="campaign/run, e.g. demo/pilot")]
CampaignArgument = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="name of a file in configs/, without .yaml")]
Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]
MOST = 10**9


def service_here(*, tend: bool = False) -> Service:
    """The workspace that is the working folder."""
    return Service(Path.cwd(), tend=tend)
