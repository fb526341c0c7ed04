"""Names of metrics and detectors are looked up when a campaign, or a `--qc` file, is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.campaign.spec import RunSpec, create_spec, read_spec
from engine.errors import EXIT_USAGE, ConfigurationError, NotFoundError
from engine.files import RunFiles
from engine.replay.campaigns import load_checked
from engine.report.gate import read_ruler

HEAD = "name: c\nprompts: {instructions: i.txt, response: r.txt, instruction_critic: a.txt, pair_critic: b.txt}\n"
Rule = tuple[str, int, str, tuple[str, ...]]
RULES: list[Rule] = [
    (
        "gate:\n  checks:\n    runaway_rat: '< 5%'\n",
        3,
        "there is no metric 'runaway_rat'",
        ("gate.checks.runaway_rat", "did you mean 'runaway_rate'?", "median_tokens"),
    ),
    (
        "qc:\n  token_limit: finish-v1\n  runaway: markers-v3\n",
        3,
        "there is no detector 'markers-v3'",
        ("qc.runaway", "did you mean 'markers-v2'?", "length-v1"),
    ),
    ("qc:\n\n  delimiter: zzz\n", 3, "there is no detector 'zzz'", ("qc.delimiter", "known here: exact-v1")),
    ("gate:\n  checks:\n    median_tokens: '< 40%'\n", 3, "median_tokens: this metric is no share", ("'< 40'",)),
]


@pytest.fixture
def run(tmp_path: Path) -> RunFiles:
    """A launched run without records."""
    files = RunFiles(tmp_path / "artifacts" / "c" / "pilot")
    files.folder.mkdir(parents=True)
    create_spec(files, RunSpec(campaign="c", run="pilot", kind="pilot"))
    return files


def check(error: ConfigurationError, path: Path, rule: Rule, above: int) -> None:
    """`error` says what `rule` does, whose text starts after `above` other lines."""
    _, line, message, words = rule
    assert error.exit_code == EXIT_USAGE
    assert message in error.what
    assert (error.where or "").startswith(f"{path}:{above + line}, ")
    for word in words:
        assert word in str(error)


@pytest.mark.parametrize("rule", RULES, ids=[row[2] for row in RULES])
def test_a_campaign_names_only_what_there_is(tmp_path: Path, rule: Rule) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(HEAD + rule[0])
    with pytest.raises(ConfigurationError) as caught:
        load_checked(path)
    check(caught.value, path, rule, 2)


@pytest.mark.parametrize("rule", RULES, ids=[row[2] for row in RULES])
def test_a_ruler_names_only_what_there_is(tmp_path: Path, run: RunFiles, rule: Rule) -> None:
    path = tmp_path / "ruler.yaml"
    path.write_text(rule[0])
    with pytest.raises(ConfigurationError) as caught:
        read_ruler(path, read_spec(run))
    check(caught.value, path, rule, 0)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("gate: &a [*a]\n", 1, "an alias (*) stands inside"),
        ("gate: " + "[" * 5000, 1, "nested more than"),
        ("? [a, b]\n: 3\n", 1, "a key must be a word"),
        ("gate: {checks: {runaway_rate: {1: 2}}}\n", 1, "reads the key '1' as a number"),
        ("qc: {}\nqc: {}\n", 2, "two qc: blocks"),
        ("gate:\n  checks:\n    runaway_rate: '< 0.00000000000000000001%'\n", 3, "no run is long enough"),
        ("qc:\n  runawy: markers-v2\n", 2, "unknown key 'qc.runawy'"),
        ("gates: {}\n", 1, "unknown key 'gates'"),
        ("gate: 3\n", 1, "gate: should be a mapping of keys (it is 3)"),
        ("gate: {confidence: 1.0}\n", 1, "gate.confidence: should be less than 1"),
    ],
)
def test_a_hostile_ruler_is_refused_with_its_line(
    tmp_path: Path, run: RunFiles, text: str, line: int, message: str
) -> None:
    path = tmp_path / "ruler.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        read_ruler(path, read_spec(run))
    assert message in caught.value.what
    assert (caught.value.where or "").startswith(f"{path}:{line}")
    assert caught.value.remedy


def test_a_ruler_that_is_missing_empty_or_a_folder_is_said_so(tmp_path: Path, run: RunFiles) -> None:
    with pytest.raises(NotFoundError):
        read_ruler(tmp_path / "none.yaml", read_spec(run))
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ConfigurationError, match="not a mapping"):
        read_ruler(tmp_path / "empty.yaml", read_spec(run))
    with pytest.raises(ConfigurationError, match="not a regular file"):
        read_ruler(tmp_path, read_spec(run))


def test_a_good_campaign_and_a_good_ruler_are_taken(tmp_path: Path, run: RunFiles) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        HEAD + "qc: {runaway: length-v1}\ngate: {checks: {duplicate_rate: '< 5%', median_tokens: '< 40'}}\n"
    )
    assert load_checked(path).qc.runaway == "length-v1"
    ruler = tmp_path / "ruler.yaml"
    ruler.write_text("gate: {confidence: none, checks: {duplicate_rate: '< 5%'}}\n")
    assert list(read_ruler(ruler, read_spec(run)).gate.checks) == ["duplicate_rate"]
