"use strict";
/* The gallery: filters and a table over the clips of one data set, and below it the clip that was chosen. */
(async () => {
  const { block, el, table, number, choice, thumbnail, marked } = c2f;
  const place = document.getElementById("gallery"), { sets, filters } = await block("sets");
  if (!sets.length) return;
  const SIGNS = { passed: "\u2713", failed: "\u2717", flagged: "\u2691", "not run": "\u2013" };
  const STATES = { all: "all", kept: "kept", flagged: "flagged", dropped: "dropped", failed: "no answer", waiting: "not filtered", none: "no chain" };
  let k = 0, index = null, rows = null, state = "all";

  const data = choice("data set", sets.map((one) => `${one.title} (${one.n.toLocaleString("en")})`), (i) => open(i));
  const split = choice("split", ["all", "train", "valid", "test"], () => refresh());
  const polarity = choice("label", ["all", "negative", "neutral", "positive"], () => refresh());
  const by = choice("dropped by", ["any"], () => refresh());
  const media = choice("media", ["all", "without sound", "without picture"], () => refresh());
  const words = el("input", { type: "search", placeholder: "id, words or reason", "aria-label": "search", on: { input: () => refresh() } });
  const chips = el("div", { class: "chips", role: "group", "aria-label": "which chains" }), count = el("span", { class: "count", role: "status" });
  const note = el("p", { class: "note" }), host = el("div"), detail = el("div", { class: "case" });
  place.append(
    el("div", { class: "tools" }, data.label, split.label, polarity.label, media.label, by.label),
    el("div", { class: "tools" }, chips, words, count), note, host, detail,
  );

  /* Another data set. */
  async function open(next) {
    k = next;
    index = await block(`index-${k}`);
    index.plain = index.plain || index.id.map((id, i) => `${id}\n${index.text[i]}\n${index.reason[i]}`.toLowerCase());
    const named = index.filters.filter((name) => name);
    by.select.replaceChildren(...["any", ...named].map((name) => el("option", {}, name)));
    by.label.hidden = !index.state.includes("dropped");
    note.textContent = sets[k].note;
    note.hidden = !sets[k].note;
    state = "all";
    build();
    refresh();
  }

  function outcome(i) {
    if (index.state[i] === "dropped") return `dropped by ${index.filters[index.filter[i]]}`;
    return index.state[i] === "kept" && index.flags[i] ? "kept, flagged" : STATES[index.state[i]];
  }
  function build() {
    const columns = [
      { title: "clip", width: "minmax(6em, .8fr)", value: (i) => index.id[i] },
      { title: "words", width: "minmax(10em, 3fr)", value: (i) => index.text[i] },
      { title: "split", width: "3.4em", value: (i) => index.split[i] },
      { title: "label", width: "3.6em", number: true, value: (i) => index.label[i], show: (i) => number(index.label[i]) },
      { title: "seconds", width: "4.4em", number: true, value: (i) => index.seconds[i], show: (i) => number(index.seconds[i]) },
      { title: "outcome", width: "minmax(9em, 1.2fr)", value: outcome, show: (i) => el("span", { class: { kept: "good", dropped: "poor", failed: "poor" }[index.state[i]], title: index.reason[i] || null }, outcome(i)) },
    ];
    host.replaceChildren();
    rows = table(host, { columns, label: `Clips of ${sets[k].title}`, pick: show });
  }

  const IS = {
    all: () => true,
    flagged: (i) => index.state[i] === "kept" && index.flags[i] > 0,
  };
  function of(name, i) { return IS[name] ? IS[name](i) : index.state[i] === name; }

  /* The rows that the filters leave. */
  function refresh() {
    const chosen = (one) => (one.select.selectedIndex > 0 ? one.select.options[one.select.selectedIndex].textContent : "");
    const wanted = words.value.trim().toLowerCase(), where = chosen(split), label = chosen(polarity), lack = ["", "audio", "video"][media.select.selectedIndex];
    const dropper = by.label.hidden ? "" : chosen(by), n = sets[k].n;
    const counts = Object.fromEntries(Object.keys(STATES).map((name) => [name, 0])), order = [];
    for (let i = 0; i < n; i++) {
      if (where && index.split[i] !== where) continue;
      if (label && index.polarity[i] !== label) continue;
      if (lack && !index.lacks[i].includes(lack)) continue;
      if (dropper && index.filters[index.filter[i]] !== dropper) continue;
      if (wanted && !index.plain[i].includes(wanted)) continue;
      for (const name in STATES) if (of(name, i)) { counts[name]++; if (name === state) order.push(i); }
    }
    const there = Object.keys(STATES).filter((name) => name === "all" || name === state || counts[name] || index.state.includes(name));
    chips.replaceChildren(...there.map((name) => el(
      "button", { type: "button", "aria-pressed": String(name === state), disabled: !counts[name] && name !== state, "data-kind": name, on: { click: () => { state = name; refresh(); } } },
      `${STATES[name]} ${counts[name].toLocaleString("en")}`,
    )));
    count.textContent = `${order.length.toLocaleString("en")} of ${n.toLocaleString("en")} clips`;
    rows.show(order);
    const first = rows.shown()[0];
    if (first === undefined) detail.replaceChildren(el("p", { class: "about" }, "No such clip."));
    else rows.choose(first);
  }

  /* Clip i, once it is unpacked; a later choice wins. */
  let latest = 0;
  async function show(i) {
    const mine = ++latest, here = index, set = sets[k];
    const [jpeg, wave, problem, chain, outcomes] = (await block(`clips-${k}-${Math.floor(i / set.chunk)}`))[i % set.chunk];
    if (mine !== latest) return;
    const silent = here.lacks[i].includes("audio") ? "no sound" : "";
    const facts = [here.id[i], here.split[i], `rated ${number(here.label[i])} (${here.polarity[i]})`, `${number(here.seconds[i])} s`, silent].filter((word) => word);
    const filtered = outcomes.length
      ? el("ul", { class: "outcomes" }, ...outcomes.map(([name, word, reason]) => el("li", { class: { failed: "poor", flagged: "poor", passed: "good" }[word] }, `${SIGNS[word]} ${name}: ${word}${reason ? `, ${reason}` : ""}`)))
      : el("p", { class: "about" }, here.reason[i] || STATES[here.state[i]]);
    detail.replaceChildren(
      el("div", { class: "case-head" }, thumbnail(here.id[i], jpeg, wave, problem), el(
        "div", {}, el("p", { class: "quote" }, `\u201c${here.text[i]}\u201d`), el("p", { class: "facts" }, facts.join(", ")), filtered,
      )),
      chain ? el("div", { class: "sides" }, el("div", { class: "side" }, el("h4", {}, el("span", {}, "teacher"), el("span", {}, outcome(i))), el("pre", {}, ...marked(chain)))) : "",
    );
  }

  await open(0);
})();
