"""The command line as a newcomer meets it: help on one screen, a version, completion, JSON that is only JSON."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from mel import __version__, cli_help
from mel.cli import app, main
from mel.naming import comma_separated

SCREEN = {"COLUMNS": "80", "TERM": "dumb"}
COMMANDS = vars(get_command(app))["commands"]


def output_of(*words: str) -> str:
    result = CliRunner().invoke(app, [*words], env=SCREEN, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_help_shows_every_command_in_its_group_on_one_screen() -> None:
    lines = output_of("--help").splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    shown = [match[1] for line in lines if (match := re.match(r"^(?:[a-z ]{15}  | {17})([a-z]+)  ", line))]
    commands = COMMANDS
    assert sorted(shown) == sorted(commands)
    headings = [line[:15].strip() for line in lines if re.match(r"^[a-z ]{15}  [a-z]", line) and line[0] != " "]
    assert headings == list(cli_help.GROUPS)
    assert not any("…" in line for line in lines), "every description fits"


def test_every_command_names_a_group_of_the_help_page() -> None:
    commands = COMMANDS
    assert {command.rich_help_panel for command in commands.values()} == set(cli_help.GROUPS)


def test_the_help_page_ends_with_what_to_do_next() -> None:
    assert output_of("--help").rstrip().splitlines()[-1] == cli_help.HINT


def test_the_version_is_the_packages() -> None:
    assert output_of("--version") == f"mel {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_the_commands_and_the_options(shell: str) -> None:
    if shell == "bash":
        env = {**SCREEN, "_MEL_COMPLETE": "complete_bash", "COMP_WORDS": "mel ex", "COMP_CWORD": "1"}
    else:
        env = {**SCREEN, "_MEL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "mel ex"}
        env["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    result = CliRunner().invoke(app, [], env=env, prog_name="mel")
    assert "experiences" in result.stdout
    assert "quickstart" not in result.stdout


def test_a_plan_as_json_is_nothing_else_on_stdout() -> None:
    plan = json.loads(output_of("plan", "qwen3_4b_8gpu", "--gpus", "8", "--json"))
    assert plan["fits"] is True
    assert plan["plan"]["recipe"] == "qwen3_4b_8gpu"
    assert plan["plan"]["batch"]["group_size"] == 8
    parts = [sum(plan["plan"][moment].values()) for moment in ("training", "generating")]
    assert plan["peak"] == pytest.approx(max(parts))


def test_a_plan_that_does_not_fit_is_json_too_and_an_error() -> None:
    words = ["plan", "qwen3_4b_8gpu", "--gpus", "8", "--gpu-memory", "48", "--json"]
    result = CliRunner().invoke(app, words, env=SCREEN)
    assert isinstance(result.exception, ValueError)
    assert json.loads(result.stdout)["fits"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["experiences", "show", "run", "9e30"], "mel: Invalid value for 'number'"),
        (["plan", "grpo", "--gpu-memory", "nan"], "expected a number above 0, got nan; `mel plan --help` says"),
        (["plan", "grpo", "--gpu-memory", "-1"], "expected a number above 0, got -1; `mel plan --help` says"),
        (["plan", "grpo", "--gpuz", "1"], "mel: No such option: --gpuz"),
        (["plan"], "mel: Missing argument"),
        (["plam", "grpo"], "`mel --help` says what it takes"),
        (["plan", "grpo", "--set", "x={{{"], "mel: --set x={{{: expected YAML"),
    ],
)
def test_a_wrong_command_line_is_refused_on_one_line(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mel", *words])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert message in printed
    assert printed.count("\n") == 1


def test_an_arm_may_be_a_file_whose_path_holds_a_comma(tmp_path: Path) -> None:
    path = tmp_path / "a,b.yaml"
    path.touch()
    assert comma_separated(f"grpo,{path}", is_one=lambda word: Path(word).is_file()) == ["grpo", str(path)]
    assert comma_separated("grpo, paper", is_one=lambda word: Path(word).is_file()) == ["grpo", "paper"]


def test_an_error_shows_what_it_quotes_and_obeys_none_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["mel", "report", "a\x1b[2J\u202e\u200bb"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "a<U+001B>[2J<U+202E><U+200B>b" in capsys.readouterr().err
