"""Campaign files: what is wrong is said with file, key path, line and a remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.campaign.grading import Limit
from engine.campaign.loading import load_campaign, load_prompts
from engine.campaign.models import Campaign
from engine.campaign.parameters import assign, difference, flatten, iteration_parameters
from engine.errors import EXIT_NOT_FOUND, EXIT_USAGE, ConfigurationError, NotFoundError

ROOT = Path(__file__).parents[2]
PROMPTS = "prompts: {instructions: i.txt, response: r.txt, instruction_critic: a.txt, pair_critic: b.txt}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "c.yaml"
    path.write_text("name: c\n" + PROMPTS + text)
    return path


@pytest.mark.parametrize("name", ["demo", "stage1"])
def test_the_shipped_campaigns_load(name: str) -> None:
    path = ROOT / "configs" / f"{name}.yaml"
    assert load_campaign(path).name == name


def test_stage1_holds_the_seed_to_the_letter() -> None:
    campaign = load_campaign(ROOT / "configs" / "stage1.yaml")
    pilot, first = campaign.parameters, iteration_parameters(campaign, "iteration-1")
    assert first is not None
    assert flatten(pilot) == {
        "seed": 42,
        "instruction.temperature": 0.7,
        "instruction.top_p": 0.9,
        "instruction.repetition_penalty": 1.1,
        "response.temperature": 0.4,
        "response.top_p": 0.9,
        "response.repetition_penalty": 1.1,
        "response.max_tokens": 80,
        "response.stop": [],
        "critic.confidence_threshold": 1.0,
    }
    assert difference(pilot, first) == {
        "seed": (42, 43),
        "instruction.temperature": (0.7, 0.6),
        "instruction.top_p": (0.9, 0.85),
        "instruction.repetition_penalty": (1.1, 1.15),
        "response.temperature": (0.4, 0.3),
        "response.top_p": (0.9, 0.85),
        "response.repetition_penalty": (1.1, 1.15),
    }
    second = iteration_parameters(campaign, "iteration-2")
    assert second is not None
    assert (second.response.temperature, second.response.max_tokens, second.instruction.top_p) == (0.25, 100, 0.85)
    assert {name: str(limit) for name, limit in campaign.gate.checks.items()} == {
        "runaway_rate": "< 5%",
        "token_limit_rate": "< 10%",
        "delimiter_leakage": "= 0",
        "median_tokens": "< 40",
        "instruction_acceptance": ">= 50%",
        "pair_acceptance": ">= 50%",
    }
    assert campaign.model.path == "Qwen/Qwen2.5-32B"
    assert (campaign.budget.limit_usd, campaign.budget.gpu_usd_per_hour) == (300, 3.0)
    assert (campaign.scale.examples, campaign.scale.shards, campaign.scale.base_seed) == (15_000, 10, 100)


def test_the_demo_pilot_is_the_seeds_pilot() -> None:
    demo, stage1 = (load_campaign(ROOT / "configs" / f"{name}.yaml") for name in ("demo", "stage1"))
    assert demo.parameters == stage1.parameters
    assert demo.gate == stage1.gate
    assert demo.policy.auto is False


BAD = [
    ("temprature: 1\n", 3, "unknown key 'temprature'", None),
    ("parameters: {respnse: {}}\n", 3, "unknown key 'parameters.respnse'", "did you mean 'response'?"),
    (
        "parameters:\n  response:\n    temprature: 0.3\n",
        5,
        "parameters.response.temprature",
        "did you mean 'temperature'?",
    ),
    ("parameters:\n  response:\n    temperature: -1\n", 5, "parameters.response.temperature", None),
    ("parameters:\n  response: {max_tokens: 0}\n", 4, "parameters.response.max_tokens", None),
    ("target: {examples: 100, max_candidates: 40}\n", 3, "no acceptance rate can reach", None),
    ("gate:\n  checks:\n    runaway_rate: about 5\n", 5, "is not a limit", None),
    ("model: {backend: magic}\n", 3, "model.backend", None),
    ("generator: {kind: command}\n", 3, "needs argv", None),
    ("iterations:\n  iteration-1:\n    response: {temperature: hot}\n", 5, "response.temperature", None),
    ("policy: {auto: [}\n", 3, "not valid YAML", None),
]


@pytest.mark.parametrize(("text", "line", "message", "remedy"), BAD, ids=[row[2] for row in BAD])
def test_a_bad_key_or_value_is_named_with_its_line(
    tmp_path: Path, text: str, line: int, message: str, remedy: str | None
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_campaign(path)
    error = caught.value
    assert error.exit_code == EXIT_USAGE
    assert message in error.what
    assert f"{path}:{line}" in (error.where or "")
    assert error.remedy
    if remedy:
        assert remedy in error.remedy


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        load_campaign(tmp_path / "none.yaml")
    assert caught.value.exit_code == EXIT_NOT_FOUND


def test_the_name_must_be_the_files(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("name: c\n" + PROMPTS)
    with pytest.raises(ConfigurationError, match="does not match the file's name"):
        load_campaign(path)


def test_builtin_needs_prompts(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("name: c\n")
    with pytest.raises(ConfigurationError, match="prompts is missing"):
        load_campaign(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.txt", None, "cannot be read"),
        ("r.txt", "  \n", "is empty"),
        ("r.txt", "no place", "lacks {instruction}"),
        ("b.txt", "{instruction}", "lacks {response}"),
    ],
)
def test_a_bad_prompt_file_is_named(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    path = written(tmp_path, "")
    texts = {"i.txt": "1. x", "r.txt": "{instruction}", "a.txt": "{instruction}", "b.txt": "{instruction} {response}"}
    for file, text in texts.items():
        (tmp_path / file).write_text(text)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigurationError) as caught:
        load_prompts(load_campaign(path), path)
    assert message in caught.value.what
    assert name in (caught.value.where or "")


def test_set_assigns_dotted_names_and_refuses_others() -> None:
    base = Campaign(name="c").parameters
    changed = assign(base, ["response.temperature=0.25", 'response.stop=["\\nQ:"]', "seed=7"])
    assert (changed.response.temperature, changed.response.stop, changed.seed) == (0.25, ("\nQ:",), 7)
    assert changed.instruction == base.instruction
    odd = ("seed=2024-99-99", "response.stop=" + "[" * 5000, "seed={[1]: 2}")
    for wrong in ("response.temprature=1", "response=1", "nonsense", "response.temperature=-1", *odd):
        with pytest.raises(ConfigurationError) as caught:
            assign(base, [wrong])
        assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "op", "value"), [("< 5%", "<", 0.05), (">= 50 %", ">=", 0.5), ("= 0", "=", 0.0), ("<40", "<", 40.0)]
)
def test_limits_read_as_written(text: str, op: str, value: float) -> None:
    limit = Limit.parse(text)
    assert (limit.op, limit.value) == (op, value)


def test_keys_that_nothing_acts_on_yet_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, "review: {command: [codex]}\n")
    assert load_campaign(path).not_acted_on() == ["review"]
