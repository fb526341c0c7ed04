"""The kept engines of a campaign as others see them: which there is, who uses it, and whether it is what is wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.campaign.models import ModelConfig
from engine.campaign.naming import engine_number
from engine.campaign.spec import RunSpec, read_spec
from engine.errors import ConfigurationError
from engine.files import RunFiles, Workspace
from engine.generate.backends.vllm_settings import OUR_OPTIONS
from engine.supervise.liveness import KeeperRecord, read_keeper, run_liveness

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class KeptEngine:
    """An engine of a campaign; `live` while its keeper or its server may be at work."""

    files: RunFiles
    spec: RunSpec
    live: bool

    @property
    def name(self) -> str:
        return self.spec.run


def engines_of(workspace: Workspace, campaign: str) -> list[RunFiles]:
    """Every engine the campaign ever had, the newest last."""
    found = ((engine_number(files.folder.name), files) for files in workspace.runs_of(campaign))
    return [files for _, files in sorted((number, files) for number, files in found if number is not None)]


def live_engine(workspace: Workspace, campaign: str) -> KeptEngine | None:
    """The campaign's engine that is up, or comes up, on this host; None when there is none."""
    for files in reversed(engines_of(workspace, campaign)):
        life = run_liveness(files)
        if life.live and not life.out_of_sight and life.keeper_alive is not None:
            return KeptEngine(files, _spec_of(files, campaign), live=True)
    return None


def _spec_of(files: RunFiles, campaign: str) -> RunSpec:
    """The engine's spec; where that is damaged, one that serves nothing, so that the engine is seen, and replaced."""
    try:
        return read_spec(files)
    except ConfigurationError:
        return RunSpec(campaign=campaign, run=files.folder.name, kind="engine", created="", parameters_known=False)


def attached_runs(engine: RunFiles) -> list[str]:
    """Names of the live runs that are attached to this engine."""
    return sorted(attached_keepers(engine))


def attached_keepers(engine: RunFiles) -> dict[str, KeeperRecord]:
    """By name, what the keepers of the live runs that are attached to this engine say of themselves."""
    found = {}
    for folder in engine.folder.parent.iterdir():
        files = RunFiles(folder)
        if engine_number(folder.name) is not None or not files.keeper.is_file():
            continue
        keeper = read_keeper(files)
        if keeper is not None and keeper.engine == engine.folder.name and not keeper.ended and run_liveness(files).live:
            found[folder.name] = keeper
    return found


def serves(spec: RunSpec, model: ModelConfig) -> bool:
    """Whether the engine `spec` is the one that `model` asks for: the same model with the same engine options."""
    return _what_is_loaded(spec.model) == _what_is_loaded(model)


def differing_options(spec: RunSpec, model: ModelConfig) -> list[str]:
    """What has to change for the engine `spec` to serve `model`, as `max_model_len 2048 → 4096`."""
    old, new = _what_is_loaded(spec.model), _what_is_loaded(model)
    keys = [key for key in {**old, **new} if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    return [f"{key} {_shown(old.get(key, _ABSENT))} → {_shown(new.get(key, _ABSENT))}" for key in keys]


def _what_is_loaded(model: ModelConfig) -> dict[str, Any]:
    options = {key: value for key, value in model.options.items() if key not in OUR_OPTIONS}
    return {"path": model.path, "backend": model.backend, **options}


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "–"
    return "null" if value is None else str(value)
