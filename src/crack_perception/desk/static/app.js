// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// The review page: puts the parts together, takes decisions, and follows changes of the map.

import { Filters } from "./filters.js";
import { List } from "./list.js";
import { Panel } from "./panel.js";
import { Plan } from "./plan.js";
import { get, post } from "./server.js";
import { offerShortcuts } from "./shortcuts.js";
import { Store } from "./store.js";
import { $, capital, element, plural } from "./words.js";

const POLL_MS = 2000;
const STATUS_MS = 6000;

// What this browser remembers; a browser that forbids it remembers nothing.
const remembered = {
  get(name) {
    try {
      return localStorage.getItem(`crack-desk-${name}`);
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`crack-desk-${name}`, value);
    } catch { /* not remembered */ }
  },
};

const store = new Store();
new Filters(store, remembered);
new List(store);
const plan = new Plan(store, remembered);
const actions = { decide, undoOne, report };
const panel = new Panel(store, plan, actions);

let author = document.body.dataset.author || remembered.get("author") || "";
let taking = Promise.resolve(); // decisions are taken one after the other
let statusTimer = null;

function say(words, isProblem = false) {
  const status = $("status");
  status.textContent = words;
  status.classList.toggle("problem", isProblem);
  status.classList.add("shown");
  clearTimeout(statusTimer);
  statusTimer = setTimeout(() => status.classList.remove("shown"), isProblem ? 2 * STATUS_MS : STATUS_MS);
}

function report(problem) {
  say(problem.message, true);
}

// Decisions

function decide(requests, options = {}) {
  taking = taking.then(() => take("/api/decisions", { decisions: requests }, options));
  return taking;
}

function undoOne(decision) {
  return decide([{ action: "undo", decision }]);
}

function step(way) {
  taking = taking.then(() => take(`/api/${way}`, {}, { follow: true, words: way === "undo" ? "Undone: " : "Done again: " }));
  return taking;
}

// True if it was stored.
async function take(path, body, { next = null, follow = false, words = "" } = {}) {
  if (store.readOnly || store.problem) {
    say(store.readOnly || store.problem, true);
    return false;
  }
  if (!author && !(await askAuthor())) return false;
  const before = follow ? (path.endsWith("undo") ? store.undo : store.redo) : null;
  try {
    const answer = await post(path, { ...body, author, since: store.revision });
    store.apply(answer);
    const [first] = answer.stored;
    const more = answer.stored.length > 1 ? ` and ${answer.stored.length - 1} more` : "";
    say(follow ? words + (before?.words ?? "") : `${capital(first.words)}${more}.`);
    if (follow && store.cracks.has(first.crack_id)) store.select(first.crack_id);
    else if (next !== null && store.cracks.has(next)) store.select(next);
    return true;
  } catch (problem) {
    report(problem);
    poll();
    return false;
  }
}

function marked(action) {
  const ids = [...store.marked];
  if (action !== "merge") return decide(ids.map((crack_id) => ({ action, crack_id }))).then((done) => done && store.clearMarks());
  if (ids.length < 2) {
    say("Mark two or more cracks to merge them.", true);
    return Promise.resolve(false);
  }
  const length = (id) => store.cracks.get(id).length_m;
  const into = ids.includes(store.selected) ? store.selected : ids.reduce((a, b) => (length(b) > length(a) ? b : a));
  const others = ids.filter((id) => id !== into);
  return decide(others.map((crack_id) => ({ action, crack_id, into }))).then((done) => {
    if (!done) return;
    store.clearMarks();
    store.select(into);
  });
}

// The reviewer

function showAuthor() {
  $("author").textContent = author ? `Reviewer: ${author}` : "Reviewer: unknown";
}

function askAuthor() {
  const dialog = $("author-dialog");
  $("author-name").value = author;
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "done"), { once: true });
    dialog.returnValue = "";
  });
}

$("author-dialog").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("author-name").value.trim();
  if (!name) return;
  author = name;
  remembered.set("author", author);
  showAuthor();
  $("author-dialog").close("done");
  poll(); // undo and redo are the author's
});

// The frame of the page

function showFrame() {
  const decided = [...store.cracks.values()].filter((crack) => crack.verdict !== "open").length;
  $("progress-words").textContent = `${decided} of ${plural(store.cracks.size, "crack")} decided`;
  $("progress-bar").max = Math.max(store.cracks.size, 1);
  $("progress-bar").value = decided;
  const blocked = store.readOnly || store.problem;
  for (const way of ["undo", "redo"]) {
    const offered = store[way];
    $(way).disabled = !offered || Boolean(blocked);
    $(way).title = offered ? `${capital(way)}: ${offered.words}` : `Nothing to ${way}`;
  }
  showBanner(blocked ? (store.problem || `Read-only. ${store.readOnly}`) : "");
  showMarks();
}

function showBanner(words) {
  $("banner").hidden = !words;
  if ($("banner").textContent !== words) $("banner").textContent = words;
}

function showMarks() {
  const count = store.marked.size;
  $("marked").hidden = count === 0;
  $("marked-words").textContent = `${count} marked`;
  const blocked = Boolean(store.readOnly || store.problem);
  $("marked-merge").disabled = blocked || count < 2;
  $("marked-accept").disabled = blocked;
  $("marked-reject").disabled = blocked;
}

function showLegend() {
  const classes = store.severity.map((each) => {
    const swatch = element("span", { class: "swatch" });
    swatch.style.backgroundColor = each.colour;
    return element("li", {}, swatch, each.text);
  });
  const lines = [["new", "new"], ["lost", "lost (no longer seen)"], ["rejected", "rejected"]].map(([name, words]) =>
    element("li", {}, element("span", { class: `sample ${name}` }), words),
  );
  $("legend").replaceChildren(...classes, ...lines);
}

store.addEventListener("map", showFrame);
store.addEventListener("marks", showMarks);
$("undo").addEventListener("click", () => step("undo"));
$("redo").addEventListener("click", () => step("redo"));
$("author").addEventListener("click", () => askAuthor());
$("marked-merge").addEventListener("click", () => marked("merge"));
$("marked-accept").addEventListener("click", () => marked("accept"));
$("marked-reject").addEventListener("click", () => marked("reject"));
$("marked-clear").addEventListener("click", () => store.clearMarks());
for (const button of document.querySelectorAll("dialog .close")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}
$("advance").checked = remembered.get("advance") !== "no";
$("advance").addEventListener("change", (event) => remembered.set("advance", event.target.checked ? "yes" : "no"));
offerShortcuts(store, plan, panel, remembered, { step, marked });

// Changes of the map, of other reviewers or of crack_mapper

async function poll() {
  try {
    store.apply(await get("/api/map", { since: store.revision, author }));
  } catch (problem) {
    showBanner(problem.message);
  }
}

async function keepUp() {
  await taking; // an answer of before a decision would be older than what is shown
  if (!document.hidden) await poll();
  setTimeout(keepUp, POLL_MS);
}

showAuthor();
await poll();
showLegend();
if (store.listed.length) store.select(store.listed[0]);
document.body.dataset.ready = "yes";
keepUp();
