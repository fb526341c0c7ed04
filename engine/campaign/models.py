"""The configuration of a campaign. Unknown keys and impossible values are refused.

Rates are fractions of one, temperatures and penalties are the samplers' own, money is US dollars.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from engine.campaign.fields import LARGEST_MINUTES, Count, Minutes, NotBool, Seed, Strict, Usd
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


# --- grading and deciding ----------------------------------------------------------------------------------------


class QcConfig(Strict):
    """Which version of each detector flags the records, as `name-version`."""

    runaway: str = "markers-v2"
    token_limit: str = "finish-v1"
    delimiter: str = "exact-v1"
    truncation: str = "sentence-v1"
    duplicate: str = "normalised-v1"


_LIMIT = re.compile(r"\s*(<=|>=|<|>|=)\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*")
_SHARES = ("_rate", "_acceptance", "_yield")
SMALLEST_SHARE = 1e-6
LARGEST_LIMIT = 1e12


class Limit(Strict):
    """One side of a check, written `< 5%`, `>= 50%`, `= 0`, `< 40`. A percentage is kept as a fraction."""

    op: Literal["<", "<=", ">", ">=", "="]
    value: Annotated[float, Field(ge=0.0, le=LARGEST_LIMIT, allow_inf_nan=False), NotBool]
    percent: bool = False

    @classmethod
    def parse(cls, text: object) -> Limit:
        """The limit that `text` writes; `ValueError` when it writes none or one beyond 10¹²."""
        if isinstance(text, Limit):
            return text
        match = _LIMIT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError("it is not a limit; write it like '< 5%', '>= 50%', '= 0' or '< 40'")
        op, number, percent = match.groups()
        value = float(number) / 100 if percent else float(number)
        if value > LARGEST_LIMIT:
            raise ValueError("the limit is larger than anything that is measured")
        return cls.model_validate({"op": op, "value": value, "percent": bool(percent)})

    def __str__(self) -> str:
        number = f"{self.value * 100:g}%" if self.percent else f"{self.value:g}"
        return f"{self.op} {number}"


def _limit(value: object) -> object:
    """A mapping is left to pydantic: so a frozen spec stores a limit."""
    return value if isinstance(value, Limit | dict) else Limit.parse(value)


LimitField = Annotated[Limit, BeforeValidator(_limit)]


def _wrong_share(limit: Limit) -> str | None:
    """What is wrong with `limit` on a metric that is a share of something; None when nothing is.

    The gate's rule divides by log(1 - τ): a share so near to 0 or 1 that no run could prove it has no rule.
    """
    if not limit.percent and limit.value >= 1:
        return f"this metric is a share, write its limit in percent: '{limit}%'"
    if limit.value > 1:
        return "this metric is a share, its limit cannot be over 100%"
    if limit.value not in (0.0, 1.0) and min(limit.value, 1 - limit.value) < 0.999 * SMALLEST_SHARE:
        return "no run is long enough to prove that limit; write 0%, 100%, or one from 0.0001% to 99.9999%"
    return None


def _limits_can_be_judged(checks: dict[str, Limit]) -> dict[str, Limit]:
    for metric, limit in checks.items():
        wrong = _wrong_share(limit) if metric.endswith(_SHARES) else None
        if wrong is not None:
            error = PydanticCustomError("limit", "{wrong}", {"wrong": wrong})
            line = InitErrorDetails(type=error, loc=(metric,), input=str(limit))
            raise ValidationError.from_exception_data("checks", [line])
    return checks


SEED_CHECKS: dict[str, Limit] = {
    "runaway_rate": Limit.parse("< 5%"),
    "token_limit_rate": Limit.parse("< 10%"),
    "delimiter_leakage": Limit.parse("= 0"),
    "median_tokens": Limit.parse("< 40"),
    "instruction_acceptance": Limit.parse(">= 50%"),
    "pair_acceptance": Limit.parse(">= 50%"),
}


def _confidence(value: object) -> object:
    return None if value == "none" else value


class GateConfig(Strict):
    """`confidence` 0.95 proves verdicts sequentially; `none` compares plainly and is labelled so.

    `group_by: list` takes each instruction list for one sample, which fails by the share of its items that do: for
    generators whose items of one list go wrong together. It then needs lists where it needed items.
    """

    confidence: Annotated[
        Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False), NotBool] | None, BeforeValidator(_confidence)
    ] = 0.95
    group_by: Literal["item", "list"] = "item"
    checks: Annotated[dict[str, LimitField], AfterValidator(_limits_can_be_judged)] = Field(
        default_factory=lambda: dict(SEED_CHECKS)
    )


class PolicyConfig(Strict):
    """`max_retries` iterations after the pilot; an undecided run may be extended to `extend_to` kept pairs;
    with `auto` a run's end starts the next action by itself."""

    max_retries: Annotated[int, Field(ge=0, le=20), NotBool] = 2
    extend_to: Count = 300
    auto: bool = False


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
