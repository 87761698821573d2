// Copyright 2026 The crack_perception maintainers
// SPDX-License-Identifier: Apache-2.0

// Requests to the server of the page.

export class Problem extends Error {}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Problem("The server does not answer. Is crack_perception desk still running?");
  }
  if (response.ok) return response.json();
  let words = "";
  try {
    words = (await response.json()).problem;
  } catch {
    words = response.status === 401 ? "This page needs its token. Open the address that was printed at the start." : "";
  }
  throw new Problem(words || `The server refused the request (${response.status}).`);
}

export function get(path, values = {}) {
  const query = new URLSearchParams(values).toString();
  return answer(query ? `${path}?${query}` : path, {});
}

export function post(path, body) {
  const headers = { "content-type": "application/json" };
  return answer(path, { method: "POST", headers, body: JSON.stringify(body) });
}

export function photographUrl(file) {
  return `/api/photographs/${encodeURIComponent(file)}`;
}
