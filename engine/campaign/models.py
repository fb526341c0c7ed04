"""The configuration of a campaign. Unknown keys and impossible values are refused.

Rates are fractions of one, temperatures and penalties are the samplers' own, money is US dollars.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from engine.campaign.fields import LARGEST_MINUTES, Count, Minutes, NotBool, Seed, Strict, Usd
from engine.campaign.grading import GateConfig, QcConfig
from engine.campaign.policy import PolicyConfig
from engine.campaign.supervision import NotifyConfig, OnIdle, SupervisionConfig, SyncConfig

# --- parameters of a run ---------------------------------------------------------------------------------------

Temperature = Annotated[float, Field(ge=0.0, le=5.0, allow_inf_nan=False), NotBool]
TopP = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False), NotBool]
Penalty = Annotated[float, Field(gt=0.0, le=10.0, allow_inf_nan=False), NotBool]
StopStrings = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=16)]


class InstructionSampling(Strict):
    """How candidate instructions are sampled from the numbered list."""

    temperature: Temperature = 0.7
    top_p: TopP = 0.9
    repetition_penalty: Penalty = 1.1


class ResponseSampling(Strict):
    """How responses are sampled. `max_tokens` counts generated tokens, the stop string not included."""

    temperature: Temperature = 0.4
    top_p: TopP = 0.9
    repetition_penalty: Penalty = 1.1
    max_tokens: Annotated[int, Field(ge=1, le=32_768), NotBool] = 80
    stop: StopStrings = ()


class CriticParameters(Strict):
    """`confidence_threshold`: least |log p(A) - log p(B)| in nats for a verdict to count as confident."""

    confidence_threshold: Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False), NotBool] = 1.0


class Parameters(Strict):
    seed: Seed = 42
    instruction: InstructionSampling = InstructionSampling()
    response: ResponseSampling = ResponseSampling()
    critic: CriticParameters = CriticParameters()


# --- what generates --------------------------------------------------------------------------------------------


class ModelConfig(Strict):
    """`path`: a local model folder, a hub name, or `pocket` for the model that ships with the project.

    `options` are the backend's own: those of vLLM's engine (`max_model_len`, …) for `vllm`, where the server is and how
    it is talked to for `server`, `threads` and the like for `ctranslate2`.
    """

    path: Annotated[str, Field(min_length=1)] = "pocket"
    backend: Literal["ctranslate2", "vllm", "server"] = "ctranslate2"
    options: dict[str, Any] = Field(default_factory=dict)


class EngineConfig(Strict):
    """The vLLM engine of a campaign. With `keep_warm` it outlives iterations, which attach to it; it stops by itself
    once nothing has used it for `idle_stop_minutes` (its time costs money all the while).

    `cache_dir` keeps what was compiled, and `models_dir` what was downloaded: durable folders make the next start the
    fast one (null: vLLM's and the hub's own, below the home folder).
    """

    keep_warm: bool = False
    idle_stop_minutes: Minutes = 30
    cache_dir: Annotated[str, Field(min_length=1)] | None = None
    models_dir: Annotated[str, Field(min_length=1)] | None = None


class GeneratorConfig(Strict):
    """`builtin` is `python -m engine.generate`; `command` runs any program (an argv list, never a shell)."""

    kind: Literal["builtin", "command"] = "builtin"
    argv: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _argv_fits_kind(self) -> Self:
        if self.kind == "command" and not self.argv:
            raise ValueError("kind: command needs argv, a list with the program first")
        if self.kind == "builtin" and self.argv:
            raise ValueError("argv belongs to kind: command")
        return self


class PromptFiles(Strict):
    """Few-shots and rubrics, paths relative to the campaign file."""

    instructions: str
    response: str
    instruction_critic: str
    pair_critic: str


class Pipeline(Strict):
    """Shape of the generation pipeline.

    `list_shots` example lines open each list, which may run for `list_max_tokens`; `concurrency` items are in
    flight at once (null: what the backend likes); a response is cut at `delimiter`, unless `clean` is false.
    """

    list_shots: Annotated[int, Field(ge=1, le=64), NotBool] = 6
    list_max_tokens: Annotated[int, Field(ge=8, le=8192), NotBool] = 160
    concurrency: Annotated[int, Field(ge=1, le=4096), NotBool] | None = None
    delimiter: Annotated[str, Field(min_length=1)] = "###END###"
    clean: bool = True


class Target(Strict):
    """Kept pairs wanted, and how many candidate instructions may be spent on them."""

    examples: Count = 100
    max_candidates: Count | None = None

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.max_candidates is not None and self.max_candidates < self.examples:
            raise ValueError(
                f"max_candidates {self.max_candidates} is less than examples {self.examples}: "
                "no acceptance rate can reach that target"
            )
        return self

    @property
    def candidates_allowed(self) -> int:
        """`max_candidates`, four to one when the campaign does not say."""
        return self.max_candidates if self.max_candidates is not None else 4 * self.examples


# --- money, scale, review ------------------------------------------------------------------------------------------


class BudgetConfig(Strict):
    limit_usd: Usd = 300.0
    gpu_usd_per_hour: Usd = 3.0
    warn_at: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False), NotBool] = 0.8
    on_idle: OnIdle | None = None


class ScaleConfig(Strict):
    examples: Count = 15_000
    shards: Annotated[int, Field(ge=1, le=10_000), NotBool] = 10
    base_seed: Seed = 100
    executor: Literal["local", "ray"] = "local"
    max_candidates: Count | None = None


class ReviewConfig(Strict):
    command: tuple[str, ...]
    cost_usd: Usd = 0.0
    timeout_s: Annotated[float, Field(gt=0, le=60 * LARGEST_MINUTES, allow_inf_nan=False), NotBool] = 900


class Campaign(Strict):
    """One YAML file under `configs/`. `iterations` stack: each overlays the parameters of the one before it."""

    name: str
    model: ModelConfig = ModelConfig()
    engine: EngineConfig = EngineConfig()
    generator: GeneratorConfig = GeneratorConfig()
    prompts: PromptFiles | None = None
    pipeline: Pipeline = Pipeline()
    target: Target = Target()
    parameters: Parameters = Parameters()
    iterations: dict[str, dict[str, Any]] = Field(default_factory=dict)
    qc: QcConfig = QcConfig()
    gate: GateConfig = GateConfig()
    policy: PolicyConfig = PolicyConfig()
    budget: BudgetConfig = BudgetConfig()
    scale: ScaleConfig = ScaleConfig()
    supervision: SupervisionConfig = SupervisionConfig()
    review: ReviewConfig | None = None
    sync: SyncConfig | None = None
    notify: NotifyConfig | None = None

    def not_acted_on(self) -> list[str]:
        """Keys that are read and checked but that nothing acts on yet, for `config check` to say so."""
        present = {"review": self.review}
        return [key for key, value in present.items() if value is not None]
