import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mel.record import ExperienceStore, RunDirectory
from mel.report.arms import read_arms, read_run
from mel.report.browser import experiences_json, script_json
from mel.report.page import build
from mel.types import (
    Attempt,
    Candidate,
    Completion,
    Group,
    MetaExperience,
    Pair,
    Problem,
    Replayed,
    Rollout,
    Step,
    Verdict,
)

Make = Callable[..., Path]

HOSTILE = (
    "</script><script>document.title='PWNED'</script>",
    "<img src=x onerror=\"document.title='PWNED'\">",
    "<!--<script>",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028\u2029 \0 \x1b[31m \ud83d \U0001f600 </textarea></style><svg onload=document.title='PWNED'>",
    "javascript:document.title='PWNED'",
    "'\"`${document.title='PWNED'}`&lt;b&gt;",
    "4\u200b2 \u202e14 = x",
)


class Tags(HTMLParser):
    """Counts the tags and collects the attributes that name something outside."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action", "data", "poster")]


def _parsed(html: str) -> Tags:
    parser = Tags()
    parser.feed(html)
    return parser


def _data(html: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert found
    return json.loads(found[1])


def hostile(text: str) -> Replayed:
    wrong = Rollout(token_ids=(1,), text=f"{text} wrong", verdict=Verdict(is_correct=False, reason="wrong"), reward=0.0)
    right = replace(wrong, text=f"{text} right", verdict=Verdict(is_correct=True, reason="right"))
    group = Group(problem=Problem(id=text, text=text, answer=text), prompt_ids=(), rollouts=(right, wrong))
    steps = (Step(number=1, start=0, end=3), Step(number=2, start=3, end=len(text)))
    pair = Pair(group=group, right=right, wrong=wrong, wrong_index=1, right_steps=steps, wrong_steps=steps)
    completion = Completion(token_ids=(1,), text=text)
    experience = MetaExperience(bifurcation=1, critique=text, heuristic=text, text=text)
    candidate = Candidate(pair=pair, context_ids=(), completion=completion, experience=experience)
    attempt = Attempt(
        completion=completion, response=text, verdict=Verdict(is_correct=True, reason="right", detail=text)
    )
    return Replayed(candidate=candidate, prefix_ids=(), attempts=(attempt,), is_kept=True, reason="kept")


@pytest.fixture
def hostile_run(make_run: Make) -> Path:
    path = make_run("<script>alert(1)</script>", steps=2)
    with ExperienceStore.open(path / "experiences.db") as store:
        store.truncate_after(0)
        store.write_step(1, [hostile(text) for text in HOSTILE])
    return path


def test_the_page_shows_results_curves_costs_ledger_and_experiences(make_run: Make, tmp_path: Path) -> None:
    paths = [make_run("grpo", mel=False, gain=0.1), make_run("recommended", gain=0.7)]
    out = build(paths, tmp_path / "pages" / "report.html")
    html = out.read_text()
    assert "<title>grpo vs recommended · mel report</title>" in html
    run = read_run(paths[1])
    score = run.after["heldout"].pass_at_1
    assert score is not None
    assert f"<b>{100 * score.value:.1f}</b><small>[{100 * score.low:.1f}, " in html
    for path in (
        "reward/mean",
        "experience/retention",
        "experience/localization",
        "objective/lambda",
        "objective/cosine",
    ):
        assert f"<code>{path}</code>" in html
    # Reward of both arms and six curves of one, each against three axes.
    assert html.count('<svg class="chart"') == html.count("data-lines=") == 3 * 8
    assert 'class="intervals"' in html
    assert f"<b>{run.ledger.candidates}</b>" in html
    assert "1f2e3d4c" in html
    assert "miniature:0" in html
    assert len(_data(html)["experiences"]) == run.ledger.candidates


def test_the_page_asks_nothing_of_the_network(make_run: Make, tmp_path: Path) -> None:
    html = build([make_run("grpo")], tmp_path / "report.html").read_text()
    assert all(link.startswith("#") for link in _parsed(html).links)
    assert "default-src 'none'" in html
    assert "@import" not in html
    assert "url(" not in html


def test_experiences_reach_the_page_as_they_were_recorded(make_run: Make, tmp_path: Path) -> None:
    path = make_run("recommended")
    rows = _data(build([path], tmp_path / "report.html").read_text())["experiences"]
    with RunDirectory.open(path) as run:
        stored = run.experiences.list(limit=-1).items
    assert [r["id"] for r in rows] == [e.id for e in stored]
    assert [(r["wrong"], r["bifurcation"], r["first_error"], r["is_kept"]) for r in rows] == [
        (e.wrong, e.bifurcation, e.first_error, e.is_kept) for e in stored
    ]


def test_a_run_without_steps_or_evaluations_has_a_page_that_says_so(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "new", {"name": "new"}, {}).close()
    html = build([tmp_path / "new"], tmp_path / "report.html").read_text()
    for sentence in ("No finished evaluation in this run yet.", "No metrics logged yet.", "None recorded."):
        assert sentence in html


def test_an_auxiliary_that_nobody_here_knows_has_its_curves_and_costs(make_run: Make, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "hinted", {"name": "hinted"}, {"rates": {"hints": ["taken_share"]}})
    for step in (1, 2):
        tokens = {"tokens/rollout": 100, "tokens/hint": 25, "tokens/generated": 125 * step, "time_s/hint": 0.5}
        run.metrics.append(step, {"reward/mean": 0.5, "hints/taken_share": 0.25, "hints/taken": 4, **tokens})
    run.close()
    html = build([run.path, make_run("recommended", steps=2)], tmp_path / "report.html").read_text()
    assert "<b>Taken share</b> <span></span><code>hints/taken_share</code>" in html
    assert "<code>hints/taken</code>" not in html  # a count is no curve
    assert "<code>experience/retention</code>" in html
    assert "<th><code>tokens/hint</code></th><td>50.0</td><td>-</td>" in html
    assert "<th><code>time_s/hint</code></th><td>1.0</td><td>-</td>" in html


def test_a_large_run_shows_a_part_and_says_so(make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_run("recommended")
    total = read_run(path).ledger.candidates
    monkeypatch.setattr("mel.report.browser.MAX_EXPERIENCES", 5)
    text, num_shown, num_total = experiences_json([read_run(path)])
    assert (num_shown, num_total) == (5, total)
    steps = [e["step"] for e in json.loads(text)["experiences"]]
    assert (steps[0], len(set(steps))) == (1, 5)
    html = build([path], tmp_path / "report.html").read_text()
    assert f"Holds 5 of {total} experiences" in html


def test_a_page_stays_as_small_as_it_may_be_however_long_the_texts(
    make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_run("recommended", steps=1)
    long = replace(hostile("x" * 9_000), attempts=hostile("1").attempts * 10)
    with ExperienceStore.open(path / "experiences.db") as store:
        for step in range(2, 32):
            store.write_step(step, [long])
        total = store.list(limit=0).total
    monkeypatch.setattr("mel.report.browser.MAX_BYTES", 900_000)
    runs = [read_run(path), read_run(make_run("grpo", mel=False, steps=1))]
    text, num_shown, num_total = experiences_json(runs)
    found = json.loads(text)["experiences"]
    assert (len(found), total) == (num_shown, num_total)
    assert 225_000 < sum(len(script_json(e)) for e in found) <= 450_000  # one of two runs has half of the room
    assert found[0]["step"] == 1
    assert found[-1]["step"] > 25
    last = found[-1]
    assert last["problem"] == " [... 5,000 characters left out ...] ".join(["x" * 2000] * 2)
    assert (len(last["attempts"]), last["num_attempts"], last["num_right"]) == (8, 10, 10)


@pytest.mark.parametrize("text", HOSTILE)
def test_json_in_a_script_element_cannot_end_it(text: str) -> None:
    embedded = script_json({"text": text})
    assert not set("<>&'\u2028\u2029") & set(embedded)
    assert json.loads(embedded)["text"] == text


def test_model_text_adds_no_tag_to_the_page(hostile_run: Path, make_run: Make, tmp_path: Path) -> None:
    tame = make_run("tame", steps=2)
    pages = [_parsed(build([p], tmp_path / "report.html").read_text()) for p in (hostile_run, tame)]
    assert pages[0].tags.count("script") == pages[1].tags.count("script") == 2
    assert pages[0].tags.count("img") == pages[0].tags.count("textarea") == 0
    html = (tmp_path / "report.html").read_text()
    assert len(_data(build([hostile_run], tmp_path / "report.html").read_text())["experiences"]) == len(HOSTILE)
    assert "alert(1)" not in html


def test_arms_of_several_seeds_are_drawn_as_one(make_run: Make, tmp_path: Path) -> None:
    paths = [make_run(n, seed=s) for n in ("a", "b") for s in (0, 1)]
    html = build(paths, tmp_path / "report.html").read_text()
    assert html.count("2 seeds") == 2
    assert "over problems and seeds" in html
    assert len(read_arms(paths)) == 2


def _in_chromium(page: Path, profile: Path) -> str:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"]
    done = subprocess.run(
        [browser, *flags, f"--user-data-dir={profile}", "--virtual-time-budget=4000", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_real_browser_shows_hostile_text_as_text(hostile_run: Path, tmp_path: Path) -> None:
    dom = _in_chromium(build([hostile_run], tmp_path / "report.html"), tmp_path / "profile")
    assert "<article" in dom, "the page's own script did not run"
    # Its own script ran, one article per experience, and no text became an element.
    assert dom.count("<article") == len(HOSTILE)
    assert "PWNED" not in re.search(r"<title>(.*?)</title>", dom)[1]  # type: ignore[index]
    assert "<img" not in dom
    assert "&lt;img src=x onerror=" in dom
    assert "{{ 7 * 7 }}" in dom
    assert "&lt;U+001B&gt;[31m" in dom
    assert "4&lt;U+200B&gt;2 &lt;U+202E&gt;14 = x" in dom
    assert not set("\x1b\u200b\u202e\u2028") & set(dom)


def test_a_real_browser_marks_the_bifurcation_in_the_wrong_solution(make_run: Make, tmp_path: Path) -> None:
    path = make_run("recommended")
    dom = _in_chromium(build([path], tmp_path / "report.html"), tmp_path / "profile")
    with RunDirectory.open(path) as run:
        kept = run.experiences.list(kept=True, limit=10).items
    assert dom.count("<article") == len(kept) == 10
    marked = re.findall(r'<li class="star[^"]*"><span class="n">\d*</span><span class="t">([^<]*)<', dom)
    assert marked == [e.wrong[slice(*e.wrong_steps[e.bifurcation - 1])].strip() for e in kept if e.bifurcation]
