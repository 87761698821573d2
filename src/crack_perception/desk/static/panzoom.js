// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Panning and zooming by mouse, wheel, touch and keyboard, for the plan and the photographs.
//
// The view is { scale, x, y }: a point p of the content is shown at p * scale + (x, y), in CSS pixels of the element.

const WHEEL = 0.0015;
const STEP = 1.4;
const PAN_PX = 80;
const STILL_PX = 5;

export class PanZoom {
  // options: content() -> { left, top, width, height } of everything, in content units; changed(); clicked(x, y, event);
  // most: largest scale; wheel: whether the wheel zooms without Ctrl; margin, left, bottom: room that is kept free, in pixels.
  constructor(target, options) {
    this.target = target;
    this.options = { most: 50000, wheel: true, clicked: () => {}, margin: 16, left: 0, bottom: 0, ...options };
    this.view = { scale: 1, x: 0, y: 0 };
    this.pointers = new Map();
    this.fitted = true;
    target.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    target.addEventListener("pointerdown", (event) => this.down(event));
    target.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) target.addEventListener(name, (event) => this.up(event));
    target.addEventListener("keydown", (event) => this.pressed(event));
    new ResizeObserver(() => this.resized()).observe(target);
  }

  get size() {
    return { width: this.target.clientWidth, height: this.target.clientHeight };
  }

  resized() {
    if (this.fitted) this.fit();
    else this.options.changed();
  }

  fitScale(box) {
    const { width, height } = this.size;
    const { margin, left, bottom } = this.options;
    const [across, down] = [width - left - 2 * margin, height - bottom - 2 * margin];
    return Math.max(Math.min(across / box.width, down / box.height), 1e-9);
  }

  // Show a box of the content in the middle; all of it by default.
  fit(box = null) {
    const shown = box ?? this.options.content();
    if (!shown || !this.size.width || !this.size.height) return;
    this.fitted = box === null;
    this.least = Math.max(this.fitScale(this.options.content()) * 0.5, 1e-9);
    const scale = Math.min(Math.max(this.fitScale(shown), this.least), this.options.most);
    this.set(scale, shown.left + shown.width / 2, shown.top + shown.height / 2);
  }

  // Show a point of the content in the middle.
  set(scale, middleX, middleY) {
    const { width, height } = this.size;
    const { left, bottom } = this.options;
    this.view = { scale, x: (width + left) / 2 - middleX * scale, y: (height - bottom) / 2 - middleY * scale };
    this.options.changed();
  }

  zoom(factor, x = this.size.width / 2, y = this.size.height / 2) {
    const { view } = this;
    const scale = Math.min(Math.max(view.scale * factor, this.least ?? 1e-9), this.options.most);
    const ratio = scale / view.scale;
    this.fitted = false;
    this.view = { scale, x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio };
    this.options.changed();
  }

  pan(x, y) {
    this.fitted = false;
    this.view = { ...this.view, x: this.view.x + x, y: this.view.y + y };
    this.options.changed();
  }

  step(by) {
    this.zoom(by > 0 ? STEP : 1 / STEP);
  }

  place(event) {
    const box = this.target.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  wheel(event) {
    if (!this.options.wheel && !event.ctrlKey) return;
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1;
    const pinch = event.ctrlKey ? 4 : 1; // touch pads report a pinch as a wheel with Ctrl
    this.zoom(Math.exp(-event.deltaY * lines * WHEEL * pinch), ...this.place(event));
  }

  down(event) {
    if (event.button !== 0) return;
    this.target.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.place(event));
    this.moved = this.pointers.size > 1 ? Infinity : 0;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.place(event);
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId);
    this.pointers.set(event.pointerId, now);
    if (others.length === 0) {
      this.moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (this.moved > STILL_PX) this.pan(now[0] - before[0], now[1] - before[1]);
      return;
    }
    const fixed = others[0][1];
    const ratio = Math.hypot(now[0] - fixed[0], now[1] - fixed[1]) / Math.hypot(before[0] - fixed[0], before[1] - fixed[1]);
    if (Number.isFinite(ratio) && ratio > 0) this.zoom(ratio, (now[0] + fixed[0]) / 2, (now[1] + fixed[1]) / 2);
    this.pan((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (event.type === "pointerup" && this.moved <= STILL_PX) this.options.clicked(...this.place(event), event);
    this.moved = Infinity;
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pans = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key in pans) this.pan(...pans[event.key].map((part) => part * PAN_PX));
    else if (event.key === "+" || event.key === "=") this.step(1);
    else if (event.key === "-") this.step(-1);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
