// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Numbers and names for readers, and small helpers for elements. Texts only ever become text nodes.

export const VERDICTS = { open: "Open", accepted: "Accepted", rejected: "Rejected" };
export const VERDICT_MARKS = { open: "○", accepted: "✓", rejected: "✕" };
export const STATES = { confirmed: "Confirmed", new: "New", lost: "Lost" };

export const metres = (value) => `${value.toFixed(2)} m`;
export const millimetres = (value) => (value === null ? "unknown" : `${value.toFixed(2)} mm`);
export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
export const title = (crack) => crack.name || `Crack ${crack.id}`;
export const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

export function day(time) {
  const date = new Date(time);
  if (!time || Number.isNaN(date.getTime())) return "unknown";
  return date.toLocaleString("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
  });
}

export const $ = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// A round number at or below the value: 1, 2 or 5 times a power of ten.
export function roundBelow(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [5, 2, 1].find((factor) => factor * power <= value * 1.0001) * power;
}

export function roundAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((factor) => factor * power >= value * 0.9999) * power;
}
