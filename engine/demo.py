"""The demo: a campaign on the pocket model that ships with the project, on the CPU, offline."""

from __future__ import annotations

import shutil
from pathlib import Path

from engine.campaign.packaged import packaged_configs
from engine.errors import ConfigurationError
from engine.files import Workspace, make_private_folder, storage_error, write_atomic

CAMPAIGN = "demo"


def set_up(folder: Path) -> Workspace:
    """Put the campaign `demo` into `folder` with `policy.auto: true`, so that it goes from pilot to scale by itself.

    What is there already stays as it is: the demo goes on where it stood.
    """
    workspace = Workspace(folder.absolute())
    target = workspace.configs / f"{CAMPAIGN}.yaml"
    if target.exists():
        return workspace
    source = packaged_configs()
    text = (source / f"{CAMPAIGN}.yaml").read_text(encoding="utf-8")
    automatic = text.replace("auto: false", "auto: true")
    if automatic == text:
        raise ConfigurationError(
            "the packaged demo campaign has no `auto: false` to switch on",
            where=str(source / f"{CAMPAIGN}.yaml"),
            remedy="install Pilothouse anew",
        )
    make_private_folder(workspace.artifacts)
    try:
        for folder_name in (f"prompts/{CAMPAIGN}", "rulers"):
            make_private_folder(workspace.configs / folder_name)
            for path in sorted((source / folder_name).iterdir()):
                shutil.copyfile(path, workspace.configs / folder_name / path.name)
        write_atomic(target, automatic)
    except OSError as error:
        raise storage_error(error, folder) from error
    return workspace
