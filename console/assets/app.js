// The page: reads the address, asks the search API, shows the answers.

import { ApiError, fetchNewest, fetchOverview, fetchRows, queryOf } from "./api.js";
import { button, byId, h } from "./dom.js";
import { showFacets } from "./facets.js";
import { Histogram } from "./histogram.js";
import { KINDS } from "./kinds.js";
import { Rows, idOf, timeOf } from "./rows.js";
import { readState, toggleFilter, writeState } from "./state.js";
import { Clock, PRESETS, ago, pickInterval, resolve } from "./time.js";

const PAGE = 200;
const BARS = 90;
const LIVE_EVERY = 1000;
const LIVE_PAGE = 500;
const LIVE_OVERLAP = 30e3;      // records that arrive this late still appear in the live view
const OVERVIEW_EVERY = 5000;    // while live
const WAITING_MAX = 5000;

const exact = new Intl.NumberFormat("en");
const stored = (name, fallback) => localStorage.getItem(`naru.${name}`) ?? fallback;
const store = (name, value) => localStorage.setItem(`naru.${name}`, value);

let state = readState(location.href);
let clock = new Clock(stored("utc", "0") === "1");
let searching = null;       // AbortController of the search under way
let shown = null;           // {query, after, ended, loading, took, total}
let waiting = [];           // new records that came while the person reads further down
let liveTimer = null;

const kind = () => KINDS[state.kind];
const rows = new Rows(byId("rows"), byId("columns"), {
  filter: (field, value, not) => change({ filters: toggleFilter(state.filters, field, value, not) }),
  trace: (id) => change({
    kind: "traces", q: "", filters: [{ field: "traceId", value: id, not: false }], from: widest(), to: "now", live: false,
  }),
  more: loadMore,
  atTop: takeWaiting,
});
const histogram = new Histogram(byId("chart"), byId("legend"), (from, to) =>
  change({ from: new Date(from).toISOString(), to: new Date(to).toISOString(), live: false }));

// A trace may have begun before the time that is shown.
const widest = () => (resolve(state.from) < resolve("now-24h") ? state.from : "now-24h");

function change(part) {
  state = { ...state, ...part };
  history.pushState(null, "", writeState(state));
  search();
}

function notice(text, isError = true) {
  const box = byId("notice");
  box.hidden = text === "";
  box.className = `notice${isError ? " error" : ""}`;
  box.textContent = text;
}

function words(error) {
  if (!(error instanceof ApiError)) return `The page failed: ${error.message}`;
  if (error.status === 400) return `This search cannot be run: ${error.message}`;
  if (error.status === 0) return error.message;
  return `The search failed: ${error.message}`;
}

// --- one search ---

async function search() {
  searching?.abort();
  const control = searching = new AbortController();
  clearTimeout(liveTimer);
  waiting = [];
  showControls();
  notice("");
  const now = Date.now();
  const from = resolve(state.from, now);
  const to = state.to === "now" ? now : resolve(state.to, now);
  if (!(from < to)) {
    rows.reset(kind(), clock, state.q);
    histogram.clear();
    notice("The time range ends before it begins.");
    return;
  }
  // Records of the running second may carry a time a little ahead of this clock.
  const until = state.to === "now" ? null : to;
  const query = queryOf(kind(), state, from, until);
  shown = { query, from, to, after: null, ended: false, loading: true, took: 0, total: null };
  document.body.classList.add("searching");
  const overview = showOverview(control, query, from, to);
  try {
    const page = await fetchRows(kind(), query, PAGE, null, control.signal);
    rows.reset(kind(), clock, state.q);
    takePage(page);
    await overview;
    // Both ask at the same moment; what became searchable between them must not show rows under "0 lines".
    if (shown.total !== null && shown.total < rows.count()) await showOverview(control, query, from, to);
    if (rows.count() === 0) await showEmpty(control);
    if (state.live) liveTimer = setTimeout(() => live(control), LIVE_EVERY);
  } catch (error) {
    if (control.signal.aborted) return;
    rows.reset(kind(), clock, state.q);
    if (error instanceof ApiError && error.status === 404) {
      await showEmpty(control);
      if (state.live) liveTimer = setTimeout(() => live(control), LIVE_EVERY);
    } else {
      notice(words(error));
      if (state.live) liveTimer = setTimeout(search, 5 * LIVE_EVERY);
    }
  } finally {
    if (searching === control) document.body.classList.remove("searching");
    showStatus();
  }
}

function takePage({ hits, took }) {
  rows.append(hits);
  shown.loading = false;
  shown.took = took;
  shown.after = hits.at(-1)?.sort ?? null;
  shown.ended = hits.length < PAGE || shown.after === null;
  if (shown.ended) {
    rows.setEnd(rows.count() === 0 ? "" : "That is all in this time range.");
  } else {
    rows.setEnd("Loading older …");
    rows.watchEnd();
  }
  showStatus();
}

async function loadMore() {
  if (!shown || shown.loading || shown.ended) return;
  const control = searching;
  shown.loading = true;
  try {
    const page = await fetchRows(kind(), shown.query, PAGE, shown.after, control.signal);
    if (searching === control) takePage(page);
  } catch (error) {
    if (control.signal.aborted) return;
    shown.loading = false;
    rows.setEnd(`${words(error)} `, button("Try again", loadMore, { class: "link" }));
  }
}

async function showOverview(control, query, from, to) {
  const [interval, step] = pickInterval(to - from, BARS);
  try {
    const { total, buckets, facets } = await fetchOverview(kind(), query, interval, control.signal);
    if (searching !== control) return;
    shown.total = total;
    histogram.show(kind(), clock, buckets, from, to, step);
    showFacets(byId("facets"), kind(), facets, state, (field, value, not) =>
      change({ filters: toggleFilter(state.filters, field, value, not) }));
    showSummary(interval);
  } catch (error) {
    if (control.signal.aborted) return;
    histogram.clear();
    byId("facets").replaceChildren();
    byId("facets").hidden = true;
    byId("summary").textContent = "";
    if (!(error instanceof ApiError && [0, 404].includes(error.status))) notice(words(error));
  }
}

function showSummary(interval) {
  const total = shown.total;
  byId("summary").replaceChildren(h("b", { id: "total" }, exact.format(total)),
    ` ${total === 1 ? kind().one : kind().many}`, h("span", { class: "faint" }, ` · ${interval} per bar`));
}

// --- nothing found ---

async function showEmpty(control) {
  let newest = null;
  let unknown = true;  // is there anything of this kind at all?
  try {
    newest = await fetchNewest(kind(), state, control.signal);
    unknown = newest === null
      && (await fetchNewest(kind(), { q: "", filters: [] }, control.signal)) === null;
  } catch (error) {
    if (control.signal.aborted) return;
    if (!(error instanceof ApiError && error.status === 404)) return;
  }
  if (searching !== control || rows.count() > 0) return;
  rows.setEnd(unknown ? nothingYet() : newest === null ? nothingMatches() : elsewhere(newest));
}

function nothingYet() {
  return h("div", { class: "empty" }, h("h2", {}, `No ${kind().many} have arrived yet`),
    h("p", {}, "This page fills by itself while Live is on. To send some:"),
    h("dl", {}, kind().empty.flatMap(([what, how]) => [h("dt", {}, what), h("dd", {}, h("code", {}, how))])),
    state.live ? null : button("Turn Live on", () => change({ live: true, to: "now" }), { class: "button primary" }));
}

function nothingMatches() {
  return h("div", { class: "empty" }, h("h2", {}, "Nothing matches this search, at any time"),
    h("p", {}, "Words are joined with AND; write OR between alternatives, and field:value to look into one field."),
    button("Clear the search", () => change({ q: "", filters: [] }), { class: "button primary" }));
}

function elsewhere(newest) {
  return h("div", { class: "empty" }, h("h2", {}, "Nothing matches in this time range"),
    h("p", {}, `The newest match is from ${clock.date(newest)} ${clock.time(newest, "s")}, ${ago(newest)}.`),
    button("Go there", () => change({
      from: new Date(newest - 15 * 60e3).toISOString(), to: new Date(newest + 1000).toISOString(), live: false,
    }), { class: "button primary" }));
}

// --- live ---

async function live(control) {
  const began = Date.now();
  try {
    const from = Math.max(shown.from, Math.min(began, rows.newest() ?? began) - LIVE_OVERLAP);
    const { hits } = await fetchRows(kind(), queryOf(kind(), state, from, null), LIVE_PAGE, null, control.signal);
    if (searching !== control) return;
    const held = new Set(waiting.map(idOf));
    // What is older than the last row comes by scrolling.
    const oldest = shown.ended ? -Infinity : rows.oldest() ?? -Infinity;
    const fresh = hits.filter((hit) => !rows.has(hit) && !held.has(idOf(hit)) && timeOf(hit) >= oldest);
    if (fresh.length > 0) {
      waiting = [...fresh, ...waiting].slice(0, WAITING_MAX);
      if (rows.count() === 0) rows.setEnd("");
      if (!rows.reading()) takeWaiting();
    }
    notice(fresh.length === LIVE_PAGE
      ? "More records arrive than this page can show: narrow the search to see each of them." : "", false);
    showWaiting();
    if (began - (shown.overviewAt ?? 0) >= OVERVIEW_EVERY) {
      shown.overviewAt = began;
      const from0 = resolve(state.from, began);
      await showOverview(control, queryOf(kind(), state, from0, null), from0, began);
    }
  } catch (error) {
    if (control.signal.aborted) return;
    if (!(error instanceof ApiError && error.status === 404)) notice(words(error));
  }
  if (searching === control && state.live) liveTimer = setTimeout(() => live(control), LIVE_EVERY);
}

function takeWaiting() {
  if (waiting.length === 0) return;
  rows.prepend(waiting);
  waiting = [];
  showWaiting();
  showStatus();
}

function showWaiting() {
  const pill = byId("more-new");
  pill.hidden = waiting.length === 0;
  pill.textContent = `↑ ${exact.format(waiting.length)} new ${waiting.length === 1 ? kind().one : kind().many}`;
}

// --- controls ---

function showStatus() {
  const count = rows.count();
  byId("status").textContent = shown && count > 0
    ? `${exact.format(count)} shown, newest first · ${shown.took} ms · times in ${clock.name()}` : "";
}

function showControls() {
  const input = byId("query");
  if (document.activeElement !== input || input.value.trim() === "") input.value = state.q;
  input.placeholder = kind().hint;
  byId("clear").hidden = input.value === "";
  byId("slash").hidden = input.value !== "";
  document.title = state.q ? `${state.q} – Naru` : `${kind().label} – Naru`;
  for (const tab of byId("kinds").children) {
    tab.setAttribute("aria-selected", String(tab.dataset.kind === state.kind));
  }
  byId("range").textContent = clock.rangeText(state.from, state.to);
  byId("live").setAttribute("aria-pressed", String(state.live));
  byId("chips").hidden = state.filters.length === 0;
  byId("chips").replaceChildren(...state.filters.map(({ field, value, not }) =>
    h("span", { class: `chip${not ? " not" : ""}` },
      button([not ? "not " : "", h("span", { class: "field" }, field), " ", h("b", {}, String(value))],
        () => change({ filters: state.filters.map((chip) => (chip.field === field && chip.value === value
          ? { ...chip, not: !chip.not } : chip)) }), { title: "Turn around" }),
      button("✕", () => change({ filters: toggleFilter(state.filters, field, value, not) }), { title: "Remove" }))),
    state.filters.length > 1 ? button("Remove all", () => change({ filters: [] }), { class: "link" }) : "");
  showWaiting();
}

function closeRange() {
  const open = !byId("range-popover").hidden;
  byId("range-popover").hidden = true;
  byId("range").setAttribute("aria-expanded", "false");
  return open;
}

function openRange() {
  const now = Date.now();
  const from = h("input", { type: "datetime-local", step: 1, value: clock.input(resolve(state.from, now)), "aria-label": "From" });
  const to = h("input", { type: "datetime-local", step: 1, value: clock.input(resolve(state.to, now)), "aria-label": "To" });
  const utc = h("input", { type: "checkbox", id: "utc" });
  utc.checked = clock.utc;
  utc.addEventListener("change", () => {
    clock = new Clock(utc.checked);
    store("utc", utc.checked ? "1" : "0");
    closeRange();
    search();
  });
  byId("range-popover").replaceChildren(
    h("div", { class: "presets" }, PRESETS.map(([bound, name]) => button(name, () => {
      closeRange();
      change({ from: bound, to: "now" });
    }, { class: bound === state.from && state.to === "now" ? "chosen" : "" }))),
    h("form", {
      class: "absolute",
      on: {
        submit: (event) => {
          event.preventDefault();
          const bounds = [clock.fromInput(from.value), clock.fromInput(to.value)];
          if (bounds.some(Number.isNaN)) return;
          closeRange();
          change({ from: new Date(bounds[0]).toISOString(), to: new Date(bounds[1]).toISOString(), live: false });
        },
      },
    }, h("label", {}, "From", from), h("label", {}, "To", to), h("button", { class: "button primary" }, "Show"),
    h("label", { class: "check" }, utc, "Show times in UTC")));
  byId("range-popover").hidden = false;
  byId("range").setAttribute("aria-expanded", "true");
}

const toggleLive = () => change(state.live ? { live: false } : { live: true, to: "now", ...(state.to === "now" ? {} : { from: "now-15m" }) });

function toggleWrap() {
  const on = document.body.classList.toggle("wrap");
  store("wrap", on ? "1" : "0");
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

byId("kinds").append(...Object.entries(KINDS).map(([key, { label }]) =>
  button(label, () => change({ kind: key, filters: [] }), { role: "tab", "data-kind": key })));
byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  change({ q: byId("query").value.trim() });
});
byId("query").addEventListener("input", () => {
  byId("clear").hidden = byId("query").value === "";
  byId("slash").hidden = byId("query").value !== "";
});
byId("clear").addEventListener("click", () => {
  byId("query").value = "";
  change({ q: "" });
  byId("query").focus();
});
byId("range").addEventListener("click", () => { if (!closeRange()) openRange(); });
byId("live").addEventListener("click", toggleLive);
byId("refresh").addEventListener("click", search);
byId("more-new").addEventListener("click", () => rows.toTop());
byId("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark";
  setTheme(dark ? "light" : "dark");
  store("theme", dark ? "light" : "dark");
});
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest(".anchor")) closeRange();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (!closeRange() && document.activeElement === byId("query")) byId("rows").focus();
    else rows.close();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea")) return;
  const action = {
    "/": () => { byId("query").focus(); byId("query").select(); },
    l: toggleLive,
    r: search,
    w: toggleWrap,
    j: () => rows.move(1),
    k: () => rows.move(-1),
    ArrowDown: () => rows.move(1),
    ArrowUp: () => rows.move(-1),
    Enter: () => rows.toggleCurrent(),
  }[event.key];
  if (!action || (event.key === "Enter" && event.target.closest("button, a"))) return;
  event.preventDefault();
  action();
});
window.addEventListener("popstate", () => {
  state = readState(location.href);
  byId("query").value = state.q;
  search();
});

setTheme(stored("theme", ""));
if (stored("wrap", "0") === "1") document.body.classList.add("wrap");
byId("query").value = state.q;
search();
