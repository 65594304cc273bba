import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile import HOSTILE, hostile

from mel.record import ExperienceStore, RunDirectory
from mel.report.arms import read_arms, read_run
from mel.report.browser import experiences_json, script_json
from mel.report.page import build

Make = Callable[..., Path]


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


def test_the_page_shows_results_curves_costs_ledger_and_experiences(make_run: Make, tmp_path: Path) -> None:
    paths = [make_run("grpo", mel=False, gain=0.1), make_run("recommended", gain=0.7)]
    out = build(paths, tmp_path / "pages" / "report.html")
    html = out.read_text()
    assert "<title>grpo vs recommended · mel report</title>" in html
    run = read_run(paths[1])
    score = run.after["heldout"].pass_at_1
    assert score is not None
    assert f"<b>{100 * score.value:.1f}</b> <small>[{100 * score.low:.1f}, " in html
    for title in ("Reward", "Retention", "Localization", "Weight λ", "Cosine"):
        assert f"<b>{title}</b>" in html
    # Reward of both arms and six curves of one, each against three axes; no arm has seeds for an interval.
    assert html.count('<svg class="chart"') == html.count("data-lines=") == 3 * 8
    assert html.count('<svg class="difference c1"') == 6  # three scores on each of two suites
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


def test_a_run_that_was_killed_is_told_from_one_that_goes_on(make_run: Make, tmp_path: Path) -> None:
    path = make_run("recommended", steps=2, state="running")
    recipe = RunDirectory.open(path).recipe
    recipe["trainer"] |= {"max_steps": 60}
    RunDirectory.open(path).set_recipe(recipe)
    shutil.rmtree(path / "evaluations")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    pages = {}
    for pid in (os.getpid(), ended.pid):
        (path / "lock").write_text(f"process {pid} on {socket.gethostname()}")
        pages[pid] = build([path], tmp_path / "report.html").read_text()
    for page, state in zip(pages.values(), ("running", "interrupted"), strict=True):
        assert f'<span class="chip {state}">{state}</span>' in page
        assert "<i>steps</i> 2 of 60" in page
        assert "<i>last written</i> 20" in page
        assert "<i>seed</i> 0" in page
        assert "Scores in percent" not in page  # there is none
        assert ("while the run was not finished" in page) == (state == "running")
    (path / "lock").write_text(f"process {ended.pid} on another-machine")
    assert RunDirectory.open(path).state_now == "running"  # nobody here can tell


def test_an_auxiliary_that_nobody_here_knows_has_its_curves_and_costs(make_run: Make, tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "hinted", {"name": "hinted"}, {"rates": {"hints": ["taken_share"]}})
    for step in (1, 2):
        tokens = {"tokens/rollout": 100, "tokens/hint": 25, "tokens/generated": 125 * step, "time_s/hint": 0.5}
        run.metrics.append(step, {"reward/mean": 0.5, "hints/taken_share": 0.25, "hints/taken": 4, **tokens})
    run.close()
    html = build([run.path, make_run("recommended", steps=2)], tmp_path / "report.html").read_text()
    assert '<figcaption title="hints/taken_share"><b>Taken share</b> <span>hints</span></figcaption>' in html
    assert '<figcaption title="hints/taken"' not in html  # a count is no curve, but another measurement
    assert (
        '<th scope="row" title="hints/taken">Taken <small>hints</small></th><td data-label="hinted">4 → 4</td>' in html
    )
    assert '<figcaption title="experience/retention">' in html
    cells = '<td data-label="hinted">{}</td><td data-label="recommended" class="none">-</td>'
    assert f"Hint <small>tokens generated</small></th>{cells.format('50')}" in html
    assert f"Hint <small>seconds</small></th>{cells.format('1')}" in html


def test_a_large_run_shows_a_part_and_says_so(make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_run("recommended")
    total = read_run(path).ledger.candidates
    monkeypatch.setattr("mel.report.browser.MAX_EXPERIENCES", 5)
    data = _data(build([path], tmp_path / "report.html").read_text())
    assert data["held"] == total
    steps = [e["step"] for e in data["experiences"]]
    assert (steps[0], len(steps), len(set(steps))) == (1, 5, 5)


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
    data = json.loads(experiences_json(runs))
    found = data["experiences"]
    assert data["held"] == total
    assert 225_000 < sum(len(script_json(e)) for e in found) <= 450_000  # one of two runs has half of the room
    assert found[0]["step"] == 1
    assert found[-1]["step"] > 25
    last = found[-1]
    assert last["problem"] == " [... 5,000 characters left out ...] ".join(["x" * 2000] * 2)
    assert (len(last["attempts"]), last["num_attempts"], last["num_right"]) == (8, 10, 10)


def test_experiences_get_what_the_rest_of_the_page_leaves(
    make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = make_run("recommended"), tmp_path / "report.html"
    everything = build([path], out).stat().st_size
    for limit in (everything - 1_000, everything - 20_000):
        monkeypatch.setattr("mel.report.page.PAGE_BYTES", limit)
        html = build([path], out).read_text()
        assert len(html.encode()) <= limit + 200  # the names of the runs and columns
        assert 0 < len(_data(html)["experiences"]) < _data(html)["held"] == read_run(path).ledger.candidates


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
    assert html.count("<small>2 seeds</small>") == 2
    # Two rewards, four rates, lambda and cosine: a band for each arm, against each axis.
    assert html.count('<polygon class="band') == 3 * 2 * 8
    assert "over problems and seeds" in html
    assert len(read_arms(paths)) == 2
