// The list of records: newest first, loads older ones at its end, opens one at a time into its fields.

import { button, h } from "./dom.js";
import { Long } from "./api.js";
import { valueAt } from "./kinds.js";

const ROWS_MAX = 5000;  // older rows are dropped from a list that grows at its top
const COLOUR_CODES = /\u001b\[[0-9;:]*[A-Za-z]/g;

export const timeOf = (hit) => Date.parse(hit._source?.["@timestamp"] ?? "");
export const idOf = (hit) => `${hit._index ?? ""}/${hit._id}`;

// Words and phrases of a query that name no field: what to mark in the text.
export function termsOf(query) {
  const terms = [];
  for (const match of query.matchAll(/(-|NOT\s+)?(?:([\w.@-]+):)?(?:"((?:[^"\\]|\\.)+)"|([^\s()"]+))/g)) {
    const [, not, field, phrase, word] = match;
    if (not || (field && field !== "body") || /^(AND|OR|NOT|&&|\|\||!|TO)$/.test(word ?? "")) continue;
    const text = (phrase ?? word).replace(/\\(.)/g, "$1").replace(/[*?~^].*$/, "");
    if (text.length > 1) terms.push(text);
  }
  return terms;
}

function marked(text, pattern) {
  if (!pattern) return [text];
  return text.split(pattern).map((part, i) => (i % 2 === 1 ? h("mark", {}, part) : part));
}

function patternOf(terms) {
  if (terms.length === 0) return null;
  return new RegExp(`(${terms.map((term) => term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "gi");
}

// [path, value] of every leaf, in the document's order.
function leaves(value, path = "", out = []) {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Long)) {
    for (const [key, child] of Object.entries(value)) leaves(child, path ? `${path}.${key}` : key, out);
  } else {
    out.push([path, value]);
  }
  return out;
}

const isScalar = (value) => ["string", "number", "boolean"].includes(typeof value) || value instanceof Long;
const scalar = (value) => (value instanceof Long ? value.digits : value);
const textOf = (value) => (isScalar(value) ? String(value) : JSON.stringify(value, null, 2));

export class Rows {
  // actions: {filter(field, value, not), trace(id), more(), atTop()}
  constructor(list, columns, actions) {
    this.list = list;
    this.columns = columns;
    this.actions = actions;
    this.seen = new Map();  // id -> row
    this.open = null;       // the row whose fields are shown
    this.end = h("div", { class: "end" });
    this.observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) actions.more();
    }, { root: list, rootMargin: "600px" });
    list.addEventListener("scroll", () => this.#maybeTop(), { passive: true });
  }

  // The person reads something that new rows would push away.
  reading() {
    return this.list.scrollTop > 4 || this.open !== null;
  }

  toTop() {
    this.close();
    this.list.scrollTop = 0;
    this.#maybeTop();
  }

  reset(kind, clock, query) {
    this.kind = kind;
    this.clock = clock;
    this.pattern = patternOf(termsOf(query));
    this.seen.clear();
    this.open = null;
    this.current = null;
    this.columns.replaceChildren(h("span", { class: "time" }, "Time"),
      ...kind.columns.map(([key, name]) => h("span", { class: key }, name)));
    this.list.dataset.kind = this.columns.dataset.kind = kind.index;
    this.end.replaceChildren();
    this.list.replaceChildren(this.end);
    this.list.scrollTop = 0;
    this.observer.disconnect();
  }

  // Watches the end of the list again: an end that stays in sight asks only once otherwise.
  watchEnd() {
    this.observer.disconnect();
    this.observer.observe(this.end);
  }

  setEnd(...content) {
    this.end.replaceChildren(...content);
  }

  count() {
    return this.seen.size;
  }

  newest() {
    const row = this.list.querySelector(".row");
    return row ? row.time : null;
  }

  oldest() {
    return [...this.list.querySelectorAll(".row")].at(-1)?.time ?? null;
  }

  append(hits) {
    const added = this.#fresh(hits).map((hit) => this.#make(hit));
    this.end.before(...added);
    this.#days();
    return added.length;
  }

  // Puts newer records in time order at the top; returns how many were new.
  prepend(hits) {
    const added = this.#fresh(hits).map((hit) => this.#make(hit));
    if (added.length === 0) return 0;
    for (const row of added) {
      row.classList.add("fresh");
      let next = this.list.querySelector(".row");
      while (next && next.time > row.time) next = this.#following(next);
      (next ?? this.end).before(row);
    }
    while (this.seen.size > ROWS_MAX) {
      const last = [...this.list.querySelectorAll(".row")].at(-1);
      this.seen.delete(last.id_);
      last.remove();
    }
    this.#days();
    return added.length;
  }

  has(hit) {
    return this.seen.has(idOf(hit));
  }

  move(step) {
    const rows = [...this.list.querySelectorAll(".row")];
    if (rows.length === 0) return;
    const at = this.current ? rows.indexOf(this.current) + step : 0;
    this.#select(rows[Math.min(rows.length - 1, Math.max(0, at))]);
  }

  toggleCurrent() {
    if (this.current) this.#toggle(this.current);
  }

  // True when something was open.
  close() {
    if (!this.open) return false;
    this.#toggle(this.open);
    return true;
  }

  #maybeTop() {
    if (!this.reading()) this.actions.atTop();
  }

  #following(row) {
    let next = row.nextElementSibling;
    while (next && !next.classList.contains("row")) next = next.nextElementSibling;
    return next;
  }

  #fresh(hits) {
    return hits.filter((hit) => !this.has(hit));
  }

  #make(hit) {
    const source = hit._source ?? {};
    const cells = this.kind.row(source);
    const time = timeOf(hit);
    const row = h("div", { class: `row ${cells.level}` });
    row.time = time;
    row.hit = hit;
    row.id_ = idOf(hit);
    row.append(h("span", { class: "time", title: textOf(source["@timestamp"] ?? "") },
      Number.isNaN(time) ? "?" : this.clock.time(time, "ms")));
    for (const [key] of this.kind.columns) {
      if (key === "level") {
        row.append(h("span", { class: "level" }, cells.levelText || (cells.level === "none" ? "" : cells.level)));
      } else if (key === "text") {
        row.append(h("span", { class: "text" }, marked(cells.text.replace(COLOUR_CODES, ""), this.pattern)));
      } else {
        row.append(h("span", { class: key, title: cells[key] }, cells[key]));
      }
    }
    row.addEventListener("click", () => {
      if (String(getSelection()) !== "") return;  // the person is copying text
      this.#select(row);
      this.#toggle(row);
    });
    this.seen.set(row.id_, row);
    return row;
  }

  // A line between two days.
  #days() {
    for (const day of this.list.querySelectorAll(".day")) day.remove();
    let before = this.clock.date(Date.now());
    for (const row of this.list.querySelectorAll(".row")) {
      const date = Number.isNaN(row.time) ? before : this.clock.date(row.time);
      if (date !== before) row.before(h("div", { class: "day" }, date));
      before = date;
    }
  }

  #select(row) {
    this.current?.classList.remove("current");
    this.current = row;
    row.classList.add("current");
    row.scrollIntoView({ block: "nearest" });
  }

  #toggle(row) {
    const was = this.open;
    if (was) {
      was.classList.remove("open");
      was.nextElementSibling?.remove();
      this.open = null;
    }
    if (was !== row) {
      row.classList.add("open");
      row.after(this.#detail(row.hit));
      this.open = row;
    }
    this.#maybeTop();
  }

  #detail(hit) {
    const source = hit._source ?? {};
    const text = this.kind.index === "logs" ? textOf(valueAt(source, "body") ?? "") : null;
    const traceId = valueAt(source, "traceId");
    const copy = (label, value) => {
      const copied = button(label, async () => {
        try {
          await navigator.clipboard.writeText(value());
          copied.textContent = "Copied";
        } catch {
          copied.textContent = "The browser forbids copying here";
        }
        setTimeout(() => { copied.textContent = label; }, 1500);
      }, { class: "link" });
      return copied;
    };
    const head = h("div", { class: "detail-head" },
      text === null ? null : copy("Copy line", () => text),
      copy("Copy JSON", () => JSON.stringify(source, null, 2)),
      traceId && this.kind.index !== "traces" ? button("Show trace", () => this.actions.trace(String(traceId)),
        { class: "link" }) : null,
      traceId && this.kind.index === "traces" ? button("Only this trace", () => this.actions.trace(String(traceId)),
        { class: "link" }) : null,
      h("span", { class: "where", title: "index / id" }, idOf(hit)));
    const fields = leaves(source).filter(([path, value]) =>
      value !== null && value !== "" && !(text !== null && path === "body"));
    return h("div", { class: "detail" }, head,
      text === null ? null : h("pre", { class: "body" }, marked(text.replace(COLOUR_CODES, ""), this.pattern)),
      h("table", {}, h("tbody", {}, fields.map(([path, value]) => this.#field(path, value)))));
  }

  #field(path, value) {
    const filters = isScalar(value) && String(value).length <= 256
      ? [button("+", () => this.actions.filter(path, scalar(value), false),
          { title: `Only ${path} = ${value}`, "aria-label": `only ${path}` }),
         button("−", () => this.actions.filter(path, scalar(value), true),
          { title: `Without ${path} = ${value}`, "aria-label": `without ${path}` })]
      : [];
    return h("tr", { "data-field": path }, h("td", { class: "act" }, filters), h("th", { scope: "row" }, path),
      h("td", { class: "value" }, textOf(value)));
  }
}
