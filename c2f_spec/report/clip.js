"use strict";
/* Shared by the pages that show clips: numbers, choices, the sound as a shape, a chain with its parts told apart. */
Object.assign(c2f, (() => {
  const { el } = c2f;
  const number = (value) => (value === null || value === undefined ? "n/a" : String(Math.round(value * 100) / 100).replace("-", "\u2212"));

  function choice(name, options, changed, chosen = 0) {
    const select = el("select", { on: { change: () => changed(select.selectedIndex) } }, ...options.map((o) => el("option", {}, o)));
    select.selectedIndex = chosen;
    return { select, label: el("label", {}, name, select) };
  }

  /* Peaks, 0 to 255, as one path. */
  function waveform(text) {
    const peaks = Array.from(atob(text), (c) => c.charCodeAt(0)), most = Math.max(...peaks, 1);
    const d = peaks.map((p, x) => { const h = Math.max(0.5, (p / most) * 19); return `M${x * 2 + 1} ${21 - h}V${21 + h}`; }).join("");
    return el("svg", { viewBox: `0 0 ${peaks.length * 2} 42`, class: "wave", role: "img", "aria-label": "Loudness over time", preserveAspectRatio: "none" }, el("path", { d }));
  }

  /* Picture and sound of a clip: its first picture, or why there is none, and its sound. */
  function thumbnail(id, jpeg, wave, problem) {
    const picture = jpeg
      ? el("img", { src: `data:image/jpeg;base64,${jpeg}`, alt: `First picture of ${id}` })
      : el("div", { class: "blank" }, problem);
    return el("div", {}, picture, wave ? waveform(wave) : null);
  }

  /* The text with its tags, what they hold, and the headings of a chain told apart. */
  function marked(text) {
    if (!text) return [el("span", { class: "tag" }, "(no answer)")];
    let inside = "";
    return text.split(/(<\/?[a-z_]+>)/).flatMap((piece) => {
      const tag = /^<(\/?)([a-z_]+)>$/.exec(piece);
      if (tag) { inside = tag[1] ? "" : tag[2]; return [el("span", { class: "tag" }, piece)]; }
      if (inside && inside !== "think") return [el("span", { class: `in-${inside}` }, piece)];
      return piece.split(/^(\d+\. [^:\uff1a\n]{1,60}[:\uff1a])/m).map((part, j) => (j % 2 ? el("span", { class: "section" }, part) : part));
    });
  }

  return { number, choice, thumbnail, marked };
})());
