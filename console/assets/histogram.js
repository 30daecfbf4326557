// Records over time as stacked bars. A click on a bar or a drag over several zooms in.

import { h, svg } from "./dom.js";
import { pickInterval } from "./time.js";

const HEIGHT = 84;
const AXIS = 16;
const SCALE = 38;  // right of the bars, for the numbers
const LABEL = 84;  // least distance of two times on the axis

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const exact = new Intl.NumberFormat("en");

// The least of 1, 2, 5, 10, 20, 50 ... that is not below `count`.
function roundUp(count) {
  for (let power = 1; ; power *= 10) {
    for (const step of [1, 2, 5]) if (step * power >= count) return step * power;
  }
}

export class Histogram {
  // zoom(from, to) in milliseconds
  constructor(chart, legend, zoom) {
    this.chart = chart;
    this.legend = legend;
    this.zoom = zoom;
    this.tip = h("div", { class: "tip", hidden: true });
    this.selection = h("div", { class: "selection", hidden: true });
    chart.addEventListener("pointermove", (event) => this.#moved(event));
    chart.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    chart.addEventListener("pointerdown", (event) => this.#pressed(event));
    chart.addEventListener("pointerup", (event) => this.#released(event));
    chart.addEventListener("pointercancel", () => this.#drop());
    new ResizeObserver(() => { if (this.data) this.#draw(); }).observe(chart);
  }

  clear() {
    this.data = null;
    this.chart.replaceChildren();
    this.legend.replaceChildren();
  }

  // buckets: [{key, count, levels}] without empty ones; from, to, step in milliseconds
  show(kind, clock, buckets, from, to, step) {
    const start = Math.floor(from / step) * step;
    const bars = Array.from({ length: Math.max(1, Math.ceil((to - start) / step)) },
      (_, i) => ({ key: start + i * step, count: 0, levels: new Map() }));
    for (const bucket of buckets) {
      const bar = bars[Math.round((bucket.key - start) / step)];
      if (bar) Object.assign(bar, { count: bucket.count, levels: bucket.levels });
    }
    // Where nothing has a level, levels would only be a grey picture.
    const plain = !kind.stack || buckets.every((bucket) => [...bucket.levels.keys()].every((key) => key === "none"));
    if (plain) for (const bar of bars) bar.levels = new Map([["info", bar.count]]);
    const levels = plain ? [{ key: "info", name: kind.label }] : kind.stack.levels;
    this.data = { plain, clock, bars, step, levels };
    this.#draw();
  }

  #draw() {
    const { plain, bars, levels } = this.data;
    const width = Math.max(200, this.chart.clientWidth);
    const slot = (width - SCALE) / bars.length;
    const gap = slot > 4 ? 1 : 0;
    const top = Math.max(1, ...bars.map((bar) => bar.count));
    const scale = bars.some((bar) => bar.count > 0) ? roundUp(top / 2.5) : Infinity;
    const picture = svg("svg", { width, height: HEIGHT + AXIS, role: "img", "aria-label": "records over time" });
    for (let line = scale; line <= top; line += scale) {
      const y = Math.round(HEIGHT - line / top * (HEIGHT - 12)) + 0.5;
      picture.append(svg("line", { class: "grid", x1: 0, x2: width - SCALE, y1: y, y2: y }));
      picture.append(svg("text", { class: "scale", x: width, y: y + 3 }, compact.format(line)));
    }
    bars.forEach((bar, i) => {
      let y = HEIGHT;
      const group = svg("g", { class: "bar", "data-count": bar.count, "data-key": bar.key });
      for (const { key } of [...levels].reverse()) {
        const count = bar.levels.get(key) ?? 0;
        if (count === 0) continue;
        const height = Math.max(1, count / top * (HEIGHT - 12));
        y -= height;
        group.append(svg("rect", { class: key, x: i * slot, y: Math.max(0, y), width: Math.max(1, slot - gap), height }));
      }
      picture.append(group);
    });
    this.#drawAxis(picture, slot, width);
    picture.append(svg("line", { class: "base", x1: 0, x2: width - SCALE, y1: HEIGHT + 0.5, y2: HEIGHT + 0.5 }));
    this.chart.replaceChildren(picture, this.selection, this.tip);
    const totals = levels.map(({ key, name }) =>
      ({ key, name, count: bars.reduce((sum, bar) => sum + (bar.levels.get(key) ?? 0), 0) }));
    this.legend.replaceChildren(...(plain ? [] : totals.filter(({ count }) => count > 0)).map(({ key, name, count }) =>
      h("span", { class: `key ${key}` }, h("i"), `${name} `, h("b", {}, exact.format(count)))));
  }

  #drawAxis(picture, slot, width) {
    const { bars, clock, step } = this.data;
    const span = bars.length * step;
    const [, every] = pickInterval(span, Math.max(2, Math.floor((width - SCALE) / LABEL)));
    const digits = every < 1000 ? "ms" : every < 60e3 ? "s" : "m";
    bars.forEach((bar, i) => {
      if ((bar.key + clock.offset(bar.key)) % Math.max(every, step) !== 0) return;
      const midnight = clock.time(bar.key, "s") === "00:00:00";
      const x = i * slot;
      picture.append(svg("line", { class: "base", x1: x + 0.5, x2: x + 0.5, y1: HEIGHT, y2: HEIGHT + 4 }));
      if (x + 44 < width - SCALE) {
        picture.append(svg("text", { class: "axis", x: x + 4, y: HEIGHT + AXIS - 3 },
          every >= 86400e3 || midnight ? clock.shortDate(bar.key) : clock.time(bar.key, digits)));
      }
    });
  }

  #at(event) {
    const box = this.chart.getBoundingClientRect();
    const share = Math.min(0.999999, Math.max(0, (event.clientX - box.left) / (box.width - SCALE)));
    return { x: event.clientX - box.left, width: box.width, index: Math.floor(share * this.data.bars.length) };
  }

  #moved(event) {
    if (!this.data) return;
    const { x, width, index } = this.#at(event);
    const { bars, clock, step, levels } = this.data;
    if (this.pressed !== undefined) {
      const [low, high] = [Math.min(this.pressed, index), Math.max(this.pressed, index) + 1];
      this.selection.hidden = false;
      this.selection.style.left = `${low / bars.length * (width - SCALE)}px`;
      this.selection.style.width = `${(high - low) / bars.length * (width - SCALE)}px`;
    }
    const bar = bars[index];
    const digits = step < 1000 ? "ms" : "s";
    const parts = levels.filter(({ key }) => bar.levels.get(key)).map(({ key, name }) =>
      h("div", { class: `key ${key}` }, h("i"), `${name} `, h("b", {}, exact.format(bar.levels.get(key)))));
    this.tip.replaceChildren(
      h("div", { class: "when" }, `${clock.shortDate(bar.key)} ${clock.time(bar.key, digits)} – ${clock.time(bar.key + step, digits)}`),
      ...(parts.length > 0 ? parts : ["nothing"]));
    this.tip.hidden = false;
    this.tip.style.left = `${Math.min(x + 12, width - this.tip.offsetWidth - 4)}px`;
  }

  #pressed(event) {
    if (!this.data || event.button !== 0) return;
    this.pressed = this.#at(event).index;
    this.chart.setPointerCapture(event.pointerId);
  }

  #released(event) {
    if (!this.data || this.pressed === undefined) return;
    const { index } = this.#at(event);
    const { bars, step } = this.data;
    const [low, high] = [Math.min(this.pressed, index), Math.max(this.pressed, index)];
    this.#drop();
    this.zoom(bars[low].key, bars[high].key + step);
  }

  #drop() {
    this.pressed = undefined;
    this.selection.hidden = true;
  }
}
