// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// The plan: one surface at a time with its cracks, as the camera faces it.
//
// Content units are metres on the surface with y downwards, so that the browser's transforms turn nothing round.

import { Orthophotos } from "./orthophoto.js";
import { PanZoom } from "./panzoom.js";
import { $, element, plural, roundAbove } from "./words.js";

const INK = "#1f2933";
const SOFT = "#52606d";
const GREY = "#7a858f";
const FAINT = "#cdd3d8";
const GRID = "#e3e7ea";
const SEEN = "#eceff2";
const ACCENT = "#0b5cad";
const MARKED = "#74a9dc";
const NEAR_PX = { mouse: 10, touch: 24, pen: 14 };
const MOST_LABELS = 120;
const VERTICES_PX = 3;
const STILL_MS = 140;
const MANY = 400;
const GRID_PX = 90;
const NUMBERS_LEFT = 42;
const NUMBERS_BOTTOM = 20;
const FONT = "12px system-ui, sans-serif";
const BOLD = "bold 13px system-ui, sans-serif";

export class Plan {
  constructor(store, remembered) {
    this.store = store;
    this.orthophotos = new Orthophotos(() => this.request());
    this.opacity = $("opacity");
    this.opacity.value = remembered.get("opacity") ?? this.opacity.value;
    this.opacity.setAttribute("aria-valuetext", `${this.opacity.value} %`);
    this.opacity.addEventListener("input", () => {
      remembered.set("opacity", this.opacity.value);
      this.opacity.setAttribute("aria-valuetext", `${this.opacity.value} %`);
      this.request();
    });
    this.remembered = remembered;
    $("coverage").checked = remembered.get("coverage") === "on";
    $("coverage").addEventListener("change", (event) => this.setCoverage(event.target.checked));
    this.canvas = $("plan");
    this.choice = $("facet");
    this.facet = 0;
    this.shapes = new Map(); // id -> { crack, points, low, high, level, path }
    this.cursor = null; // a point on the surface that the chart points at
    this.panzoom = new PanZoom(this.canvas, {
      content: () => this.box(),
      changed: () => this.moved(),
      clicked: (x, y, event) => this.clicked(x, y, event),
      most: 20000,
      left: NUMBERS_LEFT,
      bottom: NUMBERS_BOTTOM,
    });
    this.choice.addEventListener("change", () => this.show(Number(this.choice.value)));
    $("plan-in").addEventListener("click", () => this.panzoom.step(1));
    $("plan-out").addEventListener("click", () => this.panzoom.step(-1));
    $("plan-all").addEventListener("click", () => this.panzoom.fit());
    $("plan-crack").addEventListener("click", () => this.zoomToCrack());
    store.addEventListener("map", (event) => {
      if (event.detail.facets) this.offerFacets();
      if (event.detail.changed) this.request();
    });
    for (const name of ["view", "marks"]) store.addEventListener(name, () => this.request());
    store.addEventListener("selection", (event) => {
      this.cursor = null;
      if (event.detail.reveal) this.reveal();
      this.request();
    });
  }

  offerFacets() {
    const counts = this.store.facets.map(() => 0);
    for (const crack of this.store.cracks.values()) if (crack.facet !== null) counts[crack.facet] += 1;
    this.choice.replaceChildren(
      ...this.store.facets.map((facet, index) =>
        element("option", { value: String(index) }, `${facet.name} (${plural(counts[index], "crack")}) – ${facet.words}`),
      ),
    );
    this.show(Math.min(this.facet, Math.max(this.store.facets.length - 1, 0)));
  }

  show(index) {
    this.facet = index;
    this.choice.value = String(index);
    const facet = this.store.facets[index];
    const words = facet ? `Plan of surface ${facet.name}, ${facet.words}` : "Plan";
    this.canvas.setAttribute("aria-label", `${words}. Arrow keys move it, plus and minus zoom, 0 shows all.`);
    this.seen = new Path2D();
    for (const area of facet?.seen ?? []) {
      area.forEach(([u, v], vertex) => (vertex ? this.seen.lineTo(u, -v) : this.seen.moveTo(u, -v)));
      this.seen.closePath();
    }
    this.offerCoverage(facet?.coverage ?? []);
    $("orthophoto").hidden = !facet?.orthophotos.length && !this.store.orthophotoProblem;
    this.opacity.disabled = !facet?.orthophotos.length;
    $("orthophoto").title = this.store.orthophotoProblem || "Opacity of the orthophoto under the plan";
    this.panzoom.fit();
  }

  // The areas of a surface by the finest width that their images resolve: one path for each class.
  offerCoverage(areas) {
    this.coverage = new Map();
    for (const { label, corners } of areas) {
      if (!this.coverage.has(label)) this.coverage.set(label, new Path2D());
      const path = this.coverage.get(label);
      corners.forEach(([u, v], vertex) => (vertex ? path.lineTo(u, -v) : path.moveTo(u, -v)));
      path.closePath();
    }
    $("resolution").hidden = !this.coverage.size;
    const classes = [...this.coverage.keys()].sort((a, b) => a - b).map((label) => {
      const { words, colour } = this.store.coverageClasses[label];
      const sample = element("span", { class: "patch" });
      sample.style.background = colour;
      return element("li", {}, sample, words);
    });
    $("coverage-legend").replaceChildren(element("li", {}, "Cracks that may have been missed:"), ...classes);
    this.showCoverageLegend();
  }

  setCoverage(on) {
    if (!this.coverage?.size) return;
    $("coverage").checked = on;
    this.remembered.set("coverage", on ? "on" : "off");
    this.showCoverageLegend();
    this.request();
  }

  showCoverageLegend() {
    $("coverage-legend").hidden = !$("coverage").checked || !this.coverage.size;
  }

  box() {
    const facet = this.store.facets[this.facet];
    if (!facet) return null;
    const [[left, bottom], [right, top]] = [facet.low, facet.high];
    return { left, top: -top, width: right - left, height: top - bottom };
  }

  shape(crack) {
    let shape = this.shapes.get(crack.id);
    if (shape?.crack === crack) return shape;
    const points = crack.line.map(([u, v]) => [u, -v]);
    const xs = points.map((point) => point[0]);
    const ys = points.map((point) => point[1]);
    shape = { crack, points, low: [Math.min(...xs), Math.min(...ys)], high: [Math.max(...xs), Math.max(...ys)] };
    this.shapes.set(crack.id, shape);
    return shape;
  }

  // The path of a crack for this scale, without vertices that are closer than can be seen.
  path(shape, scale) {
    const level = Math.ceil(Math.log2(scale));
    if (shape.level === level) return shape.path;
    const least = VERTICES_PX / 2 ** level;
    const path = new Path2D();
    const { points } = shape;
    let [x, y] = points[0];
    path.moveTo(x, y);
    points.forEach((point, vertex) => {
      if (vertex === 0) return;
      if (vertex < points.length - 1 && Math.abs(point[0] - x) < least && Math.abs(point[1] - y) < least) return;
      [x, y] = point;
      path.lineTo(x, y);
    });
    Object.assign(shape, { level, path });
    return path;
  }

  // Bring the selected crack into sight: to its surface, and into the middle where it is not all in the picture.
  reveal() {
    const crack = this.store.current;
    if (!crack || crack.facet === null) return;
    if (crack.facet !== this.facet) this.show(crack.facet);
    const { low, high } = this.shape(crack);
    const { scale, x, y } = this.panzoom.view;
    const { width, height } = this.panzoom.size;
    const inSight =
      low[0] * scale + x >= 0 && low[1] * scale + y >= 0 && high[0] * scale + x <= width && high[1] * scale + y <= height;
    if (inSight) return;
    const fits = (high[0] - low[0]) * scale < width && (high[1] - low[1]) * scale < height;
    if (fits) {
      this.panzoom.fitted = false;
      this.panzoom.set(scale, (low[0] + high[0]) / 2, (low[1] + high[1]) / 2);
    } else this.zoomToCrack();
  }

  zoomToCrack() {
    const crack = this.store.current;
    if (!crack || crack.facet === null) return;
    if (crack.facet !== this.facet) this.show(crack.facet);
    const { low, high } = this.shape(crack);
    const margin = 0.15 * Math.max(high[0] - low[0], high[1] - low[1], 0.1);
    this.panzoom.fit({
      left: low[0] - margin,
      top: low[1] - margin,
      width: high[0] - low[0] + 2 * margin,
      height: high[1] - low[1] + 2 * margin,
    });
  }

  clicked(x, y, event) {
    const id = this.nearest(x, y, NEAR_PX[event.pointerType] ?? NEAR_PX.mouse);
    if (id === null) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey) this.store.mark(id);
    else this.store.select(id, { reveal: false });
  }

  // The crack next to a place on the screen; listed ones come before those that the filter hides.
  nearest(x, y, within) {
    const { scale, x: left, y: top } = this.panzoom.view;
    const u = (x - left) / scale;
    const v = (y - top) / scale;
    let best = null;
    let least = within / scale;
    for (const listed of [true, false]) {
      for (const crack of this.store.cracks.values()) {
        if (crack.facet !== this.facet || this.store.places.has(crack.id) !== listed) continue;
        const { points, low, high } = this.shape(crack);
        if (u < low[0] - least || u > high[0] + least || v < low[1] - least || v > high[1] + least) continue;
        for (let index = 1; index < points.length; index += 1) {
          const distance = distanceTo(u, v, points[index - 1], points[index]);
          if (distance < least) [best, least] = [crack.id, distance];
        }
      }
      if (best !== null) return best;
    }
    return null;
  }

  // While the view moves, many cracks are drawn without their edges and labels; all of it once it rests.
  moved() {
    this.moving = true;
    clearTimeout(this.rest);
    this.rest = setTimeout(() => {
      this.moving = false;
      this.request();
    }, STILL_MS);
    this.request();
  }

  request() {
    if (this.requested) return;
    this.requested = true;
    requestAnimationFrame(() => {
      this.requested = false;
      this.draw();
    });
  }

  draw() {
    const started = performance.now();
    const { width, height } = this.panzoom.size;
    const density = window.devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * density) || this.canvas.height !== Math.round(height * density)) {
      this.canvas.width = Math.round(width * density);
      this.canvas.height = Math.round(height * density);
    }
    const context = this.canvas.getContext("2d");
    const { scale, x, y } = this.panzoom.view;
    const onScreen = () => context.setTransform(density, 0, 0, density, 0, 0);
    const onSurface = () => context.setTransform(density * scale, 0, 0, density * scale, density * x, density * y);
    onScreen();
    context.clearRect(0, 0, width, height);
    if (!this.store.facets.length) {
      context.font = BOLD;
      context.fillStyle = SOFT;
      context.textAlign = "center";
      context.fillText("There are no cracks on surfaces in this map.", width / 2, height / 2);
      return;
    }
    onSurface();
    context.fillStyle = SEEN;
    context.fill(this.seen);
    const low = [-x / scale, -y / scale];
    const high = [(width - x) / scale, (height - y) / scale];
    const pictures = this.drawOrthophotos(context, density * scale, low, high);
    const classes = this.drawCoverage(context, pictures > 0);
    const grid = this.gridStep(scale);
    onScreen();
    this.drawGrid(context, grid, width, height);
    onSurface();
    context.lineJoin = "round";
    context.lineCap = this.moving ? "butt" : "round";
    const inSight = [];
    const hidden = [];
    for (const crack of this.store.cracks.values()) {
      if (crack.facet !== this.facet) continue;
      const shape = this.shape(crack);
      if (shape.high[0] < low[0] || shape.low[0] > high[0] || shape.high[1] < low[1] || shape.low[1] > high[1]) continue;
      (this.store.places.has(crack.id) ? inSight : hidden).push(shape);
    }
    const isQuick = this.moving && inSight.length > MANY;
    this.drawCracks(context, inSight, hidden, scale, isQuick);
    onScreen();
    if (this.cursor) this.drawCursor(context);
    if (!isQuick) this.drawLabels(context, inSight, width, height);
    this.drawNumbers(context, grid, width, height);
    Object.assign(this.canvas.dataset, {
      scale: scale.toFixed(3),
      x: x.toFixed(1),
      y: y.toFixed(1),
      drawn: String(inSight.length),
      pictures: String(pictures),
      tiles: String(this.orthophotos.drawnTiles),
      classes: String(classes),
      ms: (performance.now() - started).toFixed(1),
    });
  }

  // Number of classes of resolution that were drawn; over a picture they let it through.
  drawCoverage(context, isOverPicture) {
    if (!$("coverage").checked) return 0;
    context.save();
    context.globalAlpha = isOverPicture ? 0.45 : 0.7;
    for (const [label, path] of this.coverage) {
      context.fillStyle = this.store.coverageClasses[label].colour;
      context.fill(path);
    }
    context.restore();
    return this.coverage.size;
  }

  // Number of pictures that were drawn under the plan.
  drawOrthophotos(context, scale, low, high) {
    const opacity = Number(this.opacity.value) / 100;
    this.orthophotos.drawnTiles = 0;
    if (opacity === 0) return 0;
    return this.orthophotos.draw(context, this.store.facets[this.facet].orthophotos, opacity, scale, low, high);
  }

  drawCracks(context, inSight, hidden, scale, isQuick) {
    context.strokeStyle = FAINT;
    context.lineWidth = 1.2 / scale;
    context.setLineDash([]);
    for (const shape of isQuick ? [] : hidden) context.stroke(this.path(shape, scale));
    const emphasis = (shape) =>
      shape.crack.id === this.store.selected ? 2 : this.store.marked.has(shape.crack.id) ? 1 : 0;
    // Wide ones below, so that they do not hide thin ones; what is selected on top.
    inSight.sort((a, b) => emphasis(a) - emphasis(b) || (b.crack.width_mm ?? 0) - (a.crack.width_mm ?? 0));
    for (const shape of inSight) {
      const { crack } = shape;
      const path = this.path(shape, scale);
      // Wide cracks are drawn wider, but never as a blot.
      const most = Math.max(1.6, 0.15 * crack.length_m * scale);
      const line = Math.min(6, most, 2 + 1.2 * (crack.width_mm ?? 0.2));
      const emphasised = emphasis(shape);
      if (emphasised) {
        context.setLineDash([]);
        context.strokeStyle = emphasised === 2 ? ACCENT : MARKED;
        context.lineWidth = (line + (emphasised === 2 ? 8 : 6)) / scale;
        context.stroke(path);
        context.strokeStyle = "#ffffff";
        context.lineWidth = (line + 3) / scale;
        context.stroke(path);
      }
      if (crack.verdict === "rejected") {
        context.setLineDash([2 / scale, 5 / scale]);
        context.strokeStyle = GREY;
        context.lineWidth = 1.8 / scale;
        context.stroke(path);
        context.setLineDash([]);
        continue;
      }
      context.setLineDash(crack.state === "new" ? [9 / scale, 6 / scale] : []);
      if (!isQuick) {
        context.strokeStyle = crack.state === "lost" ? GREY : INK;
        context.lineWidth = (line + 1.4) / scale;
        context.stroke(path);
      }
      context.strokeStyle = this.store.colours.get(crack.severity);
      context.lineWidth = line / scale;
      context.stroke(path);
    }
    context.setLineDash([]);
  }

  drawCursor(context) {
    const { scale, x, y } = this.panzoom.view;
    context.beginPath();
    context.arc(this.cursor[0] * scale + x, -this.cursor[1] * scale + y, 6, 0, 2 * Math.PI);
    context.fillStyle = "#ffffff";
    context.fill();
    context.lineWidth = 2.5;
    context.strokeStyle = ACCENT;
    context.stroke();
  }

  drawLabels(context, inSight, width, height) {
    const { scale, x, y } = this.panzoom.view;
    const taken = [];
    const order = [...inSight].reverse();
    order.sort((a, b) => Number(b.crack.id === this.store.selected) - Number(a.crack.id === this.store.selected)
      || (b.crack.max_mm ?? 0) - (a.crack.max_mm ?? 0));
    context.textAlign = "left";
    context.lineJoin = "round";
    let count = 0;
    for (const { crack, points } of order) {
      if (count >= MOST_LABELS) break;
      const selected = crack.id === this.store.selected;
      const [u, v] = points[Math.floor(points.length / 2)];
      const text = `${crack.verdict === "accepted" ? "✓ " : crack.verdict === "rejected" ? "✕ " : ""}${crack.name || crack.id}`;
      context.font = selected ? BOLD : FONT;
      const left = u * scale + x + 9;
      const top = v * scale + y - 16;
      const right = left + context.measureText(text).width;
      if (left < 44 || top < 0 || right > width || top + 16 > height - 22) continue;
      if (taken.some((box) => left < box[2] + 4 && right > box[0] - 4 && top < box[3] && top + 16 > box[1])) continue;
      taken.push([left, top, right, top + 16]);
      context.lineWidth = 4;
      context.strokeStyle = "rgba(255, 255, 255, 0.92)";
      context.strokeText(text, left, top + 12);
      context.fillStyle = selected ? ACCENT : crack.verdict === "rejected" ? SOFT : INK;
      context.fillText(text, left, top + 12);
      count += 1;
    }
  }

  gridStep(scale) {
    return roundAbove(GRID_PX / scale);
  }

  drawGrid(context, step, width, height) {
    const { scale, x, y } = this.panzoom.view;
    context.beginPath();
    for (let u = Math.ceil(-x / scale / step) * step; u * scale + x <= width; u += step) {
      context.moveTo(Math.round(u * scale + x) + 0.5, 0);
      context.lineTo(Math.round(u * scale + x) + 0.5, height);
    }
    for (let v = Math.ceil(-y / scale / step) * step; v * scale + y <= height; v += step) {
      context.moveTo(0, Math.round(v * scale + y) + 0.5);
      context.lineTo(width, Math.round(v * scale + y) + 0.5);
    }
    context.strokeStyle = GRID;
    context.lineWidth = 1;
    context.stroke();
  }

  drawNumbers(context, step, width, height) {
    const { scale, x, y } = this.panzoom.view;
    const [along, up] = this.store.facets[this.facet].axes;
    const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
    const number = (value) => (Math.abs(value) < step / 2 ? 0 : value).toFixed(digits);
    context.fillStyle = "rgba(255, 255, 255, 0.88)";
    context.fillRect(0, height - NUMBERS_BOTTOM, width, NUMBERS_BOTTOM);
    context.fillRect(0, 0, NUMBERS_LEFT, height);
    context.font = FONT;
    context.fillStyle = SOFT;
    context.textAlign = "center";
    for (let u = Math.ceil((60 - x) / scale / step) * step; u * scale + x <= width - 80; u += step) {
      context.fillText(number(along.sign * u), u * scale + x, height - 6);
    }
    context.textAlign = "right";
    for (let v = Math.ceil((24 - y) / scale / step) * step; v * scale + y <= height - 26; v += step) {
      context.fillText(number(up.sign * -v), 38, v * scale + y + 4);
    }
    context.fillText(`${along.name} [m]`, width - 6, height - 6);
    context.textAlign = "left";
    context.fillText(`${up.name} [m]`, 6, 14);
  }

  point(place) {
    this.cursor = place;
    this.request();
  }

}

function distanceTo(u, v, [x1, y1], [x2, y2]) {
  const length = (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const share = length ? Math.min(1, Math.max(0, ((u - x1) * (x2 - x1) + (v - y1) * (y2 - y1)) / length)) : 0;
  return Math.hypot(u - x1 - share * (x2 - x1), v - y1 - share * (y2 - y1));
}
