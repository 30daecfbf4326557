// Time ranges and their words. A range bound is "now", "now-15m" or an ISO 8601 time.

const UNIT = { s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

export const PRESETS = [
  ["now-5m", "Last 5 minutes"],
  ["now-15m", "Last 15 minutes"],
  ["now-1h", "Last hour"],
  ["now-6h", "Last 6 hours"],
  ["now-24h", "Last 24 hours"],
  ["now-7d", "Last 7 days"],
  ["now-30d", "Last 30 days"],
];

const INTERVALS = [
  ["100ms", 100], ["500ms", 500], ["1s", 1e3], ["2s", 2e3], ["5s", 5e3], ["10s", 10e3], ["30s", 30e3],
  ["1m", 60e3], ["2m", 120e3], ["5m", 300e3], ["10m", 600e3], ["30m", 1800e3], ["1h", 3600e3], ["2h", 7200e3],
  ["6h", 21600e3], ["12h", 43200e3], ["1d", 86400e3], ["7d", 604800e3], ["30d", 2592000e3],
];

// Milliseconds since the epoch, or NaN.
export function resolve(bound, now = Date.now()) {
  const match = /^now(?:-(\d+)([smhd]))?$/.exec(bound);
  if (match) return now - (match[1] ? Number(match[1]) * UNIT[match[2]] : 0);
  return Date.parse(bound);
}

export const isBound = (text) => !Number.isNaN(resolve(text));

// The finest interval that gives at most `bars` bars.
export function pickInterval(span, bars) {
  return INTERVALS.find(([, size]) => span / size <= bars) ?? INTERVALS.at(-1);
}

const pad = (value, width = 2) => String(value).padStart(width, "0");

export class Clock {
  constructor(utc) {
    this.utc = utc;
  }
  parts(ms) {
    const d = new Date(ms);
    return this.utc
      ? [d.getUTCFullYear(), d.getUTCMonth() + 1, d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(),
         d.getUTCSeconds(), d.getUTCMilliseconds()]
      : [d.getFullYear(), d.getMonth() + 1, d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds(),
         d.getMilliseconds()];
  }
  // Milliseconds by which this clock is ahead of UTC at that time.
  offset(ms) {
    return this.utc ? 0 : -new Date(ms).getTimezoneOffset() * 60e3;
  }
  date(ms) {
    const [year, month, day] = this.parts(ms);
    return `${year}-${pad(month)}-${pad(day)}`;
  }
  shortDate(ms) {
    const [, month, day] = this.parts(ms);
    return `${pad(month)}-${pad(day)}`;
  }
  time(ms, digits) {
    const [, , , hour, minute, second, milli] = this.parts(ms);
    const base = `${pad(hour)}:${pad(minute)}`;
    return digits === "m" ? base : `${base}:${pad(second)}${digits === "ms" ? `.${pad(milli, 3)}` : ""}`;
  }
  // For <input type=datetime-local>.
  input(ms) {
    return `${this.date(ms)}T${this.time(ms, "s")}`;
  }
  fromInput(text) {
    return Date.parse(this.utc ? `${text}Z` : text);
  }
  name() {
    if (this.utc) return "UTC";
    const minutes = -new Date().getTimezoneOffset();
    const sign = minutes < 0 ? "−" : "+";
    return `UTC${minutes === 0 ? "" : `${sign}${pad(Math.trunc(Math.abs(minutes) / 60))}:${pad(Math.abs(minutes) % 60)}`}`;
  }
  rangeText(from, to) {
    const preset = PRESETS.find(([bound]) => bound === from && to === "now");
    if (preset) return preset[1];
    const a = resolve(from), b = resolve(to);
    const digits = b - a < 60e3 ? "ms" : "s";
    const end = to === "now" ? "now" : this.date(a) === this.date(b) ? this.time(b, digits)
      : `${this.shortDate(b)} ${this.time(b, digits)}`;
    return `${this.shortDate(a)} ${this.time(a, digits)} – ${end}`;
  }
}

export function ago(ms, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - ms) / 1e3));
  for (const [size, word] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    const count = Math.floor(seconds / size);
    if (count > 0) return `${count} ${word}${count === 1 ? "" : "s"} ago`;
  }
  return `${seconds} second${seconds === 1 ? "" : "s"} ago`;
}
