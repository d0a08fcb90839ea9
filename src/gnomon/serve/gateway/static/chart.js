// Candles and a fan. Plain data in, SVG out; colours come from the stylesheet, so a change of theme needs no redraw.

import { clock, day, price } from "./words.js";

const HOUR = 3_600_000, DAY = 24 * HOUR;
const SVG = "http://www.w3.org/2000/svg";
export const BANDS = [
  { low: "p05", high: "p95", name: "90 %", kind: "band-90" },
  { low: "p10", high: "p90", name: "80 %", kind: "band-80" },
  { low: "p25", high: "p75", name: "50 %", kind: "band-50" },
];

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** Round steps of 1, 2 or 5 that give about `count` marks between two values. */
export function marks(low, high, count) {
  const raw = (high - low) / Math.max(1, count), size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * size).find((s) => s >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(value);
  return { step, values: found };
}

/** How round the instant is at which a place of the axis begins: a year, a month, a day, or hours that divide the day. */
function roundness(opens, index) {
  const now = new Date(opens[index]), before = new Date(opens[index - 1]);
  if (now.getUTCFullYear() !== before.getUTCFullYear()) return 7;
  if (now.getUTCMonth() !== before.getUTCMonth()) return 6;
  if (now.getUTCDate() !== before.getUTCDate()) return 5;
  const rank = [12, 6, 3, 1].findIndex((hours) => opens[index] % (hours * HOUR) === 0);
  return rank < 0 ? 0 : 4 - rank;
}

/** Places to write a time at, at least `apart` places from each other, the roundest first. */
export function timeMarks(closes, bar_ms, apart) {
  const opens = closes.map((close) => close - bar_ms), chosen = [];
  for (let rank = 7; rank >= 0; rank -= 1) {
    const hours = { 4: 12, 3: 6, 2: 3, 1: 1, 0: 0 }[rank];
    if (hours !== undefined && bar_ms < DAY && (hours * HOUR) / bar_ms < apart) break; // not all of these would fit
    for (let index = 1; index < closes.length; index += 1) {
      const isFree = chosen.every((other) => Math.abs(other.index - index) >= apart);
      if (roundness(opens, index) !== rank || !isFree) continue;
      const text = rank === 7 ? String(new Date(opens[index]).getUTCFullYear()) : rank >= 5 || bar_ms >= DAY ? day(opens[index]) : clock(opens[index]);
      chosen.push({ index: index - 0.5, text, isDay: rank >= 5 });
    }
  }
  return chosen;
}

/**
 * One axis for bars and steps: each close has a place, so closed hours take no room, and a bar that has come since the
 * forecast stands where its step does.
 */
export function axisOf(view) {
  const closes = [...new Set([...view.candles.map((c) => c.close_ms), ...view.steps.map((s) => s.at_ms)])];
  closes.sort((a, b) => a - b);
  const place = new Map(closes.map((ms, i) => [ms, i]));
  const candle = new Map(view.candles.map((c) => [place.get(c.close_ms), c]));
  const step = new Map(view.steps.map((s) => [place.get(s.at_ms), s]));
  let start = closes.findLastIndex((ms) => ms <= view.cutoff_ms);
  if (start >= 0 && closes[start] < view.cutoff_ms) start += 0.5;
  return { closes, candle, step, start };
}

export class Chart {
  constructor(svg, onPoint) {
    this.svg = svg;
    this.onPoint = onPoint;
    this.index = null;
    svg.addEventListener("pointermove", (event) => this.#point(event));
    svg.addEventListener("pointerdown", (event) => this.#point(event));
    svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.select(null)); // a finger lifts, a reader stays
    svg.addEventListener("keydown", (event) => this.#key(event));
    svg.addEventListener("blur", () => this.select(null));
    new ResizeObserver(() => this.view && this.draw(this.view)).observe(svg);
  }

  clear() {
    this.view = null;
    this.svg.replaceChildren();
  }

  draw(view) {
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    if (!width || !height) { this.view = view; return; }
    const shown = Math.max(24, Math.floor(width / 5) - view.steps.length);
    this.view = view;
    const candles = view.candles.slice(-Math.max(shown, view.keep ?? 0));
    this.axis = axisOf({ ...view, candles });
    this.#scale(candles, width, height);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.cursor = element("g", { class: "cursor" });
    this.svg.replaceChildren(
      this.#hatch(), this.#prices(), this.#times(), this.#gap(), this.#fan(), this.#candles(candles),
      this.#naive(), this.#median(), this.#cutoff(), this.cursor,
    );
    this.select(this.index !== null && this.index < this.axis.closes.length ? this.index : null);
  }

  /** Put the crosshair on a place of the axis, or take it away. */
  select(index) {
    this.index = index;
    if (!this.view || !this.axis) return;
    this.cursor.replaceChildren();
    if (index === null) { this.onPoint(null); return; }
    const candle = this.axis.candle.get(index), step = this.axis.step.get(index);
    const x = this.x(index), value = step ? step.p50 : candle.close;
    this.cursor.append(
      element("path", { d: `M${x} ${this.top}V${this.bottom}` }),
      element("path", { d: `M${this.left} ${this.y(value)}H${this.right}` }),
      element("circle", { cx: x, cy: this.y(value), r: 3.5 }),
      this.#tag(this.right + 4, this.y(value), price(value, this.view.decimals)),
    );
    this.onPoint({ at_ms: this.axis.closes[index], candle, step });
  }

  // --- inside -----------------------------------------------------------------------------------------------------

  #scale(candles, width, height) {
    const { steps, naive, base } = this.view;
    const values = [base, ...candles.flatMap((c) => [c.low, c.high]), ...steps.flatMap((s) => [s.p05, s.p95])];
    if (naive) values.push(...naive.flatMap((s) => [s.p10, s.p90]));
    let low = Math.min(...values), high = Math.max(...values);
    const room = (high - low || high * 0.01) * 0.06;
    [low, high] = [low - room, high + room];
    const { step } = marks(low, high, height / 56);
    this.labelDecimals = Math.min(this.view.decimals, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
    const widest = Math.max(price(high, this.view.decimals).length, price(low, this.view.decimals).length);
    [this.left, this.right, this.top, this.bottom] = [6, width - 7.1 * widest - 14, 10, height - 26];
    this.low = low;
    this.high = high;
    const count = this.axis.closes.length;
    this.pitch = (this.right - this.left) / Math.max(1, count);
    this.x = (index) => this.left + (index + 0.5) * this.pitch;
    this.y = (value) => this.bottom - ((value - low) / (high - low)) * (this.bottom - this.top);
  }

  #hatch() {
    const pattern = { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" };
    return element("defs", {}, element("pattern", pattern, element("path", { class: "hatch", d: "M0 0V5" })));
  }

  #prices() {
    const group = element("g", { class: "axis" });
    for (const value of marks(this.low, this.high, (this.bottom - this.top) / 56).values) {
      const y = this.y(value);
      if (y < this.top || y > this.bottom) continue;
      group.append(element("path", { d: `M${this.left} ${y}H${this.right}` }));
      if (Math.abs(y - this.y(this.view.base)) < 17) continue; // the tag of the last close stands there
      group.append(element("text", { x: this.right + 8, y: y + 4 }, price(value, this.labelDecimals)));
    }
    return group;
  }

  #times() {
    const group = element("g", { class: "axis times" });
    for (const { index, text, isDay } of timeMarks(this.axis.closes, this.view.bar_ms, Math.ceil(66 / this.pitch))) {
      const x = this.x(index);
      if (x < this.left + 18 || x > this.right - 14) continue;
      group.append(
        element("path", { d: `M${x} ${this.bottom}v5` }),
        element("text", { x, y: this.bottom + 18, "text-anchor": "middle", class: isDay ? "day" : "hour" }, text),
      );
    }
    group.append(element("path", { class: "ground", d: `M${this.left} ${this.bottom}H${this.right}` }));
    return group;
  }

  /** From the cutoff to the issue: what the forecast could not know yet, hatched. */
  #gap() {
    const from = this.x(this.axis.start), until = this.#xOf(this.view.issued_ms);
    if (until === null || until - from < 1) return element("g", {});
    const box = { x: from, y: this.top, width: until - from, height: this.bottom - this.top };
    return element("rect", { class: "gap", fill: "url(#hatch)", ...box });
  }

  #xOf(ms) {
    const { closes } = this.axis;
    const after = closes.findIndex((close) => close >= ms);
    if (after < 1) return null;
    const part = (ms - closes[after - 1]) / (closes[after] - closes[after - 1]);
    return this.x(after - 1 + part);
  }

  #curve(steps, name) {
    const begin = [[this.x(this.axis.start), this.y(this.view.base)]];
    return begin.concat(steps.map((s) => [this.x(this.#place(s.at_ms)), this.y(s[name])]));
  }

  #place(ms) {
    this.axis.places ??= new Map(this.axis.closes.map((close, i) => [close, i]));
    return this.axis.places.get(ms);
  }

  #fan() {
    const group = element("g", { class: "fan" });
    for (const band of BANDS) {
      const lower = this.#curve(this.view.steps, band.low), upper = this.#curve(this.view.steps, band.high);
      group.append(element("path", { class: band.kind, d: `${line(upper)}${line(lower.reverse()).replace("M", "L")}Z` }));
    }
    return group;
  }

  #median() {
    return element("path", { class: "median", d: line(this.#curve(this.view.steps, "p50")) });
  }

  #naive() {
    const group = element("g", { class: "naive" });
    if (!this.view.naive) return group;
    const known = this.view.naive.filter((s) => this.#place(s.at_ms) !== undefined);
    for (const name of ["p10", "p90"]) group.append(element("path", { d: line(this.#curve(known, name)) }));
    return group;
  }

  #candles(candles) {
    const group = element("g", { class: "candles" });
    const body = Math.max(1, Math.min(9, this.pitch * 0.68));
    for (const c of candles) {
      const x = this.x(this.#place(c.close_ms)), up = c.close >= c.open;
      const top = this.y(Math.max(c.open, c.close)), tall = Math.max(1, Math.abs(this.y(c.open) - this.y(c.close)));
      const wick = up
        ? `M${x} ${this.y(c.high)}V${top}M${x} ${top + tall}V${this.y(c.low)}`
        : `M${x} ${this.y(c.high)}V${this.y(c.low)}`;
      const later = c.close_ms > this.view.cutoff_ms ? " later" : "";
      group.append(
        element("path", { class: `${up ? "up" : "down"}${later}`, d: wick }),
        element("rect", { class: `${up ? "up" : "down"}${later}`, x: x - body / 2, y: top, width: body, height: tall }),
      );
    }
    return group;
  }

  #cutoff() {
    const x = this.x(this.axis.start), group = element("g", { class: "cutoff" });
    const y = this.y(this.view.base);
    const onLeft = x > (this.left + this.right) / 2;
    group.append(
      element("path", { class: "base", d: `M${this.left} ${y}H${this.right}` }),
      element("path", { d: `M${x} ${this.top}V${this.bottom}` }),
      element("text", { x: x + (onLeft ? -6 : 6), y: this.top + 10, "text-anchor": onLeft ? "end" : "start" }, "cutoff"),
      this.#tag(this.right + 4, y, price(this.view.base, this.view.decimals), "base-tag"),
    );
    return group;
  }

  #tag(x, y, text, kind = "tag") {
    const width = 7.1 * text.length + 8;
    return element("g", { class: kind },
      element("rect", { x, y: y - 9, width, height: 18, rx: 3 }), element("text", { x: x + 4, y: y + 4 }, text));
  }

  #point(event) {
    if (!this.view || !this.axis) return;
    const x = event.clientX - this.svg.getBoundingClientRect().left;
    const index = Math.round((x - this.left) / this.pitch - 0.5);
    this.select(Math.min(this.axis.closes.length - 1, Math.max(0, index)));
  }

  #key(event) {
    if (!this.view || !this.axis) return;
    const last = this.axis.closes.length - 1, here = this.index ?? Math.round(this.axis.start);
    const next = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last, PageUp: here - 10, PageDown: here + 10 };
    if (event.key === "Escape") { this.select(null); return; }
    if (!(event.key in next)) return;
    event.preventDefault();
    this.select(Math.min(last, Math.max(0, next[event.key])));
  }
}
