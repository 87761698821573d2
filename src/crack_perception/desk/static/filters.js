// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Search, filters, order and marks of the list.

import { $, element, plural, STATES, VERDICTS } from "./words.js";

export class Filters {
  constructor(store, remembered) {
    this.store = store;
    $("search").addEventListener("input", (event) => {
      store.arrange({ filter: { text: event.target.value.trim().toLowerCase() } });
    });
    $("search").addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") {
        event.preventDefault();
        $("list").focus();
        if (!store.places.has(store.selected)) store.step(0);
      }
    });
    $("sort").value = remembered.get("sort") ?? "width";
    if (!$("sort").value) $("sort").value = "width";
    store.sort = $("sort").value;
    $("sort").addEventListener("change", (event) => {
      remembered.set("sort", event.target.value);
      store.arrange({ sort: event.target.value });
    });
    for (const [id, name] of [["filter-width", "width"], ["filter-length", "length"]]) {
      $(id).addEventListener("input", (event) => store.arrange({ filter: { [name]: Number(event.target.value) || 0 } }));
    }
    $("filter-clear").addEventListener("click", () => this.clear());
    this.offer("verdict", Object.entries(VERDICTS));
    this.offer("state", Object.entries(STATES));
    store.addEventListener("map", () => {
      if (this.severityOffered || !store.severity.length) return;
      this.severityOffered = true;
      this.offer("severity", store.severity.map((each) => [each.name, each.text]), store.colours);
    });
    store.addEventListener("view", () => this.count());
  }

  offer(name, choices, colours = null) {
    for (const [value, text] of choices) {
      const box = element("input", { type: "checkbox", value });
      box.addEventListener("change", () => {
        const chosen = this.store.filter[name];
        if (box.checked) chosen.add(value);
        else chosen.delete(value);
        this.store.arrange({});
      });
      const label = element("label", { class: "check" }, box);
      if (colours) {
        const swatch = element("span", { class: "swatch" });
        swatch.style.backgroundColor = colours.get(value);
        label.append(swatch);
      }
      label.append(text);
      $(`filter-${name}`).append(label);
    }
  }

  clear() {
    for (const box of $("filters").querySelectorAll("input[type=checkbox]")) box.checked = false;
    for (const id of ["filter-width", "filter-length", "search"]) $(id).value = "";
    const none = { text: "", verdict: new Set(), severity: new Set(), state: new Set(), width: 0, length: 0 };
    this.store.arrange({ filter: none });
  }

  count() {
    const { filter, listed, cracks } = this.store;
    const active = [filter.verdict.size, filter.severity.size, filter.state.size, filter.width, filter.length].filter(Boolean);
    $("filter-words").textContent = active.length ? `(${active.length} active)` : "";
    const total = listed.reduce((sum, id) => sum + cracks.get(id).length_m, 0);
    const all = listed.length === cracks.size ? "" : ` of ${cracks.size}`;
    $("count").textContent = `${all ? `${listed.length}${all} cracks` : plural(listed.length, "crack")}, ${total.toFixed(1)} m in all`;
  }
}
