"use strict";
(() => {
  const PAGE = 10;
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  // Everything a model wrote reaches the page through textContent, never as markup.
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    for (const child of children) if (child !== null) element.append(child);
    return element;
  };

  // Offsets count code points, JavaScript strings count UTF-16 units.
  const solution = (text, spans, title, className, star, firstError) => {
    const points = Array.from(text);
    const slice = (from, to) => points.slice(from, to).join("").trim();
    const list = make("ol", "steps");
    let end = 0;
    const rest = (from, to) => {
      const words = slice(from, to);
      if (words) list.append(make("li", "rest", make("span", "n"), make("span", "t", words)));
    };
    spans.forEach(([from, to], index) => {
      const number = index + 1;
      if (to <= from) return; // a step that is left out of a long text
      rest(end, from);
      const body = make("span", "t", slice(from, to));
      // Steps that carry their own number (`2) sorts same 2 = 57`) need none of ours.
      const numbered = new RegExp(`^\\W*${number}[).:]`).test(body.textContent);
      const item = make("li", "", make("span", "n", numbered ? "" : String(number)), body);
      if (number === star) item.classList.add("star");
      if (number === firstError) item.classList.add("error");
      const tags = [];
      if (number === star) tags.push("s*: parts here");
      if (number === firstError && firstError !== star) tags.push("true first error");
      if (tags.length) body.append(make("span", "tag", tags.join(", ")));
      list.append(item);
      end = to;
    });
    rest(end, points.length);
    return make("div", "solution " + className, make("h5", "", title), list);
  };

  const said = (title, text, className) =>
    text === null ? null : make("div", "said " + className, make("h5", "", title), make("p", "", text));

  const replays = ({ attempts, num_attempts: count, num_right: right, prefix_tokens }) => {
    if (!attempts.length) return null;
    const from = prefix_tokens > 0 ? "from just before s*" : "from the start";
    const box = make("details", "replays", make("summary", "", `Replay ${from}: ${right} of ${count} right`));
    for (const a of attempts)
      box.append(make("p", "", make("span", a.is_correct ? "good" : "bad", a.is_correct ? "right" : a.reason), "  ", make("span", "text", a.response)));
    return box;
  };

  const truth = { true: "rule is true", false: "rule is false" };

  const article = (e) => {
    const head = make("h4", "", make("span", "verdict", e.reason.replaceAll("_", " ")), make("span", "", `step ${e.step}`));
    if (data.runs.length > 1) head.append(make("span", "", data.runs[e.run]));
    head.append(make("span", "", `number ${e.id}`), make("span", "", `pass rate ${Math.round(100 * e.pass_rate)} %`));
    if (e.is_located !== null) head.append(make("span", e.is_located ? "good" : "bad", e.is_located ? "located" : "mislocated"));
    if (e.rule_truth !== null) head.append(make("span", e.rule_truth ? "good" : "bad", truth[e.rule_truth]));
    if (e.states_answer) head.append(make("span", "bad", "states the answer"));
    for (const name of data.listed)
      if (e[name] !== null) head.append(make("span", "", `${name.replaceAll("_", " ")} ${e[name]}`));
    return make("article", e.is_kept ? "kept" : "", head,
      make("p", "problem", make("span", "text", e.problem), make("span", "soft", "  answer ", make("span", "text", e.answer))),
      make("div", "pair",
        solution(e.wrong, e.wrong_steps, "Wrong", "wrong", e.bifurcation, e.first_error),
        solution(e.right, e.right_steps, "Right", "right", null, null)),
      said("Critique", e.critique, "critique"), said("Heuristic", e.heuristic, "heuristic"),
      said("Could not be parsed", e.raw, "raw"), replays(e));
  };

  const browser = () => {
    const run = byId("run"), verdict = byId("verdict"), search = byId("search");
    let page = 0;
    const option = (select, value, label) => { const o = make("option", "", label); o.value = value; select.append(o); };
    if (run) { option(run, "", "all runs"); data.runs.forEach((name, i) => option(run, String(i), name)); }
    const counts = new Map();
    for (const e of data.experiences) if (!e.is_kept) counts.set(e.reason, (counts.get(e.reason) || 0) + 1);
    const kept = data.experiences.filter((e) => e.is_kept).length;
    option(verdict, "kept", `kept (${kept})`);
    option(verdict, "", `all (${data.experiences.length})`);
    for (const [reason, n] of [...counts].sort((a, b) => b[1] - a[1])) option(verdict, "=" + reason, `${reason.replaceAll("_", " ")} (${n})`);
    if (!kept) verdict.value = "";
    const text = new WeakMap();
    const haystack = (e) => {
      if (!text.has(e)) text.set(e, [e.problem, e.problem_id, e.right, e.wrong, e.critique, e.heuristic, e.raw].join("\n").toLowerCase());
      return text.get(e);
    };
    const show = () => {
      const needle = search.value.trim().toLowerCase(), chosen = verdict.value;
      const found = data.experiences.filter((e) =>
        (!run || run.value === "" || e.run === Number(run.value)) &&
        (chosen === "" || (chosen === "kept" ? e.is_kept : !e.is_kept && "=" + e.reason === chosen)) &&
        (!needle || haystack(e).includes(needle)));
      const pages = Math.max(1, Math.ceil(found.length / PAGE));
      page = Math.min(page, pages - 1);
      byId("list").replaceChildren(...found.slice(page * PAGE, (page + 1) * PAGE).map(article));
      byId("count").textContent = `${found.length} found`;
      byId("place").textContent = `${page + 1} / ${pages}`;
      byId("back").disabled = page === 0;
      byId("next").disabled = page >= pages - 1;
    };
    const turn = (by) => { page += by; show(); byId("experiences").scrollIntoView(); };
    for (const input of [run, verdict, search]) if (input) input.addEventListener("input", () => { page = 0; show(); });
    document.querySelector(".filters").addEventListener("submit", (event) => event.preventDefault());
    byId("back").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    show();
  };

  const readouts = () => {
    for (const svg of document.querySelectorAll("svg.chart")) {
      const chart = JSON.parse(svg.dataset.lines), out = svg.closest("figure").querySelector(".readout");
      const [low, high, left, right] = chart.x;
      const cursor = document.createElementNS(svg.namespaceURI, "line");
      cursor.setAttribute("class", "cursor");
      cursor.setAttribute("y1", chart.top);
      cursor.setAttribute("y2", chart.bottom);
      svg.addEventListener("pointermove", (event) => {
        const box = svg.getBoundingClientRect();
        const at = low + ((event.clientX - box.left) * svg.viewBox.baseVal.width / box.width - left) / (right - left) * (high - low);
        const near = chart.lines.map((l) => [l, l.points.reduce((a, b) => Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a)]);
        const x = left + (near[0][1][0] - low) / (high - low) * (right - left);
        cursor.setAttribute("x1", x);
        cursor.setAttribute("x2", x);
        svg.append(cursor);
        out.replaceChildren(`at ${near[0][1][0].toLocaleString("en")}: `, ...near.flatMap(([l, p]) => [make("span", "swatch c" + l.color), make("b", "", String(p[1]))]));
      });
      svg.addEventListener("pointerleave", () => { cursor.remove(); out.textContent = "\u00a0"; });
    }
  };

  readouts();
  if (byId("list")) browser();
})();
