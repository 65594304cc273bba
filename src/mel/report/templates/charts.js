"use strict";
// What can be read off a chart, with the pointer or with the arrow keys; and arms that are hidden by their legend.
(() => {
  const charts = document.querySelectorAll("svg.chart");
  for (const svg of charts) {
    const out = svg.closest("figure").querySelector(".readout");
    const cursor = document.createElementNS(svg.namespaceURI, "line");
    cursor.setAttribute("class", "cursor");
    let place = null, read = null;
    // Only a chart that somebody looks at is read: a page holds hundreds.
    const points = () => (read ??= JSON.parse(svg.dataset.lines));
    const swatch = (color) => { const s = document.createElement("span"); s.className = `swatch c${color % 8}${color < 8 ? "" : " again"}`; return s; };
    const bold = (text) => { const b = document.createElement("b"); b.textContent = text; return b; };
    const show = (at) => {
      const chart = points(), [low, high, left, right] = chart.x;
      cursor.setAttribute("y1", chart.top);
      cursor.setAttribute("y2", chart.bottom);
      place = Math.min(high, Math.max(low, at));
      const near = chart.lines.filter((l) => !hidden.has(l.label)).map((l) => [l, l.points.reduce((a, b) => Math.abs(b[0] - place) < Math.abs(a[0] - place) ? b : a)]);
      if (!near.length) return;
      const x = left + (near[0][1][0] - low) / (high - low) * (right - left);
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      svg.append(cursor);
      out.replaceChildren(`at ${near[0][1][0].toLocaleString("en")}: `, ...near.flatMap(([l, p]) => [swatch(l.color), bold(String(p[1]))]));
    };
    const clear = () => { cursor.remove(); out.textContent = "\u00a0"; };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect(), [low, high, left, right] = points().x;
      show(low + ((event.clientX - box.left) * svg.viewBox.baseVal.width / box.width - left) / (right - left) * (high - low));
    });
    svg.addEventListener("pointerleave", clear);
    svg.addEventListener("blur", clear);
    svg.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by === undefined) return;
      event.preventDefault();
      const [low, high] = points().x;
      show((place === null ? low : place) + by * (high - low) / 40);
    });
  }

  // On paper nothing can be opened: what is short is, while it is printed.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.printed:not([open])")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of opened) details.open = false; });

  const hidden = new Set();
  const buttons = [...document.querySelectorAll(".legend button")];
  for (const button of buttons)
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!on));
      if (on) hidden.add(button.textContent); else hidden.delete(button.textContent);
      for (const part of document.querySelectorAll(`svg.chart [data-arm="${button.dataset.arm}"]`)) part.classList.toggle("off", on);
    });
})();
