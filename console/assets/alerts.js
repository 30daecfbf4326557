// The page of targets: what naru-alerting says of statuses, routes and their history, every second.

import { byId, h, svg } from "./dom.js";

const EVERY = 1000;
const LANE = 22;
const LABEL = 200;
const WIDTH = 1000;

const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "short", timeStyle: "medium" });
const shown = (at) => clock.format(new Date(at));
const badge = (status, blind) =>
  h("span", { class: `badge ${status}${blind ? " blind" : ""}`, title: blind ? "nothing is counted now: this may have changed" : null }, status);

function notice(text) {
  const box = byId("notice");
  box.hidden = text === "";
  box.className = "notice error";
  box.textContent = text;
}

function showTargets(overview) {
  const order = { CRITICAL: 0, CAUTION: 1, HEALTHY: 2 };
  const targets = [...overview.targets].sort((a, b) => order[a.status] - order[b.status] || a.target.localeCompare(b.target));
  byId("targets").replaceChildren(
    ...targets.map((one) =>
      h("div", { class: "card", "data-target": one.target },
        h("strong", null, one.target), badge(one.status, one.blind),
        h("span", { class: "why" }, `${shown(one.since)}: ${one.reason} (${one.source})`))));
  if (targets.length === 0) byId("targets").append(h("p", null, "Nothing has happened yet: every target is HEALTHY."));
}

function showRoutes(overview) {
  byId("routes").replaceChildren(
    ...overview.routes.map((one) =>
      h("div", { class: "card", "data-target": one.target },
        h("strong", null, one.target), badge(one.status, false),
        h("div", null,
          h("div", { class: "routes-of" }, ...one.routes.map((route) =>
            h("span", { class: `route${route.name === one.active ? " active" : ""}${route.healthy ? "" : " bad"}`, title: route.url }, route.name))),
          h("span", { class: "why" },
            [one.shift && `${one.shift.percent} % to ${one.shift.to}`, one.reason && `since ${shown(one.at)}: ${one.reason}`, one.locked && "locked", one.dryRun && "dry run", one.held && `held: ${one.held}`]
              .filter(Boolean).join("; "))))));
  if (overview.routes.length === 0) byId("routes").append(h("p", null, "No target has routes."));
}

// One lane a target: its statuses as bars, its switches as lines.
function showLanes(overview) {
  const events = overview.history;
  const names = [...new Set(events.map((one) => one.type))].slice(-20);
  if (names.length === 0) {
    byId("lanes").replaceChildren(h("p", null, "No change has been recorded."));
    return;
  }
  const now = Date.now();
  const begin = Math.min(...events.map((one) => Date.parse(one.at)), now - 60e3);
  const x = (at) => LABEL + ((at - begin) / (now - begin || 1)) * (WIDTH - LABEL);
  const parts = [];
  names.forEach((name, lane) => {
    const y = lane * LANE;
    parts.push(svg("text", { x: 0, y: y + 14 }, name));
    const own = events.filter((one) => one.type === name);
    const statuses = own.filter((one) => one.kind === "status");
    let from = begin;
    let status = statuses[0]?.prevStatus;
    for (const change of [...statuses, null]) {
      const to = change ? Date.parse(change.at) : now;
      if (status) parts.push(svg("rect", { class: status, x: x(from), y: y + 4, width: Math.max(1, x(to) - x(from)), height: LANE - 10 }));
      from = to;
      status = change?.status;
    }
    for (const one of own.filter((event) => event.kind === "route")) {
      const at = x(Date.parse(one.at));
      parts.push(svg("line", { class: "switch", x1: at, x2: at, y1: y + 1, y2: y + LANE - 3 }));
      parts.push(svg("text", { x: Math.min(at + 4, WIDTH - 90), y: y + 14 }, `${one.from} → ${one.to}`));
    }
  });
  byId("lanes").replaceChildren(svg("svg", { viewBox: `0 0 ${WIDTH} ${names.length * LANE}`, role: "img" }, ...parts));
}

const sentence = (one) => {
  if (one.kind === "status") return `${one.prevStatus} → ${one.status}: ${one.reason} (${one.source})`;
  if (one.kind === "route") return `${one.dryRun ? "(dry run) " : ""}${one.from} → ${one.to}: ${one.reason}`;
  return `${one.source}: ${one.reason}`;
};

function showEvents(overview) {
  byId("events").replaceChildren(
    ...overview.history.slice(-100).reverse().map((one) =>
      h("li", null, h("time", { datetime: one.at }, shown(one.at)), h("strong", null, one.type), h("span", { class: "why" }, sentence(one)))));
}

async function look() {
  try {
    const answer = await fetch("v1/overview", { cache: "no-store" });
    const overview = await answer.json();
    if (!answer.ok) throw new Error(overview.error);
    notice(overview.blind ? `Blind: ${overview.blind}. Nothing goes down while it is so.` : "");
    byId("leader").textContent = `epoch ${overview.epoch}`;
    showLanes(overview);
    showRoutes(overview);
    showTargets(overview);
    showEvents(overview);
  } catch (error) {
    notice(`naru-alerting does not tell: ${error.message}`);
  }
  setTimeout(look, EVERY);
}

look();
