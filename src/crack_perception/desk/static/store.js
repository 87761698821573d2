// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// What the page knows: the cracks of the server, and what is selected, marked, filtered and sorted here.
//
// Events: "map" (data has changed), "view" (other cracks are listed, or in another order), "selection", "marks".

const worst = (crack) => crack.max_mm ?? -1;

export class Store extends EventTarget {
  constructor() {
    super();
    this.cracks = new Map();
    this.facets = [];
    this.orthophotoProblem = "";
    this.coverageClasses = [];
    this.severity = [];
    this.edges = [];
    this.revision = "";
    this.readOnly = "";
    this.problem = "";
    this.undo = null;
    this.redo = null;
    this.selected = null;
    this.marked = new Set();
    this.filter = { text: "", verdict: new Set(), severity: new Set(), state: new Set(), width: 0, length: 0 };
    this.sort = "width";
    this.listed = []; // ids
    this.places = new Map(); // id -> index in listed
  }

  // Take over a document of the server; true if any crack has changed.
  apply(answer) {
    if (answer.whole) this.cracks.clear();
    for (const crack of answer.cracks) this.cracks.set(crack.id, crack);
    for (const id of answer.removed) this.cracks.delete(id);
    if (answer.severity) {
      this.severity = answer.severity;
      this.edges = answer.edges_mm;
      this.ranks = new Map(answer.severity.map((each, index) => [each.name, index]));
      this.colours = new Map(answer.severity.map((each) => [each.name, each.colour]));
    }
    if (answer.facets) {
      this.facets = answer.facets;
      this.orthophotoProblem = answer.orthophoto_problem;
    }
    if (answer.coverage_classes) this.coverageClasses = answer.coverage_classes;
    this.revision = answer.revision;
    this.readOnly = answer.read_only;
    this.problem = answer.problem;
    this.undo = answer.undo;
    this.redo = answer.redo;
    const changed = answer.whole || answer.cracks.length > 0 || answer.removed.length > 0;
    for (const id of [...this.marked]) if (!this.cracks.has(id)) this.marked.delete(id);
    if (changed) this.list();
    this.dispatchEvent(new CustomEvent("map", { detail: { changed, facets: Boolean(answer.facets) } }));
    if (changed) this.dispatchEvent(new Event("view"));
    if (this.selected !== null && !this.cracks.has(this.selected)) this.select(null);
    return changed;
  }

  get current() {
    return this.cracks.get(this.selected) ?? null;
  }

  passes(crack) {
    const { text, verdict, severity, state, width, length } = this.filter;
    if (verdict.size && !verdict.has(crack.verdict)) return false;
    if (severity.size && !severity.has(crack.severity)) return false;
    if (state.size && !state.has(crack.state)) return false;
    if (width > 0 && !(crack.max_mm >= width)) return false;
    if (length > 0 && !(crack.length_m >= length)) return false;
    if (!text) return true;
    const number = text.replace(/^#/, "");
    return String(crack.id).startsWith(number) || crack.name.toLowerCase().includes(text);
  }

  list() {
    const rank = (crack) => (crack.severity === "undetermined" ? -1 : this.ranks.get(crack.severity) ?? -1);
    const opens = (crack) => (crack.verdict === "open" ? 0 : 1);
    const orders = {
      width: (a, b) => worst(b) - worst(a),
      severity: (a, b) => rank(b) - rank(a) || worst(b) - worst(a),
      length: (a, b) => b.length_m - a.length_m,
      open: (a, b) => opens(a) - opens(b) || worst(b) - worst(a),
      place: (a, b) => (a.facet ?? 1e9) - (b.facet ?? 1e9) || leftmost(a) - leftmost(b),
      recent: (a, b) => (a.last_seen < b.last_seen ? 1 : a.last_seen > b.last_seen ? -1 : 0),
      id: () => 0,
    };
    const order = orders[this.sort];
    const passing = [...this.cracks.values()].filter((crack) => this.passes(crack));
    passing.sort((a, b) => order(a, b) || a.id - b.id);
    this.listed = passing.map((crack) => crack.id);
    this.places = new Map(this.listed.map((id, index) => [id, index]));
  }

  arrange(changes) {
    Object.assign(this.filter, changes.filter ?? {});
    if (changes.sort) this.sort = changes.sort;
    this.list();
    this.dispatchEvent(new Event("view"));
  }

  select(id, { reveal = true } = {}) {
    if (id === this.selected) return;
    this.selected = id;
    this.dispatchEvent(new CustomEvent("selection", { detail: { reveal } }));
  }

  // The next crack in the list, or the one before; from the start where the selected one is not listed.
  step(by) {
    if (!this.listed.length) return;
    const place = this.places.get(this.selected);
    const next = place === undefined ? 0 : Math.min(Math.max(place + by, 0), this.listed.length - 1);
    this.select(this.listed[next]);
  }

  // The open crack that follows in the list, round to its beginning; null where there is none. The selected crack may
  // leave the list by its verdict, so it is asked for before that.
  nextOpen() {
    const count = this.listed.length;
    const place = this.places.get(this.selected) ?? -1;
    for (let offset = 1; offset <= count; offset += 1) {
      const id = this.listed[(place + offset + count) % count];
      if (id !== this.selected && this.cracks.get(id).verdict === "open") return id;
    }
    return null;
  }

  mark(id, on = !this.marked.has(id)) {
    if (on) this.marked.add(id);
    else this.marked.delete(id);
    this.dispatchEvent(new Event("marks"));
  }

  clearMarks() {
    this.marked.clear();
    this.dispatchEvent(new Event("marks"));
  }
}

function leftmost(crack) {
  return crack.line.reduce((least, point) => Math.min(least, point[0]), Infinity);
}
