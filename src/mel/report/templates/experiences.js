"use strict";
// The experience browser: over the experiences that a report page holds, or over a server's. What is looked for and
// what is opened stands behind the # of the address, so that an address is a link to it.
(() => {
  const root = document.getElementById("browser");
  if (!root) return;
  const data = JSON.parse(document.getElementById("data").textContent);
  const PAGE = data.experiences ? 10 : 20;
  const several = data.runs.length > 1;

  // Everything a model wrote reaches the page through textContent, never as markup.
  const make = (tag, className, ...children) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    for (const child of children) if (child !== null && child !== undefined) element.append(child);
    return element;
  };
  const link = (className, change, ...children) => {
    const a = make("a", className, ...children);
    a.href = "#" + address(change);
    return a;
  };
  const words = (text) => text.replaceAll("_", " ");
  const percent = (share) => `${Math.round(100 * share)} %`;
  const grouped = (number) => number.toLocaleString("en");

  // Where experiences come from: find(state, offset) and show(key).
  const local = () => {
    const all = [...data.experiences].sort((a, b) => b.step - a.step || a.run - b.run || b.id - a.id);
    const tokens = (text) => text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) || [];
    const texts = new Map();
    const text = (e) => {
      if (!texts.has(e)) texts.set(e, " " + tokens([e.problem, e.right, e.wrong, e.critique, e.heuristic, e.raw].join(" ")).join(" "));
      return texts.get(e);
    };
    const count = (of) => {
      const counts = new Map();
      for (const e of all) if (e[of] !== null && e[of] !== undefined) counts.set(e[of], (counts.get(e[of]) || 0) + 1);
      return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    };
    const matches = (e, s, sought) =>
      (s.run === "" || e.run === Number(s.run)) && (s.concept === "" || e.concept === s.concept) &&
      (s.step === "" || e.step === Number(s.step)) && (s.problem === "" || e.problem_id === s.problem) &&
      (s.verdict === "" || (s.verdict === "dropped" ? !e.is_kept : e.reason === s.verdict)) &&
      sought.every((word) => text(e).includes(" " + word));
    return {
      about: { verdicts: count("reason"), concepts: count("concept"), total: all.length },
      find: async (state, offset) => {
        const sought = tokens(state.q), found = all.filter((e) => matches(e, state, sought));
        return { total: found.length, items: found.slice(offset, offset + PAGE) };
      },
      show: async (key) => all.find((e) => keyOf(e) === key) || null,
    };
  };
  const remote = () => {
    const ask = async (path, values) => {
      const answer = await fetch(`${path}?${new URLSearchParams(values)}`);
      if (!answer.ok) throw new Error(await answer.text());
      return answer.json();
    };
    return {
      about: data,
      find: ({ q, verdict, concept, step, problem }, offset) =>
        ask("api/experiences", { q, verdict, concept, step, problem, offset, limit: PAGE }),
      show: (key) => ask("api/experience", { id: key }),
    };
  };
  const keyOf = (e) => (several ? `${e.run}.${e.id}` : String(e.id));
  const source = data.experiences ? local() : remote();

  // The state and the address.
  const EMPTY = { q: "", verdict: "", concept: "", step: "", problem: "", run: "", page: "1", id: "" };
  let state = { ...EMPTY };
  const address = (change) => {
    const values = Object.entries({ ...state, ...change }).filter(([name, value]) => value !== EMPTY[name]);
    return "experiences" + (values.length ? "?" + new URLSearchParams(values) : "");
  };
  const read = () => {
    const [place, query] = location.hash.slice(1).split("?");
    if (place !== "experiences") return false;
    state = { ...EMPTY };
    for (const [name, value] of new URLSearchParams(query || "")) if (name in EMPTY) state[name] = value;
    return true;
  };
  const change = (values) => {
    state = { ...state, page: "1", id: "", ...values };
    history.replaceState(null, "", "#" + address({}));
    render();
  };

  // The filters.
  const field = (element, name, label) => {
    element.setAttribute("aria-label", label);
    element.dataset.name = name;
    element.addEventListener("input", () => later(() => change({ [name]: element.value.trim() }), element.type === "search" ? 150 : 0));
    return element;
  };
  let timer = 0;
  const later = (act, milliseconds) => { clearTimeout(timer); timer = setTimeout(act, milliseconds); };
  const choice = (name, label, options) => {
    const select = field(make("select"), name, label);
    for (const [value, text] of options) { const o = make("option", "", text); o.value = value; select.append(o); }
    return select;
  };
  const { verdicts, concepts, total } = source.about;
  const kept = (verdicts.find(([reason]) => reason === "kept") || ["", 0])[1];
  const filters = make("form", "filters");
  filters.setAttribute("role", "search");
  filters.addEventListener("submit", (event) => event.preventDefault());
  if (several) filters.append(choice("run", "run", [["", "all runs"], ...data.runs.map((name, i) => [String(i), name])]));
  filters.append(choice("verdict", "kept or dropped", [
    ["", `all (${grouped(total)})`], ["kept", `kept (${grouped(kept)})`], ["dropped", `dropped (${grouped(total - kept)})`],
    ...verdicts.filter(([reason]) => reason !== "kept").map(([reason, n]) => [reason, `dropped: ${words(reason)} (${grouped(n)})`])]));
  if (concepts.length)
    filters.append(choice("concept", "concept", [["", "any concept"], ...concepts.map(([name, n]) => [name, `${name} (${grouped(n)})`])]));
  const step = field(make("input"), "step", "optimizer step");
  Object.assign(step, { type: "number", min: "0", placeholder: "step" });
  const search = field(make("input"), "q", "search problems, solutions and experiences");
  Object.assign(search, { type: "search", placeholder: "search problems, solutions, experiences" });
  filters.append(step, search);
  const bar = make("div", "bar"), view = make("div", "view");
  bar.setAttribute("role", "status");
  root.replaceChildren(filters, bar, view);

  // One line of the list.
  const replayed = (e) => (e.num_attempts ? `${e.num_right} of ${e.num_attempts}` : "-");
  const star = (e) => (e.bifurcation === null ? "-" : e.is_located === false ? `${e.bifurcation}, true ${e.first_error}` : String(e.bifurcation));
  const verdict = (e) => (e.is_kept ? "kept" : words(e.reason));
  const row = (e) => {
    const facts = make("span", "facts", make("span", "", `s* ${star(e)}`), make("span", "", `replays ${replayed(e)}`));
    if (e.concept) facts.append(make("span", "", e.concept));
    return make("li", "", link("row" + (e.is_kept ? " kept" : ""), { id: keyOf(e) },
      make("span", "verdict", verdict(e), make("small", "", `step ${e.step}`), several ? make("small", "", data.runs[e.run]) : null),
      make("span", "says", make("b", "", e.heuristic === null ? "could not be parsed" : e.heuristic), make("span", "", e.problem)), facts));
  };

  // One experience. Offsets count code points, JavaScript strings count UTF-16 units.
  const solution = (text, spans, title, className, claimed, firstError) => {
    const points = Array.from(text);
    const slice = (from, to) => points.slice(from, to).join("").trim();
    const list = make("ol", "steps");
    let end = 0;
    const rest = (from, to) => {
      const between = slice(from, to);
      if (between) list.append(make("li", "rest", make("span", "n"), make("span", "t", between)));
    };
    spans.forEach(([from, to], index) => {
      const number = index + 1;
      if (to <= from) return; // a step that is left out of a long text
      rest(end, from);
      const body = make("span", "t", slice(from, to));
      // Steps that carry their own number (`2) sorts same 2 = 57`) need none of ours.
      const numbered = new RegExp(`^\\W*(step )?${number}[).:]`, "i").test(body.textContent);
      const item = make("li", "", make("span", "n", numbered ? "" : String(number)), body);
      if (number === claimed) item.classList.add("star");
      if (number === firstError) item.classList.add("error");
      const tags = [];
      if (number === claimed) tags.push("s*: said to part here");
      if (number === firstError) tags.push("true first error");
      if (tags.length) body.append(make("span", "tag", tags.join(", ")));
      list.append(item);
      end = to;
    });
    rest(end, points.length);
    return make("div", "solution " + className, make("h4", "", title), list);
  };
  const said = (title, text, className) =>
    text === null ? null : make("div", "said " + className, make("h4", "", title), make("p", "", text));
  const truth = { true: ["good", "true"], false: ["bad", "false"] };
  // Nats per token of what was written, under the policy from before it was learned and under a later one.
  const nll = (e) => {
    if (e.nll_then === null && e.nll_now === null) return "-";
    const one = (value) => (value === null ? "-" : value.toFixed(2));
    const of = [e.nll_then_of, e.nll_now_of].filter((name) => name !== null).join(", ");
    return make("span", "", `${one(e.nll_then)} → ${one(e.nll_now)} `, make("small", "soft", of));
  };
  const known = (e) => {
    const uplift = e.num_attempts ? 100 * (e.num_right / e.num_attempts - e.pass_rate) : null;
    const facts = [
      ["Made in step", e.step], ["Learned in step", e.is_kept ? e.step : "-"],
      ["Bifurcation claimed", e.bifurcation === null ? "-" : `step ${e.bifurcation}`],
      ["True first error", e.first_error === null ? "-" : make("span", e.is_located === false ? "bad" : e.is_located ? "good" : "", `step ${e.first_error}`)],
      ["Concept", e.concept || "-"],
      ["Heuristic is", e.rule_truth === null ? "-" : make("span", truth[e.rule_truth][0], truth[e.rule_truth][1])],
      ["Rollouts right", percent(e.pass_rate)], ["Replays right", e.num_attempts ? `${replayed(e)}, ${e.prefix_tokens > 0 ? "from just before s*" : "from the start"}` : "-"],
      ["Uplift", uplift === null ? "-" : `${uplift >= 0 ? "+" : "−"}${Math.abs(Math.round(uplift))} points`],
      ["States the answer", e.states_answer ? make("span", "bad", "yes") : "no"],
      ["NLL then, now", nll(e)], ["Problem", link("", { ...EMPTY, problem: e.problem_id }, e.problem_id)],
      ...data.listed.filter((name) => e[name] !== null).map((name) => [words(name), e[name]]),
    ];
    const list = make("dl", "known");
    for (const [name, value] of facts) list.append(make("div", "", make("dt", "", name), make("dd", "", value instanceof Node ? value : String(value))));
    return list;
  };
  const replays = (e) => {
    if (!e.attempts.length) return null;
    const box = make("div", "replays", make("h4", "", `Replays with the experience${e.attempts.length < e.num_attempts ? `, the first ${e.attempts.length} of ${e.num_attempts}` : ""}`));
    for (const a of e.attempts)
      box.append(make("p", "", make("span", a.is_correct ? "good" : "bad", a.is_correct ? "right" : words(a.reason)), "  ", make("span", "text", a.response)));
    return box;
  };
  const article = (e) => {
    const head = make("h3", "", e.is_kept ? "kept" : `dropped: ${words(e.reason)}`, make("small", "", `number ${e.id}${several ? ` of ${data.runs[e.run]}` : ""}`));
    head.tabIndex = -1;
    return make("article", e.is_kept ? "kept" : "", head, known(e),
      make("p", "problem", make("span", "text", e.problem), make("span", "soft", "  answer ", make("span", "text", e.answer))),
      make("div", "pair",
        solution(e.wrong, e.wrong_steps, "Wrong", "wrong", e.bifurcation, e.first_error),
        solution(e.right, e.right_steps, "Right", "right", null, null)),
      said("Critique", e.critique, "critique"), said("Heuristic", e.heuristic, "heuristic"),
      said("Could not be parsed", e.raw, "raw"), replays(e));
  };

  // What is shown for the state.
  const button = (text, label, target) => {
    const b = make("button", "", text);
    b.type = "button";
    b.setAttribute("aria-label", label);
    b.disabled = target === null;
    if (target !== null) b.addEventListener("click", () => { location.hash = address(target); });
    return b;
  };
  const pager = (page, pages) => make("span", "right",
    button("←", "previous page", page > 1 ? { page: String(page - 1) } : null), `${grouped(page)} / ${grouped(pages)}`,
    button("→", "next page", page < pages ? { page: String(page + 1) } : null));
  const chosen = () => state.problem === "" ? null
    : make("span", "chosen", `problem ${state.problem}`, link("", { problem: "", page: "1" }, "all problems"));
  const showList = ({ total: count, items }, page) => {
    bar.replaceChildren(make("span", "count", `${grouped(count)} found`));
    if (data.held > total)
      bar.append(make("span", "", `This page holds ${grouped(total)} of ${grouped(data.held)} experiences, evenly spread over the steps; `, make("code", "", "mel browse RUN"), " has all."));
    if (chosen()) bar.append(chosen());
    bar.append(pager(page, Math.max(1, Math.ceil(count / PAGE))));
    view.replaceChildren(items.length ? make("ol", "rows", ...items.map(row)) : make("p", "empty", "No experience is like that."));
  };
  const showOne = (e, items) => {
    const keys = items.map(keyOf), at = keys.indexOf(state.id);
    const to = (place) => (at < 0 || !(place in keys) ? null : { id: keys[place] });
    bar.replaceChildren(link("back", { id: "" }, "← all that match"),
      make("span", "right", button("←", "the experience before", to(at - 1)), button("→", "the next experience", to(at + 1))));
    view.replaceChildren(e === null ? make("p", "empty", "This page holds no experience of that number.") : article(e));
  };
  let turn = 0;
  const render = async (moves = false) => {
    const mine = ++turn, page = Math.max(1, Number.parseInt(state.page, 10) || 1);
    for (const element of filters.elements)
      if (element.dataset.name && element !== document.activeElement) element.value = state[element.dataset.name];
    try {
      const found = await source.find(state, (page - 1) * PAGE);
      const one = state.id === "" ? null : await source.show(state.id);
      if (mine !== turn) return;
      if (state.id === "") showList(found, page); else showOne(one, found.items);
    } catch (error) {
      if (mine !== turn) return;
      bar.replaceChildren();
      view.replaceChildren(make("p", "empty", error instanceof TypeError ? "The server does not answer: start `mel browse` again." : error.message));
    }
    if (!moves) return;
    root.scrollIntoView();
    const head = view.querySelector("h3");
    if (head) head.focus({ preventScroll: true });
  };
  addEventListener("hashchange", () => { if (read()) render(true); });
  render(read() && location.hash.includes("?"));
})();
