// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// The list of cracks. Only the rows in sight exist, so that thousands of cracks cost no more than a few.

import { $, element, metres, millimetres, plural, STATES, title, VERDICT_MARKS, VERDICTS } from "./words.js";

const BEYOND = 6;

export class List {
  constructor(store) {
    this.store = store;
    this.box = $("list");
    this.rows = $("rows");
    this.shown = new Map(); // id -> row
    this.box.addEventListener("scroll", () => this.request(), { passive: true });
    new ResizeObserver(() => this.request()).observe(this.box);
    this.rows.addEventListener("click", (event) => this.clicked(event));
    this.box.addEventListener("keydown", (event) => this.pressed(event));
    store.addEventListener("view", () => this.rebuild());
    store.addEventListener("marks", () => this.rebuild());
    store.addEventListener("selection", () => {
      this.reveal();
      this.rebuild();
    });
  }

  get height() {
    return Number.parseFloat(getComputedStyle(this.box).getPropertyValue("--row")) || 56;
  }

  request() {
    if (this.requested) return;
    this.requested = true;
    requestAnimationFrame(() => {
      this.requested = false;
      this.render();
    });
  }

  rebuild() {
    this.stale = true;
    this.request();
  }

  reveal() {
    const place = this.store.places.get(this.store.selected);
    if (place === undefined) return;
    const top = place * this.height;
    const bottom = top + this.height;
    // The spacer may still have the height of an older list.
    this.rows.style.height = `${this.store.listed.length * this.height}px`;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (bottom > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = bottom - this.box.clientHeight;
  }

  render() {
    const { listed, cracks } = this.store;
    const height = this.height;
    this.rows.style.height = `${listed.length * height}px`;
    const first = Math.max(0, Math.floor(this.box.scrollTop / height) - BEYOND);
    const last = Math.min(listed.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + BEYOND);
    const wanted = new Set(listed.slice(first, last));
    if (this.stale) {
      this.rows.replaceChildren();
      this.shown.clear();
      this.stale = false;
    }
    for (const [id, row] of this.shown) {
      if (wanted.has(id)) continue;
      row.remove();
      this.shown.delete(id);
    }
    for (let index = first; index < last; index += 1) {
      const id = listed[index];
      if (this.shown.has(id)) continue;
      const row = this.row(cracks.get(id), index);
      this.shown.set(id, row);
      this.rows.append(row);
    }
    const active = this.shown.get(this.store.selected);
    if (active) this.box.setAttribute("aria-activedescendant", active.id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  row(crack, index) {
    const { store } = this;
    const swatch = element("span", { class: "swatch", title: `Severity: ${crack.severity}` });
    swatch.style.backgroundColor = store.colours.get(crack.severity);
    const marked = store.marked.has(crack.id);
    const facts = [metres(crack.length_m), millimetres(crack.max_mm)];
    if (crack.max_mm === null) facts[1] = "width unknown";
    if (crack.state !== "confirmed") facts.push(STATES[crack.state].toLowerCase());
    if (crack.parts.length > 1) facts.push(plural(crack.parts.length, "part"));
    if (crack.comments) facts.push(plural(crack.comments, "comment"));
    const name = crack.name ? `${crack.name} (${crack.id})` : title(crack);
    const tick = element("span", { class: "tick", "aria-hidden": "true", title: "Mark (X)" }, marked ? "☑" : "☐");
    const verdict = element(
      "span",
      { class: `mark ${crack.verdict}`, title: VERDICTS[crack.verdict] },
      VERDICT_MARKS[crack.verdict],
    );
    const words = element(
      "span",
      { class: "words" },
      element("strong", {}, name),
      element("span", { class: "facts" }, facts.join(" · ")),
    );
    const row = element(
      "div",
      {
        id: `row-${crack.id}`,
        class: `row ${crack.verdict}`,
        role: "option",
        "aria-selected": String(crack.id === store.selected || marked),
        "aria-setsize": String(store.listed.length),
        "aria-posinset": String(index + 1),
        "aria-label": `${name}, ${crack.verdict}, ${crack.severity}, ${facts.join(", ")}${marked ? ", marked" : ""}`,
        "data-id": String(crack.id),
      },
      tick, swatch, words, verdict,
    );
    if (crack.id === store.selected) row.classList.add("selected");
    row.style.transform = `translateY(${index * this.height}px)`;
    return row;
  }

  clicked(event) {
    const row = event.target.closest(".row");
    if (!row) return;
    const id = Number(row.dataset.id);
    if (event.target.closest(".tick") || event.ctrlKey || event.metaKey) this.store.mark(id);
    else this.store.select(id);
  }

  pressed(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -1e9, End: 1e9 };
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === " " && this.store.selected !== null) this.store.mark(this.store.selected);
    else if (event.key in steps) this.store.step(steps[event.key]);
    else return;
    event.preventDefault();
  }
}
