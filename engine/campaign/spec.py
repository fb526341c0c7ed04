"""The frozen spec of a run: everything that decides what it generates and how it is judged."""

from __future__ import annotations

import errno
import json
import uuid

from pydantic import Field, ValidationError

from engine.campaign.fields import Strict
from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.loading import Prompts
from engine.campaign.models import (
    BudgetConfig,
    EngineConfig,
    GeneratorConfig,
    ModelConfig,
    Parameters,
    Pipeline,
    Target,
)
from engine.campaign.naming import RunKind
from engine.campaign.policy import PolicyConfig
from engine.campaign.supervision import NotifyConfig, SupervisionConfig, SyncConfig
from engine.errors import ConfigurationError, RefusedError
from engine.files import RunFiles, read_json, storage_error, write_json
from engine.journal.events import utc_now

SPEC_VERSION = 1


class ForeignFigures(Strict):
    """What an imported run's own summary said, kept as it was; `source` is the folder it came from.

    `checks`: (n, failures) per check of the gate where the summary lists them. Empty `metrics`: it said nothing.
    """

    source: str
    metrics: dict[str, float | None] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    checks: dict[str, tuple[int, int]] = Field(default_factory=dict)


class RunSpec(Strict):
    """Written once, at launch (or import). `parent` is the run whose parameters this one started from.

    Of kind `engine` it is no run but a model that is kept loaded, which runs attach to; it is kept as a run is.
    """

    v: int = SPEC_VERSION
    run_id: str = Field(default_factory=lambda: str(uuid.uuid4()))
    campaign: str
    run: str
    kind: RunKind
    created: str = Field(default_factory=utc_now)
    author: str = ""
    parent: str | None = None
    workspace: str = ""
    model: ModelConfig = ModelConfig()
    engine: EngineConfig = EngineConfig()
    generator: GeneratorConfig = GeneratorConfig()
    prompts: Prompts | None = None
    pipeline: Pipeline = Pipeline()
    target: Target = Target()
    parameters: Parameters = Parameters()
    parameters_known: bool = True
    qc: QcConfig = QcConfig()
    gate: GateConfig = GateConfig()
    policy: PolicyConfig = PolicyConfig()
    budget: BudgetConfig = BudgetConfig()
    supervision: SupervisionConfig = SupervisionConfig()
    sync: SyncConfig | None = None
    notify: NotifyConfig | None = None
    devices: tuple[str, ...] = ()
    imported: ForeignFigures | None = None

    @property
    def recipe(self) -> str:
        """See `recipe_of`."""
        return recipe_of(
            model=self.model,
            generator=self.generator,
            prompts=self.prompts,
            pipeline=self.pipeline,
            qc=self.qc,
            gate=self.gate,
        )

    @property
    def id(self) -> str:
        """`campaign/run`."""
        return f"{self.campaign}/{self.run}"


def recipe_of(
    *,
    model: ModelConfig,
    generator: GeneratorConfig,
    prompts: Prompts | None,
    pipeline: Pipeline,
    qc: QcConfig,
    gate: GateConfig,
) -> str:
    """Everything beside the parameters that decides what is generated and how it is judged, as one comparable text."""
    hashes = {name: text.sha256 for name, text in prompts} if prompts is not None else {}
    parts = [part.model_dump(mode="json") for part in (model, generator, pipeline, qc, gate)]
    return json.dumps([*parts, hashes], sort_keys=True)


def same_ruler(recipe: str, other: str) -> bool:
    """Whether two recipes (see `recipe_of`) have the same detectors and limits."""
    (*_, qc, gate, _), (*_, other_qc, other_gate, _) = json.loads(recipe), json.loads(other)
    return bool((qc, gate) == (other_qc, other_gate))


def same_limits(recipe: str, other: str) -> bool:
    """Whether two recipes (see `recipe_of`) have the same gate."""
    return bool(json.loads(recipe)[-2] == json.loads(other)[-2])


def only_ruler_differs(recipe: str, other: str) -> bool:
    """Whether two recipes (see `recipe_of`) differ in detectors or limits, and in nothing else."""
    (*made, _, _, prompts), (*other_made, _, _, other_prompts) = json.loads(recipe), json.loads(other)
    return (made, prompts) == (other_made, other_prompts) and not same_ruler(recipe, other)


def create_spec(files: RunFiles, spec: RunSpec) -> None:
    """Write the spec of a new run; of several that try at once one succeeds, the others get a `RefusedError`."""
    try:
        with files.launch_claim.open("x", encoding="utf-8") as claim:
            claim.write(f"{spec.author} {spec.created}\n")
    except FileExistsError as error:
        raise RefusedError(
            f"the run {spec.id} exists already",
            where=str(files.folder),
            remedy="somebody launched it before: see `pilothouse status`; an empty folder of that name may be removed",
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):  # the claim is ours, and empty: nobody else had it
            files.launch_claim.unlink(missing_ok=True)
        raise storage_error(error, files.folder) from error
    try:
        write_json(files.spec, spec.model_dump(mode="json"))
    except OSError as error:
        files.launch_claim.unlink(missing_ok=True)
        raise storage_error(error, files.folder) from error


def withdraw_spec(files: RunFiles) -> None:
    """Take back what `create_spec` made, for a run that was refused before anything of it started."""
    files.spec.unlink(missing_ok=True)
    files.launch_claim.unlink(missing_ok=True)


def read_spec(files: RunFiles) -> RunSpec:
    """The run's spec; `ConfigurationError` when the file is damaged or of another version."""
    value = read_json(files.spec)
    try:
        if value is None:
            raise ValueError("not a JSON object")
        return RunSpec.model_validate(value)
    except (ValidationError, ValueError) as error:
        raise ConfigurationError(
            f"the run's spec cannot be read: {str(error).splitlines()[0]}",
            where=str(files.spec),
            remedy="restore the file from a copy, or launch the run anew under another name",
        ) from error
