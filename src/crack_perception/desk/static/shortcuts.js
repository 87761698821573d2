// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Keyboard shortcuts. Single keys count only outside text fields, and can be switched off: speech input and shaky hands
// press them by accident.

import { $, element } from "./words.js";

const TEXT = "textarea, input:not([type=checkbox], [type=range])";

export function offerShortcuts(store, plan, panel, remembered, { step, marked }) {
  const focus = (id) => () => {
    $(id).focus();
    $(id).select?.();
  };
  const shortcuts = [
    ["J", "Next crack", () => store.step(1)],
    ["K", "Previous crack", () => store.step(-1)],
    ["A", "Accept", () => panel.verdict("accept")],
    ["R", "Reject", () => panel.verdict("reject")],
    ["O", "Reopen", () => panel.verdict("reopen")],
    ["L", "Line and widths on or off", () => panel.setOverlay(!$("overlay").checked)],
    ["F", "Enlarge the photograph", () => panel.enlarge()],
    ["[", "Previous photograph", () => panel.turn(-1)],
    ["]", "Next photograph", () => panel.turn(1)],
    ["N", "Change the name", focus("name")],
    ["C", "Write a comment (Ctrl+Enter adds it)", focus("comment")],
    ["V", "Change the severity", focus("severity")],
    ["T", "Mark for a structural review (CS4), or unmark", () => panel.structural()],
    ["W", "Choose a place along the crack (arrow keys)", focus("chart")],
    ["S", "Split at the chosen place", () => panel.split()],
    ["X", "Mark or unmark the crack", () => store.selected !== null && store.mark(store.selected)],
    ["M", "Merge the marked cracks", () => marked("merge")],
    ["+", "Zoom in on the plan", () => plan.panzoom.step(1)],
    ["-", "Zoom out", () => plan.panzoom.step(-1)],
    ["0", "Show the whole surface", () => plan.panzoom.fit()],
    ["G", "Resolution on the plan on or off", () => plan.setCoverage(!$("coverage").checked)],
    ["Z", "Zoom to the crack", () => plan.zoomToCrack()],
    ["/", "Search", focus("search")],
    ["?", "This help", () => $("help-dialog").showModal()],
  ];
  const others = [
    ["Ctrl+Z", "Undo your last decision"],
    ["Ctrl+Shift+Z", "Take it again"],
    ["Esc", "Leave a field or a window"],
  ];
  const byKey = new Map(shortcuts.map(([key, , run]) => [key.toLowerCase(), run]));
  const inDialog = new Set(["l", "[", "]", "a", "r", "o", "j", "k", "+", "-", "0"]);
  $("shortcuts").replaceChildren(
    ...[...shortcuts, ...others].flatMap(([key, words]) => [
      element("dt", {}, ...key.split("+").filter(Boolean).map((each) => element("kbd", {}, each)), ...(key === "+" ? [element("kbd", {}, "+")] : [])),
      element("dd", {}, words),
    ]),
  );
  $("help").addEventListener("click", () => $("help-dialog").showModal());
  $("single-keys").checked = remembered.get("single-keys") !== "off";
  $("single-keys").addEventListener("change", (event) => remembered.set("single-keys", event.target.checked ? "on" : "off"));

  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const isText = target.matches(TEXT);
    if (event.key === "Escape" && (isText || target.matches("select"))) target.blur();
    if (isText) return;
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.altKey && (key === "z" || key === "y")) {
      event.preventDefault();
      step(key === "y" || event.shiftKey ? "redo" : "undo");
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select") || !$("single-keys").checked) return;
    const open = document.querySelector("dialog[open]");
    if (open) {
      if (open.id !== "photograph-dialog") return;
      if (key === "+" || key === "-") panel.enlarged.panzoom.step(key === "+" ? 1 : -1);
      else if (key === "0") panel.enlarged.panzoom.fit();
      else if (inDialog.has(key)) byKey.get(key)();
      else return;
      event.preventDefault();
      return;
    }
    const run = byKey.get(key === "=" ? "+" : key);
    if (!run) return;
    event.preventDefault();
    run();
  });
}
