// The side panel: the most frequent values of promoted fields; a click filters by one.

import { button, h } from "./dom.js";

const exact = new Intl.NumberFormat("en");

// The end of a path says more than its beginning.
const PATH_SHOWN = 20;
const shorten = (text) =>
  (text.startsWith("/") && text.length > PATH_SHOWN ? `…${text.slice(1 - PATH_SHOWN)}` : text);

// facets: Map field -> [{key, doc_count}]; state: the filters set now
export function showFacets(panel, kind, facets, state, filter) {
  panel.replaceChildren(...kind.facets.map(([field, name, words]) => {
    const buckets = facets.get(field) ?? [];
    if (buckets.length === 0) return null;
    const most = Math.max(...buckets.map((bucket) => Number(bucket.doc_count)));
    return h("section", { class: "facet" }, h("h2", { title: field }, name),
      buckets.map((bucket) => {
        const value = ["string", "boolean", "number"].includes(typeof bucket.key) ? bucket.key : String(bucket.key);
        const chosen = state.filters.find((chip) => chip.field === field && chip.value === value);
        const share = Number(bucket.doc_count) / most;
        const row = button([
          h("span", { class: "name" }, value === "" ? "(empty)" : words?.[value] ?? shorten(String(bucket.key_as_string ?? value))),
          h("span", { class: "count" }, exact.format(Number(bucket.doc_count))),
        ], (event) => filter(field, value, event.altKey), {
          class: `value${chosen ? chosen.not ? " without" : " only" : ""}`,
          title: `${field} = ${value}: click to show only these, Alt-click to hide them`,
        });
        row.style.setProperty("--share", `${share * 100}%`);
        return row;
      }));
  }).filter(Boolean));
  panel.hidden = panel.childElementCount === 0;
}
