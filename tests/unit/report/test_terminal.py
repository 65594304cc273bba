from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mel.config import load_recipe
from mel.evaluate.evaluation import Progress
from mel.evaluate.responses import Response, Settings
from mel.evaluate.result import markdown, summarize
from mel.record import ExperienceStore, RunDirectory
from mel.report.arms import read_run
from mel.report.results_table import results_table
from mel.report.terminal import (
    evaluation_progress,
    evaluation_table,
    experience_panel,
    experiences_page,
    experiences_table,
)

Make = Callable[..., Path]


def shown(*things: object, width: int = 160) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    console.print(*things)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_report_of_nothing_evaluated_says_so(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "begun", load_recipe("recommended").resolved(), {}).close()
    text = shown(results_table([tmp_path / "begun"]))
    assert "no evaluation is finished yet" in " ".join(text.split())
    assert "against the first arm" not in text


def test_results_have_a_row_per_arm_with_scores_tokens_and_seconds(make_run: Make) -> None:
    paths = [make_run("grpo", mel=False, gain=0.1), make_run("recommended", gain=0.7)]
    text = shown(results_table(paths))
    for heading in ("Pass@1", "Avg@8", "Pass@8", "tokens", "seconds", "heldout-l8"):
        assert heading in text
    run = read_run(paths[1])
    score = run.after["heldout"].pass_at_1
    assert score is not None
    assert f"{100 * score.value:.1f}" in text
    assert f"{run.last('tokens/generated'):,.0f}" in text
    assert "+" in text.split("recommended")[1]


def test_an_evaluation_is_a_row_with_its_intervals(make_run: Make) -> None:
    text = shown(evaluation_table(list(read_run(make_run("grpo")).evaluations.values())))
    assert "heldout-l8" in text
    assert " 32 " in text


def test_an_evaluation_says_why_responses_are_wrong_and_what_it_left_out() -> None:
    reasons = ["right", "no_final_answer", "timeout", "unreadable_gold", "no_final_answer"]
    responses = [
        Response(
            problem=f"p{i}", kind="greedy", sample=0, text="", num_tokens=1, is_truncated=False,
            is_correct=reason == "right", reason=reason, detail="", seconds=0.1,
        )
        for i, reason in enumerate(reasons)
    ]  # fmt: skip
    settings = Settings(
        model="m", weights="", k=0, temperature=0.6, top_p=1.0, max_tokens=9, prompts="p", problems="h",
        prompt_ids="i", engine="e", seed=0,
    )  # fmt: skip
    short = summarize("aime24", settings, responses, left_out={"no_answer": 2, "no_question": 1})
    whole = summarize("aime25", settings, responses[:1])
    said = "3 records of the source are no problems and do not count (no answer 2, no question 1)"
    text = " ".join(shown(evaluation_table([short, whole])).split())
    for word in ("right 2", "no final answer 2", "timeout 1", "unreadable gold 1", "aime24: 3 records"):
        assert word in text
    assert "aime25: " not in text
    about = markdown([short, whole])
    assert "Verdicts: no final answer 2, right 1, timeout 1, unreadable gold 1." in about
    assert f"{said}." in about
    assert about.endswith("Verdicts: right 1.\n")


def test_experiences_are_listed_newest_first_and_paged(make_run: Make) -> None:
    path = make_run("recommended")
    with RunDirectory.open(path) as run:
        total = run.experiences.list().total
        newest = [str(e.id) for e in run.experiences.list(newest_first=True, limit=20)]
    assert total > 20
    text = shown(experiences_table(experiences_page(path)))
    assert f"page 1 of {-(-total // 20)}, {total} experiences" in text
    assert [
        line.split()[1] for line in text.splitlines() if line.startswith("│ ") and line.split()[1].isdecimal()
    ] == newest
    assert "no bifurcation" not in shown(experiences_table(experiences_page(path, kept=True)))
    with pytest.raises(ValueError, match=r"page: expected 1 to 3 \(44 experiences match\); got 9"):
        experiences_page(path, page=9)
    with pytest.raises(ValueError, match=r"--reason: expected one of .*failed_replay.*; got 'failed replay'"):
        experiences_page(path, reason="failed replay")


def test_one_experience_is_shown_with_both_solutions_and_its_replay(make_run: Make) -> None:
    path = make_run("recommended")
    with RunDirectory.open(path) as run:
        item = run.experiences.list(kept=True).items[0]
    text = shown(experience_panel(path, item.id))
    assert f"experience {item.id}, step 1: kept" in text
    for part in (item.problem, item.right, item.wrong, item.heuristic, "replay 1  right"):
        assert part is not None
        assert part in text
    with pytest.raises(ValueError, match="holds no experience 99999"):
        experience_panel(path, 99999)


def test_model_text_is_neither_markup_nor_a_terminal_command(make_run: Make) -> None:
    path = make_run("recommended", steps=1)
    with ExperienceStore.open(path / "experiences.db") as store:
        number = store.list(kept=True).items[0].id
        store._connection.execute("UPDATE experiences SET heuristic = ?", ("[red]\x1b]0;owned\x07[/] \x9b2J",))
        store._connection.commit()
    for text in (shown(experience_panel(path, number)), shown(experiences_table(experiences_page(path)))):
        assert "[red]<U+001B>]0;owned<U+0007>[/] <U+009B>2J" in text
        assert not set("\x1b\x07\x9b") & set(text)


def test_progress_is_plain_lines_when_nobody_watches() -> None:
    console = Console(file=StringIO(), width=100)
    with evaluation_progress(console, "heldout") as progress:
        progress(Progress(done=0, total=20, resumed=0, tokens=0, seconds=0.0))
        progress(Progress(done=10, total=20, resumed=0, tokens=500, seconds=2.0))
    assert console.file.getvalue() == (  # type: ignore[attr-defined]
        "heldout: 0/20 responses\nheldout: 10/20 responses, 250 tokens/s, 2 s left\n"
    )


def test_progress_is_a_bar_in_a_terminal() -> None:
    console = Console(file=StringIO(), width=100, force_terminal=True)
    with evaluation_progress(console, "heldout") as progress:
        progress(Progress(done=20, total=20, resumed=0, tokens=500, seconds=2.0))
    assert "20/20" in console.file.getvalue()  # type: ignore[attr-defined]
