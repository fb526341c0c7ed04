"""The generator's command line: the seed's flags, or the spec that a keeper hands over."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import ConfigurationError, RefusedError

if TYPE_CHECKING:
    from engine.campaign.loading import Prompts
    from engine.campaign.models import Target
    from engine.campaign.spec import RunSpec

CLI_CAMPAIGN = "cli"

FLAGS: dict[str, tuple[str, ...]] = {
    "seed": ("seed",),
    "instruction_temperature": ("instruction", "temperature"),
    "instruction_top_p": ("instruction", "top_p"),
    "instruction_repetition_penalty": ("instruction", "repetition_penalty"),
    "response_temperature": ("response", "temperature"),
    "response_top_p": ("response", "top_p"),
    "response_repetition_penalty": ("response", "repetition_penalty"),
    "response_max_tokens": ("response", "max_tokens"),
    "response_stop": ("response", "stop"),
    "confidence_threshold": ("critic", "confidence_threshold"),
}
"""Option → where its value stands among the parameters."""

SAME_RUN = ("model", "pipeline", "parameters", "qc", "gate")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(message, remedy="see python -m engine.generate --help")


def parser() -> argparse.ArgumentParser:
    result = _Parser(
        prog="python -m engine.generate",
        description="Generate gated instruction data with a base model: lists, critics, responses, QC, artifacts.",
        allow_abbrev=False,
    )
    result.add_argument("--output", type=Path, help="folder of the run; made when missing, gone on from when not")
    result.add_argument("--count", type=int, help="pairs to keep (default 100)")
    result.add_argument("--max-candidates", type=int, help="instructions that may be judged (default 4 per pair)")
    result.add_argument("--seed", type=int, help="seed of the run (default 42)")
    for stage in ("instruction", "response"):
        result.add_argument(f"--{stage}-temperature", type=float, help="0 is greedy")
        result.add_argument(f"--{stage}-top-p", type=float)
        result.add_argument(f"--{stage}-repetition-penalty", type=float)
    result.add_argument("--response-max-tokens", type=int, help="most tokens of a response (default 80)")
    result.add_argument("--response-stop", action="append", metavar="TEXT", help="stop string; may be repeated")
    result.add_argument("--confidence-threshold", type=float, help="least critic margin in nats (default 1.0)")
    result.add_argument("--model", help="model folder (default: the pocket model that ships with the project)")
    result.add_argument("--backend", help="ctranslate2 (default), vllm, or server")
    result.add_argument(
        "--option",
        action="append",
        metavar="KEY=VALUE",
        help="one of the backend's options (model.options); repeatable",
    )
    result.add_argument(
        "--campaign-file", type=Path, help="campaign whose prompts are used (default: the shipped ones)"
    )
    result.add_argument("--spec", type=Path, help="spec.json of a run; its folder is the output")
    result.add_argument("--attempt", type=int, help="number of this attempt (default: the next)")
    result.add_argument("--engine", metavar="NAME", help="kept engine of the same campaign to attach to (with --spec)")
    return result


def requested(options: argparse.Namespace) -> tuple[RunSpec, Target, Path]:
    """Spec, target and folder that the options ask for; writes nothing.

    Raises `ConfigurationError` that names the option, `RefusedError` when the folder holds another run.
    """
    if options.engine is not None and options.spec is None:
        raise ConfigurationError("--engine goes with --spec", remedy="name the run's spec.json with --spec")
    if options.attempt is not None and options.attempt < 1:
        raise ConfigurationError("--attempt: attempts count from 1", remedy="leave it out, or pass 1 or more")
    if options.spec is not None:
        return _from_spec(options)
    if options.output is None:
        raise ConfigurationError("--output is missing", remedy="name the folder to write into: --output FOLDER")
    return _from_flags(options)


def _from_spec(options: argparse.Namespace) -> tuple[RunSpec, Target, Path]:
    from engine.campaign.spec import read_spec
    from engine.errors import NotFoundError
    from engine.files import RunFiles

    given = [
        name
        for name in (*FLAGS, "model", "backend", "option", "output", "campaign_file")
        if getattr(options, name) is not None
    ]
    if given:
        raise ConfigurationError(
            f"--{given[0].replace('_', '-')} cannot be given with --spec, which says it all",
            remedy="leave it out: only --attempt, --count and --max-candidates may stand beside --spec",
        )
    path = options.spec.absolute()
    if not path.is_file():
        raise NotFoundError("there is no such spec", where=str(path), remedy="name the spec.json of a run")
    if path.name != "spec.json":
        raise ConfigurationError("--spec must name a spec.json", where=str(path), remedy="name the one of the run")
    spec = read_spec(RunFiles(path.parent))
    return spec, _target(options, spec.target.examples, spec.target.max_candidates), path.parent


def _target(options: argparse.Namespace, examples: int, max_candidates: int | None) -> Target:
    from engine.campaign.models import Target

    values = {
        "examples": options.count if options.count is not None else examples,
        "max_candidates": options.max_candidates if options.max_candidates is not None else max_candidates,
    }
    if options.count is not None and options.max_candidates is None and max_candidates is not None:
        values["max_candidates"] = max(max_candidates, -(-max_candidates * options.count // examples))
    names = {"examples": "--count", "max_candidates": "--max-candidates"}
    return Target.model_validate(_validated(Target, values, lambda location: names.get(location, "--count")))


def _from_flags(options: argparse.Namespace) -> tuple[RunSpec, Target, Path]:
    from engine.campaign.models import ModelConfig, Parameters
    from engine.campaign.naming import kind_of
    from engine.campaign.policy import EarlyEnd, PolicyConfig
    from engine.campaign.spec import RunSpec, read_spec
    from engine.files import RunFiles

    nested: dict[str, Any] = {}
    for option, path in FLAGS.items():
        value = getattr(options, option)
        if value is not None:
            group = nested
            for key in path[:-1]:
                group = group.setdefault(key, {})
            group[path[-1]] = value
    by_path = {".".join(path): f"--{option.replace('_', '-')}" for option, path in FLAGS.items()}
    _validated(Parameters, nested, lambda location: by_path.get(location, location))
    model = {"path": options.model, "backend": options.backend, "options": _backend_options(options.option)}
    chosen = {key: value for key, value in model.items() if value is not None}
    _validated(ModelConfig, chosen, lambda location: "--model" if location == "path" else "--backend")
    target = _target(options, 100, None)
    folder = options.output.absolute()
    run = re.sub(r"[^A-Za-z0-9._-]", "-", folder.name)[:64].lstrip("._-") or "run"
    spec = RunSpec(
        campaign=CLI_CAMPAIGN,
        run=run,
        kind=kind_of(run),
        workspace=str(Path.cwd()),
        model=ModelConfig.model_validate(chosen),
        prompts=_prompts(options.campaign_file),
        target=target,
        parameters=Parameters.model_validate(nested),
        policy=PolicyConfig(early_end=EarlyEnd(unreachable=False)),  # --count is wanted, whatever the gate says
    )
    files = RunFiles(folder)
    if files.spec.is_file():
        return _checked_same(read_spec(files), spec, folder), target, folder
    if files.records.exists() and files.records.stat().st_size:
        raise RefusedError(
            "the folder holds records but no spec.json, so nobody can tell what made them",
            where=str(folder),
            remedy="choose another folder",
        )
    return spec, target, folder


def _backend_options(assignments: list[str] | None) -> dict[str, Any] | None:
    """`model.options` from `--option KEY=VALUE`, values read as YAML; None when there are none."""
    import yaml

    found: dict[str, Any] = {}
    for assignment in assignments or ():
        key, equals, text = assignment.partition("=")
        try:
            found[key.strip()] = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, TypeError, RecursionError):
            equals = ""
        if not equals or not key.strip():
            raise ConfigurationError(
                f"--option {assignment!r} is not KEY=VALUE", remedy="write --option max_model_len=2048; quote a text"
            )
    return found or None


def _prompts(campaign_file: Path | None) -> Prompts:
    from engine.campaign.loading import PLACEHOLDERS, Prompts, load_campaign, load_prompts, read_prompt
    from engine.campaign.packaged import packaged_configs

    if campaign_file is None:
        folder = packaged_configs() / "prompts" / "demo"
        texts = {kind: read_prompt(kind, folder / f"{kind}.txt", f"prompts/demo/{kind}.txt") for kind in PLACEHOLDERS}
        return Prompts(**texts)
    prompts = load_prompts(load_campaign(campaign_file), campaign_file)
    if prompts is None:
        raise ConfigurationError(
            "the campaign has no prompts: its generator is a command",
            where=str(campaign_file),
            remedy="name a campaign with prompts, or leave --campaign-file out",
        )
    return prompts


def _checked_same(present: RunSpec, wanted: RunSpec, folder: Path) -> RunSpec:
    """The run that the folder holds, when it is the one that is wanted; its target may be another."""
    from engine.campaign.parameters import difference

    if present.campaign != CLI_CAMPAIGN or present.imported is not None:
        raise RefusedError(
            f"the folder belongs to the run {present.id}",
            where=str(folder),
            remedy=f"go on with `pilothouse restart {present.id}`, or choose another folder",
        )
    differing = [name for name in SAME_RUN if getattr(present, name) != getattr(wanted, name)]
    if present.prompts is None or wanted.prompts is None or _hashes(present.prompts) != _hashes(wanted.prompts):
        differing.append("prompts")
    if differing:
        changes = difference(present.parameters, wanted.parameters)
        shown = ", ".join(f"{key} {old} → {new}" for key, (old, new) in changes.items()) or ", ".join(differing)
        raise RefusedError(
            f"the folder holds a run with other parameters: {shown}",
            where=str(folder),
            remedy="choose another folder, or repeat the options of the run that is there to go on with it",
        )
    return present


def _hashes(prompts: Prompts) -> list[str]:
    return [getattr(prompts, kind).sha256 for kind in type(prompts).model_fields]


def _validated(model: Any, values: dict[str, Any], option_of: Any) -> dict[str, Any]:
    """`values`, when `model` takes them; else a `ConfigurationError` that names the option."""
    from pydantic import ValidationError

    try:
        model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
        message = first["msg"].removeprefix("Value error, ")
        shown = f" (it is {first['input']!r})" if isinstance(first["input"], str | int | float) else ""
        raise ConfigurationError(
            f"{option_of(location)}: {message}{shown}", remedy="pass another value; --help lists the options"
        ) from error
    return values
