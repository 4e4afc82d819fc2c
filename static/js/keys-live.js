/**
 * The list of providers and the first steps as the server has them now, row by row.
 * @module
 */

import { send } from "./lib/api.js";
import { all, find, on } from "./lib/dom.js";
import { tellTimes } from "./lib/live.js";

const SECONDS = 5;

/** What the server said last of each row, so that only what has changed is put in its place. */
/** @type {Map<string, string>} */
const said = new Map();
let timer = 0;
let asked = 0;

const openIds = () => all("details[data-row][open]").map((row) => row.dataset.row ?? "");

/** Ask for the list and show it. */
export async function refresh() {
  clearTimeout(timer);
  const turn = (asked += 1);
  const query = new URLSearchParams({ open: openIds().join(",") });
  try {
    const response = await send("GET", `/api/keys/rows?${query}`, { patient: false });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    // An answer that a later one has overtaken is old.
    if (turn === asked) show(page);
  } catch (error) {
    console.info("keys:", error);
  }
  if (turn === asked) plan();
}

/** Follow the server while the page is looked at. */
export function watch() {
  on(document, "click", "[data-models]", (event) => {
    event.preventDefault();
    refresh();
  });
  // "toggle" does not bubble.
  document.addEventListener("toggle", (event) => {
    const row = event.target;
    if (row instanceof HTMLDetailsElement && row.open && find("[data-models]", row)) refresh();
  }, true);
  document.addEventListener("visibilitychange", () => document.hidden || refresh());
  document.addEventListener("reconnected", () => refresh());
  plan();
}

/** Open the row that the address names, as a search result does. */
export function followHash() {
  const row = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!(row instanceof HTMLDetailsElement)) return;
  row.open = true;
  row.scrollIntoView({ block: "start" });
}

function plan() {
  clearTimeout(timer);
  timer = setTimeout(() => (document.hidden ? plan() : refresh()), SECONDS * 1000);
}

/** @param {Document} page */
function show(page) {
  const steps = find("#steps");
  const next = find("#steps", page);
  if (steps && next) {
    // Once ticked, the steps stay until the page is left: they should be seen to be done.
    if (!steps.hidden) next.hidden = false;
    if (shape(steps) !== shape(next)) steps.replaceWith(next);
  }
  const list = find("#providers");
  const fresh = find("#providers", page);
  if (!list || !fresh) return;
  if (order(list) === order(fresh)) all("details[data-row]", fresh).forEach(exchange);
  else whole(list, fresh);
  tellTimes();
}

/** Which rows are where. @param {HTMLElement} list */
const order = (list) =>
  all("section, details[data-row]", list).map((e) => e.dataset.row ?? e.getAttribute("aria-labelledby")).join();

/** @param {HTMLElement} fresh */
function exchange(fresh) {
  const id = fresh.dataset.row ?? "";
  const text = shape(fresh);
  const old = find(`details[data-row="${CSS.escape(id)}"]`);
  if (!old) return;
  const before = said.get(id) ?? shape(old);
  said.set(id, text);
  if (before === text) return;
  keepFocus(() => {
    fresh.toggleAttribute("open", old.hasAttribute("open"));
    old.replaceWith(fresh);
  });
}

/** @param {HTMLElement} list @param {HTMLElement} fresh */
function whole(list, fresh) {
  const open = new Set(openIds());
  for (const row of all("details[data-row]", fresh)) {
    said.set(row.dataset.row ?? "", shape(row));
    row.toggleAttribute("open", open.has(row.dataset.row ?? ""));
  }
  keepFocus(() => list.replaceWith(fresh));
}

/** What of it matters: not the words of its times, which tick by themselves. @param {Element} element */
function shape(element) {
  const copy = /** @type {HTMLElement} */ (element.cloneNode(true));
  copy.removeAttribute("open");
  for (const time of all("time", copy)) time.replaceWith(time.getAttribute("datetime") ?? "");
  for (const busy of all("[aria-busy]", copy)) busy.removeAttribute("aria-busy");
  return new XMLSerializer().serializeToString(copy);
}

/** The keyboard stays where it was: on the same button, else on the row. @param {() => void} change */
function keepFocus(change) {
  const active = document.activeElement;
  const row = active?.closest("details[data-row]");
  const id = row instanceof HTMLElement ? row.dataset.row : null;
  const address = active instanceof HTMLButtonElement ? active.getAttribute("formaction") : null;
  change();
  if (!id || document.activeElement === active) return;
  const now = find(`details[data-row="${CSS.escape(id)}"]`);
  const same = now && address && find(`button[formaction="${CSS.escape(address)}"]`, now);
  (same || (now && find("summary", now)))?.focus({ preventScroll: true });
}
