"""Whatever stands in a campaign file, or in its place: one error that says what, where and what to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.campaign import document
from engine.campaign.loading import load_campaign, load_prompts
from engine.errors import EXIT_USAGE, ConfigurationError, PilothouseError
from engine.files import Workspace

ROOT = Path(__file__).parents[2]
HEAD = "name: c\nprompts: {instructions: i.txt, response: r.txt, instruction_critic: a.txt, pair_critic: b.txt}\n"
DEMO = (ROOT / "configs" / "demo.yaml").read_text(encoding="utf-8")


def refusal(folder: Path, text: str | bytes) -> ConfigurationError:
    """The one error that a campaign file with `text` after its first two lines gives."""
    path = folder / "c.yaml"
    path.write_bytes(HEAD.encode() + (text if isinstance(text, bytes) else text.encode()))
    with pytest.raises(ConfigurationError) as caught:
        load_campaign(path)
    assert caught.value.exit_code == EXIT_USAGE
    assert caught.value.remedy
    return caught.value


def laughs(levels: int) -> str:
    """Ten bytes a level, nine times the values."""
    rows = ["model:\n  options:\n    a0: &a0 [1, 2]\n"]
    rows += [f"    a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, levels)]
    return "".join(rows)


def merges(levels: int) -> str:
    """The same by merge keys, which the YAML library writes out while it builds."""
    rows = [f"    a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, levels)]
    return "model:\n  options:\n    a0: &a0 {x: 1}\n" + "".join(rows)


UNUSABLE = [
    ("x: &a [*a]\n", 3, "an alias (*) stands inside"),
    ("model:\n  options: &o {k: *o}\n", 4, "an alias (*) stands inside"),
    ("x: " + "[" * 5000, 3, "nested more than"),
    ("x:\n" + "- " * 5000, 4, "nested more than"),
    ("? [a, b]\n: 3\n", 3, "a key must be a word"),
    ("gate: {checks: {runaway_rate: {1: 2}}}\n", 3, "reads the key '1' as a number"),
    ("on: 1\n", 3, "reads the key 'on' as true or false"),
    (laughs(12), 10, "over 100,000 values"),
    (merges(40), 5, "over 100,000 values"),
    ("x: [" + "1, " * 100_001 + "]\n", 3, "over 100,000 values"),
    ("budget: {limit_usd: 1}\nqc: {}\nbudget: {limit_usd: 2}\n", 5, "two budget: blocks; the first, on line 3,"),
    ("parameters:\n  seed: 1\n  seed: 2\n", 5, "two seed: values; the first, on line 4,"),
    ("model: {path: !!python/name:os.system x}\n", 3, "the tag"),
    ("model: {path: !!int x}\n", 3, "the tag"),
    ('model: {path: "a\\0b"}\n', 3, "NUL"),
    ("x: \x01\n", 3, "control characters"),
    ("---\nmodel: {}\n", 3, "another document"),
    (f"target: {{examples: {'9' * 5000}}}\n", 3, "too many digits"),
    ("target: {examples: 0100}\n", 3, "not a decimal number"),
    ("target: {examples: 1:30}\n", 3, "not a decimal number"),
    ("budget: {limit_usd: 1:30.5}\n", 3, "not a decimal number"),
    ("budget: {limit_usd: .inf}\n", 3, "not a finite number"),
    ("model: {options: {x: .nan}}\n", 3, "not a finite number"),
]


@pytest.mark.parametrize(("text", "line", "message"), UNUSABLE, ids=[f"{row[2]} {row[0][:12]!r}" for row in UNUSABLE])
def test_yaml_that_cannot_be_used_is_refused_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    error = refusal(tmp_path, text)
    assert message in error.what
    assert error.where == f"{tmp_path / 'c.yaml'}:{line}" or f"c.yaml:{line}," in (error.where or "")


def test_a_tab_is_explained(tmp_path: Path) -> None:
    assert "never tabs" in (refusal(tmp_path, "model:\n\tpath: x\n").remedy or "")


def test_a_file_that_is_too_large_or_no_text_is_refused(tmp_path: Path) -> None:
    assert "larger than" in refusal(tmp_path, "#" * document.LARGEST_FILE).what
    assert "line 4 is not UTF-8" in refusal(tmp_path, b"\n# \xff\n").what


def test_aliases_and_merges_of_honest_size_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        HEAD + "parameters:\n  instruction: &same {temperature: 0.6}\n  response: {<<: *same, top_p: 0.8}\n"
        "policy: {auto: off}\nmodel: {path: 2024-01-31}\n"
    )
    campaign = load_campaign(path)
    assert (campaign.parameters.response.temperature, campaign.parameters.response.top_p) == (0.6, 0.8)
    assert campaign.policy.auto is False
    assert campaign.model.path == "2024-01-31"


def test_a_wrong_value_that_was_merged_in_is_found_where_it_stands(tmp_path: Path) -> None:
    error = refusal(
        tmp_path, "parameters:\n  instruction: &same\n    top_p: 7\n  response:\n    <<: *same\n    temperature: 0.1\n"
    )
    assert "c.yaml:5, parameters.instruction.top_p" in (error.where or "")


BAD_VALUES = [
    (f"target: {{examples: {'9' * 400}}}\n", "target.examples: should be less than or equal to 10000000000", None),
    ("target: {examples: 5, max_candidates: 99999999999}\n", "target.max_candidates: should be less", None),
    ("policy: {extend_to: 99999999999}\n", "policy.extend_to: should be less", None),
    ("scale: {examples: 99999999999}\n", "scale.examples: should be less", None),
    ("scale: {max_candidates: 99999999999}\n", "scale.max_candidates: should be less", None),
    ("scale: {base_seed: 9223372036854775808}\n", "scale.base_seed: should be less", None),
    ("budget: {limit_usd: 1.0e+300}\n", "budget.limit_usd: should be less", None),
    ("review: {command: [x], timeout_s: 1.0e+300}\n", "review.timeout_s: should be less", None),
    ("sync: {command: [x], every_minutes: 1.0e+300}\n", "sync.every_minutes: should be less", None),
    ("budget: {limit_usd: 'nan'}\n", "budget.limit_usd: should be a finite number", None),
    ("parameters: {seed: 1e3}\n", "parameters.seed: should be a whole number (it is '1e3')", "write 1000"),
    ("parameters: {seed: 1.5}\n", "parameters.seed: should be a whole number (it is 1.5)", None),
    ("target: {examples: on}\n", "target.examples: should be a number (it is true)", "on, off, yes and no"),
    ("parameters: {response: {temperature: no}}\n", "temperature: should be a number (it is false)", "on, off"),
    ("target:\n", "target: should be a mapping of keys (it is empty)", "leave the key out"),
    ("model: {path: 5}\n", "model.path: should be a text (it is 5)", "put it in quotes: '5'"),
    ("model: {backend: ctranslate}\n", "model.backend: should be 'ctranslate2'", "did you mean 'ctranslate2'?"),
    ('parameters: {response: {stop: "\\nQ:"}}\n', "stop: should be a list", 'put it in brackets: ["\\nQ:"]'),
    ("policy: {auto: perhaps}\n", "policy.auto: should be true or false (it is 'perhaps')", None),
    ("prompts: 3\n", "two prompts:", None),
]


@pytest.mark.parametrize(("text", "message", "remedy"), BAD_VALUES, ids=[row[0].strip()[:40] for row in BAD_VALUES])
def test_a_value_that_does_not_fit_is_said_in_plain_words(
    tmp_path: Path, text: str, message: str, remedy: str | None
) -> None:
    error = refusal(tmp_path, text)
    assert message in error.what
    assert "c.yaml:3" in (error.where or "")
    assert len(str(error)) < 400 + len(str(tmp_path))
    assert remedy is None or remedy in (error.remedy or "")


def test_a_key_cannot_steer_the_terminal(tmp_path: Path) -> None:
    error = refusal(tmp_path, '"\\e[31mred\\nx": 1\n')
    assert "\x1b" not in str(error)
    assert error.what == "unknown key 'red x'"


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("< 0.00000000000000000001%", "no run is long enough"),
        ("< 0.00000000000000000001", "no run is long enough"),
        (">= 99.9999999999999%", "no run is long enough"),
        ("< 5", "write its limit in percent: '< 5%'"),
        ("< 1", "write its limit in percent: '< 1%'"),
        ("< 500%", "cannot be over 100%"),
        ("< " + "9" * 400, "larger than anything"),
        ("{op: '<', value: -0.5}", "should be greater than or equal to 0"),
        ("{op: '<', value: 'inf'}", "should be a finite number"),
        ("{op: '<', value: 'nan'}", "should be a finite number"),
        ("5", "it is not a limit"),
        ("", "it is not a limit"),
        ("[1]", "it is not a limit"),
    ],
)
def test_a_limit_that_cannot_be_judged_is_refused_with_its_line(tmp_path: Path, limit: str, message: str) -> None:
    shown = f'"{limit}"' if limit[:1] in ("<", ">") else limit
    error = refusal(tmp_path, f"gate:\n  checks:\n    median_tokens: '< 40'\n    runaway_rate: {shown}\n")
    assert message in error.what
    assert "c.yaml:6, gate.checks.runaway_rate" in (error.where or "")


@pytest.mark.parametrize("limit", ["< 0%", "= 0", ">= 100%", "< 0.0001%", ">= 99.9999%", "< 0.05"])
def test_limits_at_the_edge_of_what_can_be_judged_are_taken(tmp_path: Path, limit: str) -> None:
    from engine.campaign.policy import PolicyConfig
    from engine.qc.gate import judge_figures

    path = tmp_path / "c.yaml"
    path.write_text(HEAD + f"gate: {{checks: {{pair_yield: '{limit}', runaway_rate: '{limit}'}}}}\n")
    gate = load_campaign(path).gate
    counts = dict.fromkeys(gate.checks, (40, 1))
    judged = judge_figures(
        gate, PolicyConfig(), dict.fromkeys(gate.checks, 0.025), counts, kept=40, ended=False, target=100
    )
    assert len(judged.checks) == 2


ITERATIONS = [
    ("../x", "iteration '../x' is not a usable name"),
    ("'a b'", "is not a usable name"),
    ("a" * 65, "is not a usable name"),
    ("pilot-2", "'pilot-2' is a pilot run"),
    ("scale", "'scale' is a scale run"),
]


@pytest.mark.parametrize(("name", "message"), ITERATIONS)
def test_an_iteration_must_be_able_to_become_a_run(tmp_path: Path, name: str, message: str) -> None:
    error = refusal(tmp_path, f"iterations:\n  iteration-1: {{}}\n  {name}: {{}}\n")
    assert message in error.what
    assert "c.yaml:5, iterations." in (error.where or "")


def test_a_misspelt_parameter_of_an_iteration_is_found(tmp_path: Path) -> None:
    error = refusal(tmp_path, "iterations:\n  iteration-1:\n    seed: 1\n    respnse: {}\n")
    assert "c.yaml:6, iterations.iteration-1.respnse" in (error.where or "")
    assert "did you mean 'response'?" in (error.remedy or "")


def test_a_campaigns_name_must_be_usable(tmp_path: Path) -> None:
    path = tmp_path / "a b.yaml"
    path.write_text(HEAD.replace("name: c", "name: a b"))
    with pytest.raises(ConfigurationError, match="not a usable name") as caught:
        load_campaign(path)
    assert f"{path}:1, name" == caught.value.where


def test_what_is_no_regular_file_is_not_waited_for(tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    (configs / "folder.yaml").mkdir(parents=True)
    os.mkfifo(configs / "pipe.yaml")
    (configs / "dangling.yaml").symlink_to(tmp_path / "none")
    (configs / "real.yaml").write_text("name: real\n")
    (configs / "linked.yaml").symlink_to(configs / "real.yaml")
    assert [path.name for path in Workspace(tmp_path).campaign_files()] == ["linked.yaml", "real.yaml"]
    for name in ("folder.yaml", "pipe.yaml"):
        with pytest.raises(ConfigurationError, match="not a regular file"):
            load_campaign(configs / name)


def test_a_prompt_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(HEAD)
    os.mkfifo(tmp_path / "i.txt")
    with pytest.raises(ConfigurationError, match=r"prompts\.instructions: .* it is not a regular file"):
        load_prompts(load_campaign(path), path)


def test_the_command_line_tells_a_hostile_file_from_its_own_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(HEAD + "x: &a [*a]\n")
    result = subprocess.run(
        [sys.executable, "-m", "tui", "config", "check", str(path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == EXIT_USAGE, result.stderr
    assert result.stderr.startswith("pilothouse: ")
    assert f"where: {path}:3" in result.stderr
    assert "Traceback" not in result.stderr


WORDS = [match.span() for match in re.finditer(r"[\w./%-]+", DEMO[DEMO.index("name:") :])]
ODD = [
    "&a [*a]",
    "[[1]]",
    "{1: 2}",
    "{? [a] : 1}",
    "{<<: 3}",
    "!!int x",
    "1e3",
    "0x_",
    "0100",
    "1:30",
    ".nan",
    ".inf",
    "-1",
    "2024-99-99",
    "null",
    "on",
    "=",
    '"\\0"',
    "é",
    "\n---",
    "*a",
    "&a x",
    "[",
    "}",
    ": ",
    "- ",
    "? ",
    "'",
    '"',
    "\t",
    "%",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(WORDS), st.sampled_from([*ODD, "9" * 400]), min_size=1, max_size=3))
def test_a_mangled_campaign_loads_or_is_refused(tmp_path: Path, changes: dict[tuple[int, int], str]) -> None:
    """Words of the demo's campaign, keys and values alike, replaced by what YAML has up its sleeve."""
    text = DEMO[DEMO.index("name:") :]
    for (start, end), odd in sorted(changes.items(), reverse=True):
        text = text[:start] + odd + text[end:]
    path = tmp_path / "demo.yaml"
    path.write_text(text)
    try:
        load_campaign(path)
    except PilothouseError as error:
        refused = error
    else:
        return
    assert refused.remedy
    assert str(path) in (refused.where or "")
