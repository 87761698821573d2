// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Crack width along the line, with its uncertainty and the edges of the severity classes; a place on it can be chosen.

import { $, drawn, metres, roundAbove } from "./words.js";

const HEIGHT = 178;
const LEFT = 46;
const RIGHT = 12;
const TOP = 18;
const BOTTOM = 36;
const SIGMAS = 2;
const COARSE_STEP = 0.05;

export class Chart {
  // chosen(index or null): a vertex of the line was chosen by pointer or keys.
  constructor(chosen) {
    this.box = $("chart");
    this.chosen = chosen;
    this.crack = null;
    this.index = null;
    this.box.addEventListener("pointermove", (event) => this.pointed(event, false));
    this.box.addEventListener("pointerdown", (event) => this.pointed(event, true));
    this.box.addEventListener("keydown", (event) => this.pressed(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  show(crack, edges, colours) {
    const isSame = crack && this.crack?.id === crack.id && this.crack.along_m.length === crack.along_m.length;
    Object.assign(this, { crack, edges, colours });
    if (!isSame) this.index = null;
    this.draw();
  }

  get length() {
    return this.crack.along_m[this.crack.along_m.length - 1];
  }

  choose(index) {
    this.index = index;
    this.draw();
    this.chosen(index);
  }

  pointed(event, pressed) {
    // With a mouse the place follows the pointer while a button is held.
    if (!this.crack || !(pressed || event.buttons & 1)) return;
    if (pressed) this.box.setPointerCapture(event.pointerId);
    const box = this.box.getBoundingClientRect();
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT);
    this.choose(this.nearest(share * this.length));
  }

  nearest(along) {
    const { along_m: places } = this.crack;
    let best = 0;
    for (let index = 1; index < places.length; index += 1) {
      if (Math.abs(places[index] - along) < Math.abs(places[best] - along)) best = index;
    }
    return best;
  }

  pressed(event) {
    if (!this.crack || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.crack.along_m.length - 1;
    const coarse = Math.max(1, Math.round(last * COARSE_STEP));
    const now = this.index ?? Math.round(last / 2);
    const places = {
      ArrowLeft: now - 1, ArrowRight: now + 1, PageDown: now - coarse, PageUp: now + coarse, Home: 0, End: last,
    };
    if (!(event.key in places)) return;
    event.preventDefault();
    event.stopPropagation();
    this.choose(Math.min(Math.max(places[event.key], 0), last));
  }

  draw() {
    const width = this.box.clientWidth;
    if (!this.crack || !width) return;
    const { along_m: places, widths_mm: widths, sigmas_mm: sigmas } = this.crack;
    const known = widths.flatMap((each, index) => (each === null ? [] : [each + SIGMAS * (sigmas[index] ?? 0)]));
    const highest = known.length ? Math.max(...known, 0.05) : 1;
    const step = roundAbove(highest / 4);
    const top = Math.ceil(highest / step) * step;
    const x = (along) => LEFT + (along / Math.max(this.length, 1e-6)) * (width - LEFT - RIGHT);
    const y = (value) => HEIGHT - BOTTOM - (Math.min(Math.max(value, 0), top) / top) * (HEIGHT - TOP - BOTTOM);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, "aria-hidden": "true" });
    const digits = step < 0.1 ? 2 : step < 1 ? 1 : 0;
    for (let value = 0; value <= top + step / 2; value += step) {
      svg.append(
        drawn("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        drawn("text", { class: "number end", x: LEFT - 6, y: y(value) + 4 }, value.toFixed(digits)),
      );
    }
    const along = roundAbove(Math.max(this.length, 0.01) / Math.max(2, Math.floor(width / 110)));
    const alongDigits = Math.max(0, Math.ceil(-Math.log10(along) - 1e-9));
    for (let place = 0; place <= this.length + 1e-9; place += along) {
      svg.append(drawn("text", { class: "number middle", x: x(place), y: HEIGHT - 20 }, place.toFixed(alongDigits)));
    }
    svg.append(
      drawn("text", { class: "number end", x: LEFT - 6, y: 11 }, "mm"),
      drawn("text", { class: "number end", x: width - 2, y: HEIGHT - 4 }, "m along the crack"),
    );
    this.edges.forEach((edge, index) => {
      if (edge > top) return;
      const line = drawn("line", { class: "edge", x1: LEFT, x2: width - RIGHT, y1: y(edge), y2: y(edge) });
      line.style.stroke = this.colours[index + 1];
      svg.append(line);
    });
    for (const run of runs(widths)) {
      const upper = run.map((at) => `${x(places[at]).toFixed(1)},${y(widths[at] + SIGMAS * (sigmas[at] ?? 0)).toFixed(1)}`);
      const lower = run.map((at) => `${x(places[at]).toFixed(1)},${y(widths[at] - SIGMAS * (sigmas[at] ?? 0)).toFixed(1)}`);
      svg.append(drawn("polygon", { class: "band", points: [...upper, ...lower.reverse()].join(" ") }));
      const line = run.map((at) => `${x(places[at]).toFixed(1)},${y(widths[at]).toFixed(1)}`);
      svg.append(drawn("polyline", { class: "curve", points: line.join(" ") }));
    }
    if (!known.length) {
      svg.append(drawn("text", { class: "number middle", x: width / 2, y: HEIGHT / 2 }, "No width is known."));
    }
    if (this.index !== null) {
      const place = x(places[this.index]);
      svg.append(drawn("line", { class: "place", x1: place, x2: place, y1: TOP, y2: HEIGHT - BOTTOM }));
      const value = widths[this.index];
      if (value !== null) svg.append(drawn("circle", { class: "place", cx: place, cy: y(value), r: 5 }));
    }
    this.box.replaceChildren(svg);
    this.box.setAttribute("aria-valuemax", this.length.toFixed(2));
    this.box.setAttribute("aria-valuenow", this.index === null ? "0" : places[this.index].toFixed(2));
    this.box.setAttribute("aria-valuetext", this.words() || "no place chosen");
  }

  words() {
    if (!this.crack || this.index === null) return "";
    const value = this.crack.widths_mm[this.index];
    const sigma = this.crack.sigmas_mm[this.index];
    const width = value === null ? "width unknown" : `${value.toFixed(2)} mm${sigma === null ? "" : ` ± ${(SIGMAS * sigma).toFixed(2)}`}`;
    return `${width} at ${metres(this.crack.along_m[this.index])}`;
  }
}

// Stretches of vertices with a known width; a lone one is a stretch too.
function runs(widths) {
  const found = [];
  widths.forEach((width, index) => {
    if (width === null) return;
    const last = found[found.length - 1];
    if (last && last[last.length - 1] === index - 1) last.push(index);
    else found.push([index]);
  });
  return found;
}
