/**
 * The page Analytics: its charts, what is asked anew every few seconds, and rows that open.
 * Without it the page works by its links and its form.
 */

import { drawCharts, tabulate } from "./analytics_charts.js";
import { get } from "./lib/api.js";
import { all, find, on } from "./lib/dom.js";
import { poll, tellTimes } from "./lib/live.js";

const SECONDS = 5;
const YEAR = 365 * 24 * 3600;

const root = /** @type {HTMLElement} */ (find("#analytics"));
/** Regions that a person may be in the middle of using; a poll leaves them alone. */
const USED = new Set(["filters", "requests"]);
/** Each region as the server sent it, before rows were opened in it. @type {Map<string, Node>} */
const sent = new Map(all("[data-live]", root).map((region) => [region.id, region.cloneNode(true)]));

/** @param {string} search */
function api(search, mark = "") {
  const query = new URLSearchParams(search);
  if (mark) query.set("mark", mark);
  return `/api/analytics?${query}`;
}

/**
 * Put the answer in place of what is shown, region by region, where it differs.
 * @param {{mark: string, html: string} | null} answer
 * @param {{whole?: boolean}} [options] whole: what a person asked for just now
 */
function show(answer, { whole = false } = {}) {
  if (!answer) return;
  const fresh = new DOMParser().parseFromString(answer.html, "text/html");
  const now = all("[data-live]", root);
  const next = new Map(all("[data-live]", fresh).map((region) => [region.id, region]));
  if (now.length !== next.size || now.some((region) => !next.has(region.id))) {
    // From nothing to the first figures, or the other way round.
    location.reload();
    return;
  }
  root.dataset.mark = answer.mark;
  for (const region of now) {
    const wanted = /** @type {HTMLElement} */ (next.get(region.id));
    if (sent.get(region.id)?.isEqualNode(wanted)) continue;
    if (!whole && USED.has(region.id) && isUsed(region)) {
      const told = find("[data-fresh]", region);
      if (told && newest(region) !== newest(wanted)) told.hidden = false;
      continue;
    }
    sent.set(region.id, wanted.cloneNode(true));
    replace(region, wanted);
  }
  openAsAddressed();
  tellTimes(root);
  drawCharts(root);
}

/** @param {HTMLElement} region */
const newest = (region) => find(".row", region)?.dataset.row;

/** @param {HTMLElement} region */
function isUsed(region) {
  const isPaged = new URLSearchParams(location.search).has("before");
  const isOpen = find('.opener[aria-expanded="true"]', region);
  const isHeld = region.contains(document.activeElement) || region.matches(":hover");
  return region.id === "filters" || isPaged || isHeld || isOpen !== null;
}

/** @param {HTMLElement} region @param {HTMLElement} wanted */
function replace(region, wanted) {
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && [focused.id && `#${focused.id}`, named(focused)].find(Boolean);
  region.replaceChildren(...wanted.childNodes);
  if (place) find(place, region)?.focus();
}

/** @param {Element} element */
function named(element) {
  for (const name of ["name", "href"]) {
    const value = element.getAttribute(name);
    if (value) return `[${name}="${CSS.escape(value)}"]`;
  }
  return "";
}

const live = poll(() => api(location.search, root.dataset.mark), SECONDS, (answer) => show(answer), {
  now: false,
});

/** What a person asked for last; what they asked for before may be answered later. */
let going = new AbortController();

/**
 * Show another range, breakdown or page of requests without loading the page again.
 * @param {URL} url
 * @param {{keep?: boolean}} [options] keep: the address is that already
 */
async function go(url, { keep = false } = {}) {
  going.abort();
  const own = (going = new AbortController());
  root.setAttribute("aria-busy", "true");
  try {
    const answer = await get(api(url.search), { signal: own.signal });
    if (own.signal.aborted) return;
    if (!keep) history.pushState(null, "", url);
    markRange(url);
    show(answer, { whole: true });
    live.refresh();
  } catch {
    if (!own.signal.aborted) location.assign(url);
  } finally {
    if (own === going) root.removeAttribute("aria-busy");
  }
}

/** The choice of a period stands above what is sent anew. @param {URL} url */
function markRange(url) {
  const range = url.searchParams.get("range") ?? "";
  for (const link of /** @type {HTMLAnchorElement[]} */ (all("#ranges a"))) {
    const own = new URL(link.href);
    if ((own.searchParams.get("range") ?? "") === range) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    const kept = new URLSearchParams(url.search);
    for (const name of ["before", "open", "range"]) kept.delete(name);
    const wanted = own.searchParams.get("range");
    if (wanted) kept.set("range", wanted);
    link.href = kept.size ? `${url.pathname}?${kept}` : url.pathname;
  }
}

on(document, "click", "a[data-go]", (event, link) => {
  const click = /** @type {MouseEvent} */ (event);
  if (click.metaKey || click.ctrlKey || click.shiftKey || click.button) return;
  event.preventDefault();
  const url = new URL(/** @type {HTMLAnchorElement} */ (link).href);
  go(url).then(() => {
    const isAway = link.closest(".section")?.id !== url.hash.slice(1);
    if (url.hash && isAway) find(url.hash)?.scrollIntoView({ block: "start" });
  });
});
addEventListener("popstate", () => go(new URL(location.href), { keep: true }));

/** @param {HTMLFormElement} form */
function submit(form) {
  const url = new URL(form.action);
  for (const [name, value] of new FormData(form)) if (value) url.searchParams.set(name, String(value));
  go(url);
}
on(root, "submit", "form.filters", (event, form) => {
  event.preventDefault();
  submit(/** @type {HTMLFormElement} */ (form));
});
on(root, "change", "form.filters select", (_event, select) => {
  submit(/** @type {HTMLSelectElement} */ (select).form ?? new HTMLFormElement());
});

on(root, "click", "[data-fresh] button", () => {
  const url = new URL(location.href);
  for (const name of ["before", "open"]) url.searchParams.delete(name);
  go(url);
});

// Before it opens, so that it opens whole.
on(root, "click", ".figures > summary", (_event, summary) => {
  tabulate(/** @type {HTMLElement} */ (summary.closest("[data-chart]")));
});

/** The row that was opened while an answer was on its way, which knows nothing of that. */
function openAsAddressed() {
  const opener = find(`#r${Number(new URLSearchParams(location.search).get("open"))}`, root);
  if (opener?.getAttribute("aria-expanded") === "false") toggle(opener);
}

/** @param {HTMLElement} opener */
function toggle(opener) {
  const isOpen = opener.getAttribute("aria-expanded") !== "true";
  const detail = find(`#${opener.getAttribute("aria-controls")}`);
  opener.setAttribute("aria-expanded", String(isOpen));
  if (detail) detail.hidden = !isOpen;
  const url = new URL(location.href);
  if (isOpen) url.searchParams.set("open", opener.id.slice(1));
  else url.searchParams.delete("open");
  history.replaceState(null, "", url);
}
on(root, "click", "tr.row", (event, row) => {
  const click = /** @type {MouseEvent} */ (event);
  if (click.metaKey || click.ctrlKey || click.shiftKey) return;
  event.preventDefault();
  if (!getSelection()?.toString()) toggle(/** @type {HTMLElement} */ (find(".opener", row)));
});
on(root, "keydown", ".opener", (event, opener) => {
  const { key } = /** @type {KeyboardEvent} */ (event);
  const step = { ArrowDown: 1, ArrowUp: -1 }[key];
  if (key !== " " && !step) return;
  event.preventDefault();
  const openers = all(".opener", root);
  if (step) openers[openers.indexOf(opener) + step]?.focus();
  else toggle(opener);
});

// The server writes times in the zone of this cookie: told once, and again after a journey.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && zone !== root.dataset.zone && !("zoneFixed" in root.dataset)) {
  document.cookie = `zone=${zone}; path=/; max-age=${YEAR}; samesite=lax`;
  go(new URL(location.href), { keep: true });
}

document.addEventListener("themechange", () => drawCharts(root, { anew: true }));
if (document.readyState === "loading") addEventListener("DOMContentLoaded", () => drawCharts(root));
else drawCharts(root);
