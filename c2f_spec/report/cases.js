"use strict";
/* The cases: filters and a table over one data set, and below it the answers to the clip that was chosen. */
(async () => {
  const place = document.getElementById("cases-view");
  if (!place) return;
  const { block, el, table, number, choice, thumbnail, marked } = c2f;
  const sets = await block("cases-list");
  const SIGNS = { 1: "\u2713", 0: "\u2717", "-": "\u2013" }, WORDS = { 1: "right", 0: "wrong", "-": "no answer" };
  let k = -1, index = null, rows = null, filter = "all";

  const setChoice = choice("data set", sets.map((one) => `${one.title} (${one.n.toLocaleString("en")})`), (i) => open(i));
  const sides = el("span", { class: "tools" }), chips = el("div", { class: "chips", role: "group", "aria-label": "which clips" });
  const words = el("input", { type: "search", placeholder: "id or words", "aria-label": "search", on: { input: () => refresh() } });
  const polarity = choice("label", ["all", "negative", "neutral", "positive"], () => refresh());
  const count = el("span", { class: "count", role: "status" });
  const host = el("div"), detail = el("div", { class: "case" });
  place.append(
    el("div", { class: "tools" }, setChoice.label, sides),
    el("div", { class: "tools" }, chips, polarity.label, words, count), host, detail,
  );
  const left = el("p", { class: "about" });
  place.append(left);

  /* Another data set. */
  async function open(next) {
    k = next;
    index = await block(`cases-${k}`);
    index.plain = index.plain || index.id.map((id, i) => `${id}\n${index.text[i]}`.toLowerCase());
    const set = sets[k], names = ["first", "before", "after"].slice(3 - set.trio.length);
    sides.replaceChildren(...set.trio.map((column, i) => choice(names[i], set.columns, (c) => { set.trio[i] = c; build(); refresh(); }, column).label));
    left.textContent = set.left.length ? `Left out, because the page would be too large: ${set.left.join(", ")}.` : "";
    filter = "all";
    build();
    refresh();
  }

  /* What became of clip i, by its answers before and after RL. */
  const KINDS = {
    all: ["all", () => true],
    fixed: ["fixed by RL", (i, before, after) => before && before[i] !== "1" && after[i] === "1"],
    broken: ["broken by RL", (i, before, after) => before && before[i] === "1" && after[i] !== "1"],
    hard: ["was hard", (i) => index.hard[i] === "1"],
    wrong: ["still wrong", (i, before, after) => after && after[i] !== "1"],
    lost: ["no answer", (i, before, after) => after && after[i] === "-"],
  };
  const NAMES = Object.keys(KINDS), FIXED = 1 << NAMES.indexOf("fixed"), BROKEN = 1 << NAMES.indexOf("broken");
  let became = new Uint8Array(0); // of each clip a bit for each kind, so that a filter computes nothing twice
  function classify() {
    const { trio, n } = sets[k], after = index.right[trio.at(-1)] || null;
    const before = trio.length > 1 ? index.right[trio.at(-2)] : null, tests = NAMES.map((name) => KINDS[name][1]);
    became = new Uint8Array(n);
    for (let i = 0; i < n; i++) tests.forEach((test, bit) => { if (test(i, before, after)) became[i] |= 1 << bit; });
  }

  function build() {
    const set = sets[k];
    classify();
    const error = (i) => { const s = index.score[set.trio.at(-1)]; return !s || s[i] === null || index.label[i] === null ? null : Math.abs(s[i] - index.label[i]); };
    const columns = [
      { title: "clip", width: "minmax(6em, .7fr)", value: (i) => index.id[i] },
      { title: "words", width: "minmax(9em, 3fr)", value: (i) => index.text[i] },
      { title: "label", width: "3.4em", number: true, value: (i) => index.label[i], show: (i) => number(index.label[i]) },
      ...set.trio.map((c) => ({
        title: set.columns[c], width: "5.4em", number: true, about: "Score, and whether the polarity is right",
        value: (i) => index.score[c][i],
        show: (i) => el("span", { class: index.right[c][i] === "1" ? "good" : "poor", title: WORDS[index.right[c][i]] }, index.right[c][i] === "-" ? SIGNS["-"] : `${number(index.score[c][i])} ${SIGNS[index.right[c][i]]}`),
      })),
      { title: "change", width: "6.6em", about: "Broken, fixed, then the rest", value: change, show: (i) => ["", "broken by RL", "fixed by RL"][change(i)] },
      { title: "hard", width: "3.4em", value: (i) => -index.hard[i], show: (i) => (index.hard[i] === "1" ? "hard" : "") },
      { title: "error", width: "3.4em", number: true, about: "Of the last model's score", value: error, show: (i) => number(error(i)) },
    ];
    if (set.training) columns.splice(columns.findIndex((c) => c.title === "change"), 1);
    host.replaceChildren();
    rows = table(host, { columns, label: set.title, pick: show, wide: "56em" });
  }
  function change(i) {
    return became[i] & BROKEN ? 1 : became[i] & FIXED ? 2 : 0;
  }

  /* The rows that the filters leave. */
  function refresh() {
    const wanted = words.value.trim().toLowerCase(), n = sets[k].n, only = 1 << NAMES.indexOf(filter);
    const label = ["", "negative", "neutral", "positive"][polarity.select.selectedIndex];
    const order = [], bits = new Uint32Array(1 << NAMES.length);
    for (let i = 0; i < n; i++) {
      if (label && index.polarity[i] !== label) continue;
      if (wanted && !index.plain[i].includes(wanted)) continue;
      bits[became[i]]++;
      if (became[i] & only) order.push(i);
    }
    const counts = Object.fromEntries(NAMES.map((name, bit) => [name, bits.reduce((sum, many, mask) => sum + (mask & (1 << bit) ? many : 0), 0)]));
    const shown = NAMES.filter((name) => !(sets[k].training && ["fixed", "broken", "wrong"].includes(name)));
    const focused = chips.contains(document.activeElement);
    chips.replaceChildren(...shown.map((name) => el(
      "button", { type: "button", "aria-pressed": String(name === filter), disabled: !counts[name] && name !== filter, "data-kind": name, on: { click: () => { filter = name; refresh(); } } },
      `${KINDS[name][0]} ${counts[name].toLocaleString("en")}`,
    )));
    if (focused) chips.querySelector('[aria-pressed="true"]').focus();
    count.textContent = `${order.length.toLocaleString("en")} of ${n.toLocaleString("en")} clips`;
    rows.show(order);
    const first = rows.shown()[0];
    if (first === undefined) detail.replaceChildren(el("p", { class: "about" }, "No such clip."));
    else rows.choose(first);
  }

  /* The answers to clip i, once they are unpacked; a later choice wins. */
  let latest = 0;
  async function show(i) {
    const mine = ++latest, set = sets[k], here = index;
    const [part, thumbnails] = await Promise.all([block(`cases-${k}-${Math.floor(i / set.chunk)}`), block(`cases-${k}-thumbnails`)]);
    if (mine !== latest) return;
    const [jpeg, wave, problem] = thumbnails[i] || ["", "", "no picture: the page keeps those of the first clips of each kind"];
    const hard = here.hard[i] === "1" ? ", was hard" : "";
    detail.replaceChildren(
      el("div", { class: "case-head" }, thumbnail(here.id[i], jpeg, wave, problem), el(
        "div", {}, el("p", { class: "quote" }, `\u201c${here.text[i]}\u201d`),
        el("p", { class: "facts" }, `${here.id[i]}, rated ${number(here.label[i])} (${here.polarity[i]})${hard}`),
      )),
      el("div", { class: "sides" }, ...set.trio.map((c) => el(
        "div", { class: "side" },
        el("h4", {}, el("span", {}, set.columns[c]), el("span", { class: here.right[c][i] === "1" ? "good" : "poor" }, `${here.score[c][i] === null ? "" : number(here.score[c][i])} ${WORDS[here.right[c][i]]}`)),
        el("pre", {}, ...marked(part[c][i % set.chunk])),
      ))),
    );
  }

  await open(0);
})();
