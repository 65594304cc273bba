"""What a person sees: the report page and `mel browse` in a real browser, wide and on a phone, light and dark."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from mel.record import ExperienceStore, RunDirectory, StoredExperience
from mel.report.browse.server import BrowseServer
from mel.report.page import build

Make = Callable[..., Path]

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
)  # fmt: skip
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser with a new profile, which asks nobody but the pages of these tests."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install '.[browser]'"
    )
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    # A proxy of the surroundings would answer for 127.0.0.1.
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with playwright.sync_playwright() as started:
        context = started.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=program, args=list(FLAGS), env=environment
        )
        yield context
        context.close()


FAINT = """() => {
  const channels = (color) => { const c = color.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c; };
  const over = (top, below) => below.map((v, i) => top[i] * top[3] + v * (1 - top[3]));
  const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const parents = (e) => { const found = []; for (; e; e = e.parentElement) found.push(e); return found; };
  const ground = (e) => parents(e).reverse().map((p) => channels(getComputedStyle(p).backgroundColor))
    .reduce((below, top) => over(top, below), [255, 255, 255]);
  const contrast = (e) => {
    const isDrawn = e instanceof SVGElement, style = getComputedStyle(e);
    const below = ground(isDrawn ? e.closest("svg").parentElement : e);
    const ink = channels(isDrawn ? style.fill : style.color);
    ink[3] *= parents(e).reduce((all, p) => all * Number(getComputedStyle(p).opacity), 1);
    const [more, less] = [light(over(ink, below)), light(below)].sort((a, b) => b - a);
    return (more + 0.05) / (less + 0.05);
  };
  return [...document.querySelectorAll("header *, main *")]
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim()))
    .filter((e) => e.checkVisibility() && !e.disabled && !e.closest("option, .hidden") && contrast(e) < 4.5)
    .map((e) => `${e.tagName} ${e.textContent.trim().slice(0, 40)}: ${contrast(e).toFixed(2)}`);
}"""
"""What reads with less contrast than 4.5 to 1 (WCAG 2.2, 1.4.3)."""

REACHED = """() => {
  const e = document.activeElement;
  if (e === document.body || e.dataset.reached) return null;
  e.dataset.reached = "yes";
  return e.getAttribute("aria-label") || (e.labels && e.labels.length ? e.labels[0] : e).textContent.trim();
}"""
"""Name of the control that has the focus; null if it is none, or had it before."""


class Shown:
    """A tab, what it asked for, and what its scripts complained of."""

    def __init__(self, context: Any) -> None:
        self.tab = context.new_page()
        self.asked: list[str] = []
        self.errors: list[str] = []
        self.tab.on("request", lambda request: self.asked.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("dialog", lambda dialog: self.errors.append(dialog.message) or dialog.dismiss())

    def texts(self, selector: str) -> list[str]:
        return self.tab.locator(selector).all_inner_texts()

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.tab.evaluate("document.documentElement.scrollWidth - innerWidth")


@pytest.fixture
def shown(browser: Any) -> Iterator[Shown]:
    found = Shown(browser)
    found.tab.set_viewport_size(DESK)
    yield found
    found.tab.close()
    assert found.errors == []


@pytest.fixture(scope="module")
def run(written: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = written("recommended", seed=0, steps=8, gain=0.4, mel=True, state="finished")
    path = shutil.copytree(made, tmp_path_factory.mktemp("browsed") / "recommended-s0")
    with ExperienceStore.open(path / "experiences.db") as store:
        kept = [e.id for e in store.list(kept=True, limit=-1)]
        store.set_nll("then", "before training", dict.fromkeys(kept, 1.25))
        store.set_nll("now", "step 8", dict.fromkeys(kept, 0.5))
    return path


@pytest.fixture(scope="module")
def page(run: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a report page of one run."""
    return build([run], tmp_path_factory.mktemp("page") / "report.html").as_uri()


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    servers: list[BrowseServer] = []

    def start(run: Path) -> str:
        servers.append(BrowseServer(run, port=0))
        threading.Thread(target=servers[-1].serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return servers[-1].address

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def stored(run: Path, **which: Any) -> list[StoredExperience]:
    with ExperienceStore.open(run / "experiences.db") as store:
        return list(store.list(limit=-1, newest_first=True, **which))


@pytest.fixture(params=["page", "server"])
def address(request: pytest.FixtureRequest, run: Path, page: str, serve: Callable[[Path], str]) -> str:
    """Where the same experiences can be browsed: in the report page, and from a server."""
    return page if request.param == "page" else serve(run)


def test_filters_and_words_leave_the_experiences_that_are_so(shown: Shown, address: str, run: Path) -> None:
    everything = stored(run)
    shown.tab.goto(address)
    assert shown.texts("#browser .count") == [f"{len(everything)} found"]
    reason = next(e.reason for e in everything if not e.is_kept)
    for verdict, expected in {
        "kept": [e for e in everything if e.is_kept],
        "dropped": [e for e in everything if not e.is_kept],
        reason: [e for e in everything if e.reason == reason],
    }.items():
        shown.tab.get_by_label("kept or dropped").select_option(verdict)
        shown.tab.get_by_text(f"{len(expected)} found", exact=True).wait_for()
        assert shown.texts("#browser .row .says b")[0] == (expected[0].heuristic or "could not be parsed")
    shown.tab.get_by_label("kept or dropped").select_option("")
    shown.tab.get_by_label("optimizer step").fill("3")
    word = next(e for e in everything if e.step == 3).problem.split()[3]
    shown.tab.get_by_label("search problems, solutions and experiences").fill(word)
    expected = [
        e for e in everything
        if e.step == 3 and any(w.startswith(word) for w in f"{e.problem} {e.right} {e.wrong} {e.raw}".split())
    ]  # fmt: skip
    shown.tab.get_by_text(f"{len(expected)} found", exact=True).wait_for()
    assert expected
    shown.tab.get_by_label("search problems, solutions and experiences").fill("nothingislikethis")
    shown.tab.get_by_text("No experience is like that.").wait_for()


def test_an_address_is_a_link_to_filters_and_to_the_open_experience(shown: Shown, address: str, run: Path) -> None:
    kept = [e for e in stored(run, kept=True) if e.is_located]
    shown.tab.goto(address)
    shown.tab.get_by_label("kept or dropped").select_option("kept")
    shown.tab.locator(f"a.row[href*='id={kept[0].id}']").click()
    shown.tab.locator("article").wait_for()
    link = shown.tab.url
    assert link == f"{address}#experiences?verdict=kept&id={kept[0].id}"
    other = shown.tab.context.new_page()
    other.goto(link)
    article = other.locator("article")
    article.wait_for()
    assert other.get_by_label("kept or dropped").input_value() == "kept"
    text = article.inner_text()
    parts = (kept[0].problem, kept[0].critique, kept[0].heuristic, f"number {kept[0].id}", "Uplift", "1.25 → 0.50")
    for part in (*parts, "before training, step 8"):
        assert part in text
    # s* is marked in the wrong solution, and it is the true first error.
    star = kept[0].wrong[slice(*kept[0].wrong_steps[(kept[0].bifurcation or 0) - 1])].strip()
    assert other.locator("article li.star.error .t").inner_text().startswith(star)
    other.go_back()
    other.close()
    shown.tab.go_back()
    shown.tab.locator("ol.rows").wait_for()


def test_the_keyboard_opens_an_experience_and_reads_a_chart(shown: Shown, page: str) -> None:
    shown.tab.goto(page)
    shown.tab.locator("a.row").first.focus()
    shown.tab.keyboard.press("Enter")
    shown.tab.locator("article h3:focus").wait_for()
    shown.tab.locator("svg.chart:visible").first.focus()
    shown.tab.keyboard.press("ArrowRight")
    assert shown.texts(".readout")[0].startswith("at 1")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(shown: Shown, address: str, scheme: str) -> None:
    shown.tab.emulate_media(color_scheme=scheme)
    shown.tab.goto(address)
    shown.tab.evaluate("document.querySelectorAll('details').forEach(e => { e.open = true })")
    shown.tab.evaluate("document.querySelectorAll('.legend button').forEach(e => e.click())")
    assert shown.tab.evaluate(FAINT) == []
    shown.tab.locator("a.row").first.click()
    shown.tab.locator("article").wait_for()
    assert shown.tab.evaluate(FAINT) == []


def test_every_control_is_reached_by_tab_and_has_a_name(shown: Shown, address: str) -> None:
    shown.tab.emulate_media(reduced_motion="reduce")
    shown.tab.goto(address)
    assert shown.tab.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    # Of the radio buttons of one choice the arrow keys reach the others.
    controls = "a[href], button:enabled, select, input:not([type=radio]), [type=radio]:checked, summary, svg[tabindex]"
    names = []
    shown.tab.keyboard.press("Tab")
    while (name := shown.tab.evaluate(REACHED)) is not None:
        names.append(name)
        shown.tab.keyboard.press("Tab")
    assert all(names)
    there = shown.tab.locator(controls).filter(visible=True).all()
    assert [e.evaluate("e => e.outerHTML") for e in there if e.get_attribute("data-reached") is None] == []
    assert len(there) > 10


def test_nothing_leaves_for_another_place(shown: Shown, address: str) -> None:
    shown.tab.goto(address)
    shown.tab.locator("a.row").first.click()
    shown.tab.locator("article").wait_for()
    assert shown.asked
    assert [url for url in shown.asked if not url.startswith(("file:///", address))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_window(
    shown: Shown, address: str, scheme: str, hostile_run: Path, tmp_path: Path
) -> None:
    shown.tab.set_viewport_size(PHONE)
    shown.tab.emulate_media(color_scheme=scheme)
    shown.tab.goto(address)
    assert shown.overflow() <= 0
    for details in shown.tab.locator("details").all():
        details.evaluate("element => { element.open = true }")
    assert shown.overflow() <= 0
    shown.tab.locator("a.row").first.click()
    shown.tab.locator("article").wait_for()
    assert shown.overflow() <= 0


def test_a_page_of_several_arms_and_long_names_fits_on_a_phone(shown: Shown, make_run: Make, tmp_path: Path) -> None:
    paths = [make_run(name, seed=seed, steps=2) for name in ("a" * 60, "b", "c") for seed in (0, 1)]
    shown.tab.set_viewport_size(PHONE)
    shown.tab.goto(build(paths, tmp_path / "report.html").as_uri())
    assert shown.overflow() <= 0
    # Nor is anything cut off at the right within a part of the page.
    assert shown.tab.evaluate("[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)")


def test_a_page_that_holds_a_part_of_the_experiences_says_so(
    shown: Shown, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mel.report.browser.MAX_EXPERIENCES", 5)
    shown.tab.goto(build([run], tmp_path / "report.html").as_uri())
    shown.tab.get_by_text(f"This page holds 5 of {len(stored(run))} experiences").wait_for()


def test_many_arms_side_by_side_keep_their_names_whole_and_the_row_they_are_in(
    shown: Shown, make_run: Make, tmp_path: Path
) -> None:
    names = [f"another_recommended_{i}" for i in range(9)]
    shown.tab.goto(build([make_run(name, steps=1) for name in names], tmp_path / "report.html").as_uri())
    assert shown.overflow() <= 0
    # No heading is narrower than a word of its name, and what is scrolled to the side leaves the rows' names there.
    assert shown.tab.evaluate(
        "[...document.querySelectorAll('.costs thead th')].every(e => e.scrollWidth <= e.clientWidth)"
    )
    cost = shown.tab.locator("#cost .scroll")
    before = cost.locator("tbody th").first.bounding_box()
    assert cost.evaluate("e => { e.scrollLeft = 100; return e.scrollLeft }") == 100
    assert cost.locator("tbody th").first.bounding_box() == before


def test_on_paper_nothing_is_cut_or_left_closed(shown: Shown, make_run: Make, tmp_path: Path) -> None:
    paths = [make_run(name, seed=seed, steps=2) for name in ("a" * 60, "b", "c") for seed in (0, 1)]
    RunDirectory.open(paths[0]).metrics.append(3, {"hints/taken": 4.0})  # a metric that stands in a closed table
    shown.tab.set_viewport_size({"width": 920, "height": 700})
    shown.tab.goto(build(paths, tmp_path / "report.html").as_uri())
    shown.tab.locator("label", has_text="generated tokens").click()
    shown.tab.emulate_media(media="print")
    assert shown.overflow() <= 0
    assert shown.tab.evaluate("[...document.querySelectorAll('.scroll')].every(e => e.scrollWidth <= e.clientWidth)")
    assert shown.tab.locator("nav, .filters, .switch label").filter(visible=True).count() == 0
    assert shown.tab.locator("figure:has(svg.chart)").count() == shown.tab.locator("svg.chart:visible").count()
    assert shown.tab.locator("progress").first.is_visible()
    assert shown.tab.locator("#browser .count").is_visible()  # of how many the list shows the first
    opened = "dispatchEvent(new Event('beforeprint')), document.querySelectorAll('details.printed[open]').length"
    closed = "dispatchEvent(new Event('afterprint')), document.querySelectorAll('details.printed[open]').length"
    assert (shown.tab.evaluate(opened), shown.tab.evaluate(closed)) == (1, 0)


@pytest.mark.parametrize("where", ["page", "server"])
def test_what_a_model_wrote_is_text_and_never_markup(
    shown: Shown, hostile_run: Path, serve: Callable[[Path], str], tmp_path: Path, where: str
) -> None:
    opened = build([hostile_run], tmp_path / "r.html").as_uri() if where == "page" else serve(hostile_run)
    shown.tab.goto(opened)
    written = [e.problem for e in stored(hostile_run)]
    assert len(shown.texts("a.row")) == len(written)
    for number in range(1, len(written) + 1):
        shown.tab.goto(f"{opened}#experiences?id={number}")
        shown.tab.get_by_text(f"number {number}", exact=True).wait_for()
        assert shown.tab.locator("img, iframe, textarea, article svg, article script").count() == 0
    shown.tab.goto(f"{opened}#experiences?problem={quote('<img src=x onerror=alert(1)>')}&q={quote('</script>')}")
    shown.tab.get_by_text("No experience is like that.").wait_for()
    everything = shown.tab.content()
    assert "PWNED" not in shown.tab.title()
    assert not set("\x1b\u200b\u202e\u2028") & set(everything)
    shown.tab.goto(f"{opened}#experiences")
    shown.tab.locator("ol.rows").wait_for()
    shown_text = shown.tab.locator("ol.rows").inner_text()
    for text in ("<img src=x onerror=", "{{ 7 * 7 }}", "<U+001B>[31m", "4<U+200B>2 <U+202E>14 = x", "<script>document"):
        assert text in shown_text


def test_a_server_that_has_ended_is_named_in_words(shown: Shown, run: Path) -> None:
    server = BrowseServer(run, port=0)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    shown.tab.goto(server.address)
    server.shutdown()
    server.server_close()
    shown.tab.get_by_label("optimizer step").fill("2")
    shown.tab.get_by_text("The server does not answer").wait_for()


def test_a_run_without_experiences_can_be_browsed(shown: Shown, tmp_path: Path, serve: Callable[[Path], str]) -> None:
    RunDirectory.create(tmp_path / "new", {"name": "new"}, {}).close()
    shown.tab.goto(serve(tmp_path / "new"))
    shown.tab.get_by_text("No experience is like that.").wait_for()
    assert shown.texts("h1") == ["Experiences of new"]
