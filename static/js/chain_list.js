/** Which rows are seen, in what order and groups. */

import { all, find, h, on } from "./lib/dom.js";

/** The refs of the rows in the order in which they are asked, whatever is filtered away. */
export const shown = { order: /** @type {string[]} */ ([]), grouped: false, text: "", only: "" };

/** @param {string} ref */
const row = (ref) => document.getElementById(ref);

/** @type {WeakMap<Element, string>} what a row is searched by; it never changes */
const texts = new WeakMap();

/** @param {HTMLElement} element */
function textOf(element) {
  let text = texts.get(element);
  if (text === undefined) {
    const name = find(".model", element)?.title;
    const by = find(".by", element)?.textContent;
    text = [element.id, name, element.dataset.family, by].join(" ").toLowerCase();
    texts.set(element, text);
  }
  return text;
}

/** Whether the filter leaves a row. @returns {(element: HTMLElement) => boolean} */
function filter() {
  const words = shown.text.toLowerCase().split(/\s+/).filter(Boolean);
  const only = shown.only === "open" ? ".now:not(.state)" : shown.only && `.can.${shown.only}`;
  return (element) =>
    (!only || find(only, element) !== null) &&
    (!words.length || words.every((word) => textOf(element).includes(word)));
}

/** The refs of the rows that the filter leaves. */
export const seen = () => shown.order.filter((ref) => !row(ref)?.hidden);

/** @param {string} ref */
export const place = (ref) => `place ${shown.order.indexOf(ref) + 1} of ${shown.order.length}`;

/**
 * These rows share out the places that they have among them.
 * @param {string[]} order
 * @param {string[]} some in their new order
 */
export function shared(order, some) {
  const moved = new Set(some);
  let next = 0;
  return order.map((ref) => (moved.has(ref) ? some[next++] : ref));
}

/**
 * The families in the order of their first models, each with its refs.
 * @param {string[]} order
 */
export function families(order) {
  /** @type {Map<string, string[]>} */
  const found = new Map();
  for (const ref of order) {
    const name = row(ref)?.dataset.family ?? "";
    const own = found.get(name);
    if (own) own.push(ref);
    else found.set(name, [ref]);
  }
  return found;
}

/** The names of the families of which the filter leaves something. */
export const seenFamilies = () => [...families(seen()).keys()];

/**
 * The models with each family together, as the view shows them.
 * @param {string[]} order @param {string[]} [names] the families in another order
 */
export function byFamily(order, names) {
  const found = families(order);
  return (names ?? [...found.keys()]).flatMap((name) => found.get(name) ?? []);
}

/** Show the rows as `shown` says. */
export function arrange() {
  const list = find("[data-rows]");
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const fits = filter();
  if (list) {
    const rows = shown.order.map((ref) => row(ref)).filter((r) => r !== null);
    rows.forEach((r, i) => {
      const fit = fits(r);
      if (r.hidden === fit) r.hidden = !fit;
      if (r.dataset.n !== String(i + 1)) r.dataset.n = String(i + 1);
    });
    if (shown.grouped === list.hasAttribute("data-grouped")) put(list, rows);
    else apart(list, () => put(list, rows));
    list.toggleAttribute("data-grouped", shown.grouped);
    const none = find("[data-none]");
    if (none) none.hidden = rows.some((r) => !r.hidden);
  }
  // What was put elsewhere has lost its focus.
  if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  const folded = all(".row-folded");
  folded.forEach((r) => (r.hidden = !fits(r)));
  if (shown.text && folded.some((r) => !r.hidden)) find("[data-folded]")?.setAttribute("open", "");
  list?.dispatchEvent(new Event("arranged", { bubbles: true }));
}

/** Many moves are made outside of the page, which would note each. @param {HTMLElement} list @param {() => void} work */
function apart(list, work) {
  const spot = document.createComment("");
  list.replaceWith(spot);
  work();
  spot.replaceWith(list);
}

/** @param {HTMLElement} list @param {HTMLElement[]} rows */
function put(list, rows) {
  const blocks = all(".family", list);
  settle(list, shown.grouped ? grouped(blocks, rows) : rows);
  blocks.forEach((block) => find(".row", block) || block.remove());
}

/** Only what stands elsewhere is moved. @param {HTMLElement} parent @param {HTMLElement[]} wanted */
function settle(parent, wanted) {
  let at = parent.firstElementChild;
  for (const element of wanted) {
    // Who stands here goes further down, and is moved when its turn comes.
    if (at && element === at.nextElementSibling) at = element;
    if (element === at) at = at.nextElementSibling;
    else parent.insertBefore(element, at);
  }
}

/** A block for each family, its rows in it. @param {HTMLElement[]} blocks those that are there @param {HTMLElement[]} rows */
function grouped(blocks, rows) {
  const there = new Map(blocks.map((block) => [block.dataset.of, block]));
  /** @type {Map<string, HTMLElement[]>} */
  const wanted = new Map();
  for (const r of rows) {
    const name = r.dataset.family ?? "";
    const own = wanted.get(name);
    if (own) own.push(r);
    else wanted.set(name, [r]);
  }
  return [...wanted].map(([name, own]) => {
    const block = there.get(name) ?? family(name);
    settle(/** @type {HTMLElement} */ (find(".family-rows", block)), own);
    const many = own.filter((r) => !r.hidden).length;
    if (block.hidden !== !many) block.hidden = !many;
    const word = find("[data-many-of]", block);
    const text = many === 1 ? "1 model" : `${many} models`;
    if (word && word.textContent !== text) word.textContent = text;
    return block;
  });
}

/** @param {string} name */
function family(name) {
  const box = h("input", { type: "checkbox", class: "row-check", "aria-label": `Choose all of ${name}` });
  const rows = h("ol", { class: "rows family-rows", "aria-label": name });
  const handle = h(
    "button",
    { class: "row-handle family-handle", type: "button", "aria-label": `Move the family ${name}`, "aria-describedby": "how-to-move", "aria-pressed": "false" },
  );
  const head = h("div", { class: "family-head" }, handle, box, h("span", null, name), h("span", { class: "quiet", "data-many-of": true }));
  return h("li", { class: "family", "data-of": name }, head, rows);
}

/** @param {HTMLElement} form @param {() => Promise<boolean>} unfold */
export function startFiltering(form, unfold) {
  on(form, "input", "[data-search]", async (_event, input) => {
    shown.text = /** @type {HTMLInputElement} */ (input).value;
    arrange();
    if (shown.text && (await unfold())) arrange();
  });
  on(form, "change", "[data-only]", (_event, select) => {
    shown.only = /** @type {HTMLSelectElement} */ (select).value;
    arrange();
  });
  on(form, "click", "[data-group]", (_event, button) => {
    shown.grouped = !shown.grouped;
    button.setAttribute("aria-pressed", String(shown.grouped));
    arrange();
  });
}
