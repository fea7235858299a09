"use strict";
/* One slider for all smoothed lines of the page. Lines are smoothed where they lie: a mean does not mind the scale.
   On paper, what is folded is open. */
(() => {
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  const lines = document.querySelectorAll("polyline.smooth");
  const place = document.querySelector(".charts.smoothed");
  if (!lines.length || !place) return;
  const { el } = c2f;
  const known = Array.from(lines, (line) => [line, line.dataset.raw.split(" ").map((pair) => pair.split(",").map(Number))]);
  const output = el("output", {}, "0.60");
  const slider = el("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: 0.6, on: { input: draw } });
  place.before(el("div", { class: "tools" }, el("label", {}, "smoothing", slider, output)));

  function draw() {
    const weight = Number(slider.value);
    output.textContent = weight.toFixed(2);
    for (const [line, places] of known) {
      let mean = 0, share = 0;
      line.setAttribute("points", places.map(([x, y]) => {
        mean = weight * mean + (1 - weight) * y;
        share = weight * share + 1 - weight;
        return `${x},${(mean / share).toFixed(1)}`;
      }).join(" "));
    }
  }
})();
