// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Everything about the selected crack: verdict, photographs, widths, description, measurements and history.

import { Chart } from "./chart.js";
import { PhotographView } from "./photograph.js";
import { get, photographUrl } from "./server.js";
import { $, day, element, metres, millimetres, plural, STATES, title, VERDICTS } from "./words.js";

export class Panel {
  // actions: decide(requests, options), undoOne(decision), report(problem)
  constructor(store, plan, actions) {
    this.store = store;
    this.plan = plan;
    this.actions = actions;
    this.detail = null;
    this.place = 0; // of the photograph that is shown
    this.view = new PhotographView($("photograph"), { wheel: false });
    this.enlarged = new PhotographView($("enlarged"), { wheel: true });
    this.chart = new Chart((index) => this.pointAt(index));
    this.listen();
    store.addEventListener("selection", () => this.load());
    store.addEventListener("map", (event) => {
      if (event.detail.changed) this.load();
      this.enable();
    });
  }

  listen() {
    const id = () => this.store.selected;
    for (const action of ["accept", "reject", "reopen"]) $(action).addEventListener("click", () => this.verdict(action));
    $("previous").addEventListener("click", () => this.store.step(-1));
    $("next").addEventListener("click", () => this.store.step(1));
    $("overlay").addEventListener("change", (event) => this.setOverlay(event.target.checked));
    $("enlarged-overlay").addEventListener("change", (event) => this.setOverlay(event.target.checked));
    $("enlarge").addEventListener("click", () => this.enlarge());
    $("photograph").addEventListener("dblclick", () => this.enlarge());
    $("enlarged-previous").addEventListener("click", () => this.turn(-1));
    $("enlarged-next").addEventListener("click", () => this.turn(1));
    $("enlarged-in").addEventListener("click", () => this.enlarged.panzoom.step(1));
    $("enlarged-out").addEventListener("click", () => this.enlarged.panzoom.step(-1));
    $("enlarged-all").addEventListener("click", () => this.enlarged.panzoom.fit());
    $("split").addEventListener("click", () => this.split());
    $("name").addEventListener("change", (event) => {
      if (!this.detail || event.target.value.trim() === this.detail.name) return;
      this.actions.decide([{ action: "rename", crack_id: id(), name: event.target.value }]);
    });
    $("name").addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.target.blur();
      if (event.key === "Escape") {
        event.target.value = this.detail?.name ?? "";
        event.target.blur();
      }
    });
    $("severity").addEventListener("change", (event) => {
      this.actions.decide([{ action: "severity", crack_id: id(), severity: event.target.value || null }]);
    });
    $("structural").addEventListener("change", () => this.structural());
    $("comment").addEventListener("input", () => this.enable());
    $("comment").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.comment();
    });
    $("add-comment").addEventListener("click", () => this.comment());
  }

  verdict(action) {
    if (this.store.selected === null || $(action).disabled) return;
    const next = $("advance").checked && action !== "reopen" ? this.store.nextOpen() : null;
    this.actions.decide([{ action, crack_id: this.store.selected }], { next });
  }

  // Turn the mark for a structural review round.
  async structural() {
    if (!this.detail || $("structural").disabled) return;
    const needed = !this.detail.structural_review;
    const done = await this.actions.decide([{ action: "structural_review", crack_id: this.detail.id, needed }]);
    if (!done) $("structural").checked = this.detail?.structural_review ?? false;
  }

  async comment() {
    const text = $("comment").value;
    if (!text.trim() || $("add-comment").disabled) return;
    const done = await this.actions.decide([{ action: "comment", crack_id: this.store.selected, text }]);
    if (done) $("comment").value = "";
    this.enable();
  }

  split() {
    if ($("split").disabled || this.chart.index === null) return;
    const along = this.detail.along_m[this.chart.index];
    this.actions.decide([{ action: "split", crack_id: this.store.selected, along_m: along }]);
  }

  async load() {
    const id = this.store.selected;
    $("nothing").hidden = id !== null;
    $("crack").hidden = id === null;
    if (id === null) {
      this.detail = null;
      return;
    }
    if (this.detail?.id !== id) {
      $("comment").value = "";
      this.headline(this.store.current);
    }
    let detail;
    try {
      detail = await get(`/api/cracks/${id}`);
    } catch (problem) {
      if (this.store.selected === id) this.actions.report(problem);
      return;
    }
    if (this.store.selected !== id) return; // another one was chosen meanwhile
    const isOther = this.detail?.id !== id;
    this.detail = detail;
    if (isOther) {
      this.place = 0;
      $("crack-area").scrollTop = 0;
    }
    this.show();
  }

  headline(crack) {
    $("crack-title").textContent = crack.name ? `${crack.name} (crack ${crack.id})` : title(crack);
    const words = [VERDICTS[crack.verdict], STATES[crack.state].toLowerCase(), metres(crack.length_m)];
    words.push(crack.max_mm === null ? "width unknown" : `up to ${millimetres(crack.max_mm)} wide`);
    if (crack.structural_review) words.push("needs a structural review");
    $("crack-words").textContent = words.join(" · ");
    $("accept").setAttribute("aria-pressed", String(crack.verdict === "accepted"));
    $("reject").setAttribute("aria-pressed", String(crack.verdict === "rejected"));
    $("crack").dataset.verdict = crack.verdict;
  }

  show() {
    const { detail, store } = this;
    this.headline(detail);
    $("crack").dataset.id = String(detail.id);
    if (document.activeElement !== $("name")) $("name").value = detail.name;
    const options = store.severity.map((each) => element("option", { value: each.name }, each.text));
    const measured = store.severity.find((each) => each.name === detail.measured)?.text ?? detail.measured;
    $("severity").replaceChildren(element("option", { value: "" }, `measured: ${measured}`), ...options);
    $("severity").value = store.ranks.has(detail.chosen) ? detail.chosen : "";
    $("structural").checked = detail.structural_review;
    this.chart.show(detail, store.edges, store.severity.map((each) => each.colour));
    $("chart-words").textContent = this.chart.words() || "Choose a place to read the width there, or to split the crack.";
    this.showPhotographs();
    this.showComments();
    this.showFacts();
    this.showHistory();
    this.enable();
  }

  enable() {
    const blocked = this.store.readOnly || this.store.problem;
    const { detail } = this;
    for (const id of ["accept", "reject", "reopen", "name", "severity", "structural", "comment"]) $(id).disabled = Boolean(blocked);
    $("reopen").disabled = Boolean(blocked) || detail?.verdict === "open";
    $("add-comment").disabled = Boolean(blocked) || !$("comment").value.trim();
    const { index } = this.chart;
    const inside = detail && index !== null && index > 0 && index < detail.along_m.length - 1;
    $("split").disabled = Boolean(blocked) || !inside;
    for (const button of document.querySelectorAll("#history button")) button.disabled = Boolean(blocked);
  }

  // Photographs

  get photographs() {
    return this.detail?.photograph_list ?? [];
  }

  showPhotographs() {
    const list = this.photographs;
    this.place = Math.min(this.place, Math.max(0, list.length - 1));
    $("photographs").classList.toggle("none", list.length === 0);
    $("photograph-count").textContent = list.length ? "" : "There are none of this crack.";
    for (const id of ["enlarge", "overlay"]) $(id).disabled = list.length === 0;
    $("thumbnails").replaceChildren(
      ...(list.length > 1 ? list : []).map((photograph, index) => {
        const image = element("img", { src: photographUrl(photograph.file), alt: "", loading: "lazy" });
        const button = element("button", { type: "button", "aria-label": `Photograph ${index + 1} of ${list.length}` }, image);
        button.addEventListener("click", () => this.turnTo(index));
        return button;
      }),
    );
    this.turnTo(this.place);
  }

  turn(by) {
    const count = this.photographs.length;
    if (count) this.turnTo((this.place + by + count) % count);
  }

  turnTo(index) {
    this.place = index;
    const photograph = this.photographs[index] ?? null;
    const count = this.photographs.length;
    const name = this.detail ? title(this.detail) : "";
    const description = `Photograph ${index + 1} of ${count} of ${name}`;
    this.view.show(photograph, description);
    if ($("photograph-dialog").open) {
      if (photograph) this.enlarged.show(photograph, description);
      else $("photograph-dialog").close();
    }
    [...$("thumbnails").children].forEach((each, place) => each.setAttribute("aria-pressed", String(place === index)));
    const facts = [];
    if (photograph) {
      facts.push(day(photograph.time));
      if (photograph.gsd_mm_per_px !== null) facts.push(`${photograph.gsd_mm_per_px.toFixed(2)} mm/px`);
      if (photograph.obliquity_deg !== null) facts.push(`seen ${Math.round(photograph.obliquity_deg)}° from square`);
      if (photograph.completeness !== null) facts.push(`${Math.round(photograph.completeness * 100)} % of the crack`);
      facts.push(photograph.source, `model ${photograph.model}`);
    }
    $("photograph-words").textContent = facts.join(" · ");
    $("enlarged-words").textContent = `${name}, photograph ${index + 1} of ${count} · ${facts.slice(0, 2).join(" · ")}`;
  }

  setOverlay(on) {
    $("overlay").checked = on;
    $("enlarged-overlay").checked = on;
    this.view.setOverlay(on);
    this.enlarged.setOverlay(on);
  }

  enlarge() {
    if (!this.photographs.length || $("photograph-dialog").open) return;
    $("photograph-dialog").showModal();
    this.turnTo(this.place);
    this.enlarged.panzoom.fit();
    $("enlarged").focus();
  }

  // Widths

  pointAt(index) {
    $("chart-words").textContent = this.chart.words();
    this.plan.point(index === null ? null : this.detail.whole_line[index] ?? null);
    this.enable();
  }

  // Texts

  showComments() {
    $("comments").replaceChildren(
      ...this.detail.comment_list.map((comment) =>
        element(
          "li",
          {},
          element("p", {}, comment.text),
          element("p", { class: "small" }, `${comment.author}, ${day(comment.time)}`),
        ),
      ),
    );
  }

  showFacts() {
    const { detail, store } = this;
    const uncertain = (value, sigma, unit, digits) =>
      value === null ? "unknown" : `${value.toFixed(digits)}${sigma === null ? "" : ` ± ${(2 * sigma).toFixed(digits)}`} ${unit}`;
    const point = (place) => `(${place.map((each) => each.toFixed(2)).join(", ")}) m`;
    const chances = detail.probabilities.map((each, index) => `${store.severity[index].name} ${Math.round(each * 100)} %`);
    const surface = store.facets[detail.facet];
    const facts = [
      ["Length", metres(detail.length_m)],
      ["Mean width", uncertain(detail.width_mm, detail.sigma_mm, "mm", 2)],
      ["Greatest width", millimetres(detail.max_mm)],
      ["Measured severity", chances.length ? `${detail.measured} (${chances.join(", ")})` : detail.measured],
      ["Probability of a crack", detail.score === null ? "unknown" : `${Math.round(detail.score * 100)} %`],
      ["Surface", surface ? `${surface.name}, ${surface.words}` : "unknown"],
      ["From", point(detail.start_m)],
      ["To", point(detail.end_m)],
      ["Position", detail.position_sigma_m === null ? "uncertainty unknown" : `± ${(2 * detail.position_sigma_m).toFixed(2)} m`],
      ["Finest resolution", detail.gsd_mm_per_px === null ? "unknown" : `${detail.gsd_mm_per_px.toFixed(2)} mm/px`],
      ["Seen", `${plural(detail.views, "time")}, ${day(detail.first_seen)} to ${day(detail.last_seen)}`],
    ];
    if (detail.parts.length > 1) facts.push(["Consists of", `cracks ${detail.parts.join(", ")} of the map`]);
    else if (detail.parts[0] !== detail.id) facts.push(["Part of", `crack ${detail.parts[0]} of the map`]);
    $("facts").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  }

  showHistory() {
    $("history").replaceChildren(
      ...this.detail.history.map((entry) => {
        const words = element("p", {}, `${entry.author || "Somebody"} ${entry.words}`);
        const item = element("li", { class: entry.counts ? "" : "undone" }, words, element("p", { class: "small" }, day(entry.time)));
        if (entry.counts) {
          const button = element("button", { type: "button", "aria-label": `Undo: ${entry.words}` }, "Undo");
          button.addEventListener("click", () => this.actions.undoOne(entry.decision));
          item.append(button);
        } else item.append(element("span", { class: "small" }, "undone"));
        return item;
      }),
    );
    if (!this.detail.history.length) $("history").append(element("li", { class: "small" }, "Nothing was decided yet."));
  }
}
