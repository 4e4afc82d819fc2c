/** Keeping the rows true: only what is different is written into the page. */

import { get, send } from "./lib/api.js";
import { all, find, h } from "./lib/dom.js";
import { tellTimes } from "./lib/live.js";

/** @typedef {[css: string, text: string, title: string, state: string]} Cell */
/** @typedef {[ref: string, next: boolean, until: string | null, cells: Cell[]]} LiveRow */
/** @typedef {{version: string, state: string, strategy: string, folded: string, rows: LiveRow[]}} Live */

const CELLS = [".left", ".speed", ".success", ".now"];

/** @param {string} url @returns {Promise<HTMLElement | null>} */
async function fragment(url) {
  const response = await send("GET", url);
  const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
  return /** @type {HTMLElement | null} */ (parsed.body.firstElementChild);
}

/**
 * What the server says now; whether the page has every row of it, else it is given the whole list.
 * @returns {Promise<{live: Live, fresh: HTMLElement | null}>}
 */
export async function asked() {
  /** @type {Live} */
  const live = await get("/api/chain/live");
  const list = find("[data-rows]");
  const complete = list && live.rows.length && live.rows.every(([ref]) => rowOf(ref));
  return { live, fresh: complete ? null : await fragment("/api/chain/rows") };
}

/** A row of the chain, not a folded one. @param {string} ref */
function rowOf(ref) {
  const row = document.getElementById(ref);
  return row?.matches(".row:not(.row-folded)") ? row : null;
}

/**
 * @param {HTMLElement} holder
 * @param {{live: Live, fresh: HTMLElement | null}} answer
 */
export function patch(holder, { live, fresh }) {
  const rows = find("[data-rows]", holder);
  const none = !rows || !live.rows.length;
  if (none && fresh) holder.replaceChildren(document.adoptNode(fresh));
  else if (rows) {
    const wanted = new Set(live.rows.map(([ref]) => ref));
    const gone = all(".row", rows).filter((row) => !wanted.has(row.id));
    gone.forEach((row) => row.remove());
    for (const row of live.rows) write(rowOf(row[0]) ?? adopted(rows, row[0], fresh), row);
    if (gone.length || fresh) stale(find("[data-folded]", holder));
  }
  const list = /** @type {HTMLElement} */ (find(".chain-list", holder));
  const { version, state, strategy, folded } = live;
  Object.assign(list.dataset, { version, state, strategy });
  for (const off of all(".row-folded .toggle", holder)) off.setAttribute("aria-checked", "false");
  const fold = find("[data-folded]", holder);
  const said = fold && find("[data-folded-said]", fold);
  if (fold && said && said.textContent !== folded) {
    said.textContent = folded;
    fold.hidden = !folded;
  }
}

/** @param {HTMLElement} list @param {string} ref @param {HTMLElement | null} fresh */
function adopted(list, ref, fresh) {
  document.getElementById(ref)?.remove();
  const row = fresh && find(`[id="${CSS.escape(ref)}"]`, fresh);
  if (row) list.append(document.adoptNode(row));
  return row;
}

/** @param {HTMLElement | null} row @param {LiveRow} live */
function write(row, [, next, until, cells]) {
  if (!row) return;
  if (next !== "next" in row.dataset) row.toggleAttribute("data-next", next);
  const toggle = find(".toggle", row);
  if (toggle?.getAttribute("aria-checked") === "false") toggle.setAttribute("aria-checked", "true");
  cells.forEach((cell, i) => writeCell(find(CELLS[i], row), cell, i === CELLS.length - 1 ? until : null));
}

/** @param {HTMLElement | null} element @param {Cell} cell @param {string | null} until */
function writeCell(element, [css, text, title, state], until) {
  if (!element) return;
  if (element.className !== css) element.className = css;
  if (element.title !== title) element.title = title;
  if ((element.dataset.state ?? "") !== state) {
    if (state) element.dataset.state = state;
    else delete element.dataset.state;
  }
  const first = element.firstChild;
  if (first && first.nodeValue !== text) first.nodeValue = text;
  const time = find("time", element);
  if ((time?.getAttribute("datetime") ?? null) === until) return;
  time?.remove();
  if (until) element.append(h("time", { datetime: until, "data-until": true }));
}

/** What is folded has changed: it is read again, at once if it is seen. @param {HTMLElement | null} fold */
function stale(fold) {
  const rows = fold && find("[data-folded-rows]", fold);
  if (!rows) return;
  rows.replaceWith(h("p", { class: "chain-none", "data-unfold": true }, "…"));
  if (fold.hasAttribute("open")) unfolded();
}

/** The folded rows, read when they are first needed; whether that was now. */
export async function unfolded() {
  if (!find("[data-unfold]") || find("[data-folded]")?.hidden) return false;
  const rows = await fragment("/api/chain/folded").catch(() => null);
  const place = find("[data-unfold]");
  if (!rows || !place) return false;
  place.replaceWith(document.adoptNode(rows));
  tellTimes(rows);
  return true;
}
