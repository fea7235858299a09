"use strict";
/* Shared by the pages: data blocks, elements that hold only text, and a table that draws no more rows than are seen. */
const c2f = (() => {
  /* The value of a data block (shell.py): base64 of deflated JSON. Read once. */
  const read = new Map();
  function block(name) {
    if (!read.has(name)) read.set(name, unpack(document.getElementById(name).textContent));
    return read.get(name);
  }
  async function unpack(text) {
    const raw = atob(text), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  }

  /* An element. Strings become text, never markup; `on` holds listeners; `null` leaves an attribute or a child out. */
  function el(name, attributes = {}, ...children) {
    const svg = ["svg", "path", "rect", "line", "title", "polyline"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "on") for (const [event, run] of Object.entries(value)) made.addEventListener(event, run);
      else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  /* A table of many rows in `host`. Columns: {title, width, value(i), show(i), number, about}. `pick(i)` is called with the
     row that somebody chooses; narrower than `wide`, it scrolls sideways. Returns {show(order), sort(column, down), shown(), choose(i)}; `order` holds row numbers. */
  function table(host, { columns, label, pick, wide }) {
    const HEIGHT = 34, MORE = 6;
    let order = new Uint32Array(0), sorted = { column: -1, down: false }, chosen = -1, waiting = false;
    const heads = columns.map((column, c) => {
      const button = el("button", { type: "button", title: column.about, on: { click: () => sort(c, sorted.column === c && !sorted.down) } }, column.title);
      return el("div", { role: "columnheader", class: column.number ? "n" : null }, button);
    });
    const head = el("div", { role: "row", class: "rows-head" }, ...heads);
    const space = el("div", { class: "rows-space", role: "rowgroup" });
    const view = el("div", { class: "rows-view", tabindex: "0", role: "rowgroup", on: { scroll: later, keydown: keys } }, space);
    const grid = el("div", { class: "rows", role: "grid", "aria-label": label }, head, view);
    const widths = columns.map((column) => column.width || "minmax(6em, 1fr)").join(" ");
    head.style.gridTemplateColumns = widths;
    head.style.minWidth = view.style.minWidth = wide || "30em";
    host.append(grid);
    new ResizeObserver(later).observe(view);

    function later() {
      if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); }
    }
    function draw() {
      const first = Math.max(0, Math.floor(view.scrollTop / HEIGHT) - MORE);
      const last = Math.min(order.length, Math.ceil((view.scrollTop + view.clientHeight) / HEIGHT) + MORE);
      const rows = [];
      for (let place = first; place < last; place++) rows.push(row(place));
      space.replaceChildren(...rows);
    }
    function row(place) {
      const i = order[place];
      const cells = columns.map((column) => el("div", { role: "gridcell", class: column.number ? "n" : null }, column.show ? column.show(i) : String(column.value(i))));
      const made = el("div", { role: "row", class: "row", "aria-rowindex": place + 2, "aria-selected": i === chosen ? "true" : "false", on: { click: () => choose(i) } }, ...cells);
      made.style.gridTemplateColumns = widths;
      made.style.top = `${place * HEIGHT}px`;
      return made;
    }
    function keys(event) {
      const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
      if (!step || !order.length) return;
      event.preventDefault();
      const place = Math.min(order.length - 1, Math.max(0, order.indexOf(chosen) + step));
      if (place * HEIGHT < view.scrollTop) view.scrollTop = place * HEIGHT;
      if ((place + 1) * HEIGHT > view.scrollTop + view.clientHeight) view.scrollTop = (place + 1) * HEIGHT - view.clientHeight;
      choose(order[place]);
    }
    function choose(i) {
      chosen = i;
      draw();
      if (pick) pick(i);
    }
    function arrange() {
      if (sorted.column < 0) return;
      const value = columns[sorted.column].value, sign = sorted.down ? -1 : 1, keys = new Map();
      for (const i of order) keys.set(i, value(i));
      order.sort((a, b) => {
        const x = keys.get(a), y = keys.get(b);
        if (x === y) return a - b;
        if (x === null) return 1;
        if (y === null) return -1;
        return x < y ? -sign : sign;
      });
    }
    function sort(column, down) {
      sorted = { column, down };
      heads.forEach((one, c) => one.setAttribute("aria-sort", c !== column ? "none" : down ? "descending" : "ascending"));
      arrange();
      view.scrollTop = 0;
      draw();
    }
    function show(next) {
      order = Uint32Array.from(next);
      arrange();
      space.style.height = `${order.length * HEIGHT}px`;
      grid.setAttribute("aria-rowcount", order.length + 1);
      view.scrollTop = 0;
      draw();
    }
    return { show, sort, choose, shown: () => order };
  }
  return { block, el, table };
})();
