// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// A photograph with its measured lines over it, widths written along them, and a scale bar.

import { PanZoom } from "./panzoom.js";
import { photographUrl } from "./server.js";
import { drawn, element, roundBelow } from "./words.js";

const LABEL_PX = 95;
const ASIDE_PX = 15;
const BAR_PX = 130;
// Width on the screen from which the measured edges are drawn, between which the crack is seen.
const EDGES_FROM_PX = 7;
const PIXELS_FROM = 4; // scale from which single pixels are shown as such

export class PhotographView {
  constructor(box, { wheel }) {
    this.box = box;
    this.image = element("img", { alt: "", draggable: "false" });
    this.layer = drawn("svg", { "aria-hidden": "true" });
    this.failure = element("p", { class: "failure", hidden: true }, "The file of this photograph is missing or damaged.");
    box.append(this.image, this.layer, this.failure);
    this.overlay = true;
    this.photograph = null;
    this.panzoom = new PanZoom(box, {
      content: () => this.photograph && { left: 0, top: 0, width: this.size[0], height: this.size[1] },
      changed: () => this.request(),
      most: 16,
      wheel,
      margin: 0,
    });
    this.image.addEventListener("load", () => {
      box.dataset.loaded = this.photograph?.file ?? "";
      this.failure.hidden = true;
      this.panzoom.fit();
    });
    this.image.addEventListener("error", () => {
      this.failure.hidden = !this.photograph;
    });
  }

  get size() {
    return this.image.naturalWidth ? [this.image.naturalWidth, this.image.naturalHeight] : this.photograph.size_px;
  }

  show(photograph, description) {
    if (photograph?.file === this.photograph?.file) return;
    this.photograph = photograph;
    this.box.dataset.loaded = "";
    this.failure.hidden = true;
    this.layer.replaceChildren();
    this.image.hidden = !photograph;
    if (!photograph) {
      this.image.removeAttribute("src");
      return;
    }
    this.image.alt = description;
    this.image.src = photographUrl(photograph.file);
    this.panzoom.fit();
  }

  setOverlay(on) {
    this.overlay = on;
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
    if (!this.photograph) return;
    const { scale, x, y } = this.panzoom.view;
    this.image.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    this.image.classList.toggle("pixels", scale >= PIXELS_FROM);
    this.box.dataset.scale = scale.toFixed(3);
    const { width, height } = this.panzoom.size;
    const parts = [];
    if (this.overlay) {
      // The centre of the first pixel is (0, 0).
      const lines = this.photograph.lines.map((line) => ({
        points: line.points_px.map(([u, v]) => [(u + 0.5) * scale + x, (v + 0.5) * scale + y]),
        widths: line.widths_mm,
      }));
      const gsd = this.photograph.gsd_mm_per_px;
      for (const line of lines) {
        const widths = line.widths.map((width) => (width === null || !gsd ? 0 : (width / gsd) * scale));
        const isWide = widths.filter((width) => width >= EDGES_FROM_PX).length > widths.length / 2;
        for (const points of isWide ? edges(line.points, widths) : [line.points]) {
          const path = points.map((point) => point.map((part) => part.toFixed(1)).join(",")).join(" ");
          parts.push(drawn("polyline", { class: "casing", points: path }), drawn("polyline", { class: "line", points: path }));
        }
      }
      const taken = [];
      for (const line of lines) parts.push(...widthLabels(line, taken, width, height));
    }
    parts.push(...this.scaleBar(scale, height));
    this.layer.replaceChildren(...parts);
  }

  scaleBar(scale, height) {
    const gsd = this.photograph.gsd_mm_per_px;
    if (!gsd) return [];
    const size = roundBelow((BAR_PX / scale) * gsd);
    const long = (size / gsd) * scale;
    const text = size >= 1000 ? `${size / 1000} m` : size >= 10 ? `${size / 10} cm` : `${Number(size.toPrecision(2))} mm`;
    const bar = drawn("path", { d: `M12,${height - 18}v6h${long.toFixed(1)}v-6`, class: "bar" });
    const edge = drawn("path", { d: `M12,${height - 18}v6h${long.toFixed(1)}v-6`, class: "bar-edge" });
    return [edge, bar, drawn("text", { x: 14, y: height - 21, class: "bar-text" }, text)];
  }
}

// The two edges of a line by its widths, both in pixels of the screen.
function edges(points, widths) {
  const sides = [[], []];
  points.forEach(([x, y], index) => {
    const [x1, y1] = points[Math.max(index - 1, 0)];
    const [x2, y2] = points[Math.min(index + 1, points.length - 1)];
    const length = Math.hypot(x2 - x1, y2 - y1) || 1;
    sides.forEach((side, number) => {
      const half = (number ? -0.5 : 0.5) * widths[index];
      side.push([x - ((y2 - y1) / length) * half, y + ((x2 - x1) / length) * half]);
    });
  });
  return sides;
}

// Widths at even distances along a line, where there is room beside it.
function widthLabels({ points, widths }, taken, width, height) {
  const labels = [];
  let along = 0;
  let next = LABEL_PX / 2;
  for (let index = 1; index < points.length; index += 1) {
    const [x1, y1] = points[index - 1];
    const [x2, y2] = points[index];
    const step = Math.hypot(x2 - x1, y2 - y1);
    while (step > 0 && along + step >= next) {
      const share = (next - along) / step;
      next += LABEL_PX;
      const value = between(widths[index - 1], widths[index], share);
      if (value === null) continue;
      const at = [x1 + share * (x2 - x1), y1 + share * (y2 - y1)];
      const [across, down] = [(y2 - y1) / step, -(x2 - x1) / step];
      const aside = ASIDE_PX + 10 * Math.abs(across); // a text is wider than high
      const place = [at[0] + across * aside, at[1] + down * aside];
      if (place[0] < 16 || place[0] > width - 16 || place[1] < 12 || place[1] > height - 8) continue;
      if (taken.some((other) => Math.hypot((other[0] - place[0]) / 2, other[1] - place[1]) < 18)) continue;
      taken.push(place);
      labels.push(
        drawn("circle", { cx: at[0].toFixed(1), cy: at[1].toFixed(1), r: 2.5, class: "dot" }),
        drawn("text", { x: place[0].toFixed(1), y: (place[1] + 4).toFixed(1), class: "width" }, value.toFixed(2)),
      );
    }
    along += step;
  }
  return labels;
}

function between(one, other, share) {
  if (one === null || other === null) return share < 0.5 ? one : other;
  return one + share * (other - one);
}
