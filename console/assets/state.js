// What the page shows, as it stands in the address: a copied link shows the same.

import { isBound } from "./time.js";
import { KINDS } from "./kinds.js";

const DEFAULTS = { kind: "logs", q: "", from: "now-15m", to: "now" };

// {kind, q, from, to, live, filters: [{field, value, not}]}. Values of filters are strings, numbers or booleans.
export function readState(address) {
  const parameters = new URL(address).searchParams;
  const state = { ...DEFAULTS, live: parameters.get("live") === "1", filters: [] };
  if (Object.hasOwn(KINDS, parameters.get("kind") ?? "")) state.kind = parameters.get("kind");
  state.q = parameters.get("q") ?? "";
  for (const bound of ["from", "to"]) {
    if (isBound(parameters.get(bound) ?? "")) state[bound] = parameters.get(bound);
  }
  for (const text of parameters.getAll("f")) {
    try {
      const [field, value, not] = JSON.parse(text);
      if (typeof field === "string" && ["string", "number", "boolean"].includes(typeof value)) {
        state.filters.push({ field, value, not: not === 1 });
      }
    } catch {
      // Not one of ours: a damaged link still shows the rest.
    }
  }
  return state;
}

export function writeState(state) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(DEFAULTS)) {
    if (state[name] !== value) parameters.set(name, state[name]);
  }
  for (const { field, value, not } of state.filters) {
    parameters.append("f", JSON.stringify(not ? [field, value, 1] : [field, value]));
  }
  if (state.live) parameters.set("live", "1");
  const text = parameters.toString();
  return text ? `?${text}` : "./";
}

export function toggleFilter(filters, field, value, not) {
  const same = (filter) => filter.field === field && filter.value === value;
  const rest = filters.filter((filter) => !same(filter));
  const had = filters.some((filter) => same(filter) && filter.not === not);
  return had ? rest : [...rest, { field, value, not }];
}
