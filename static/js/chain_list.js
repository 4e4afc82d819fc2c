/** Which rows are seen, in what order and groups, and which are chosen. */

import { all, find, h, on } from "./lib/dom.js";

/** The refs of the rows in the order in which they are asked, whatever is filtered away. */
export const shown = { order: /** @type {string[]} */ ([]), grouped: false, text: "", only: "" };

/** @param {string} ref */
const row = (ref) => document.getElementById(ref);

/** @param {Element} element */
function fits(element) {
  const { text = "", marks = "" } = /** @type {HTMLElement} */ (element).dataset;
  const words = shown.text.toLowerCase().split(/\s+/).filter(Boolean);
  const only = !shown.only || marks.split(" ").includes(shown.only);
  return only && words.every((word) => text.includes(word));
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

/** Show the rows as `shown` says. */
export function arrange() {
  const list = find("[data-rows]");
  if (list) {
    all(".family", list).forEach((head) => head.remove());
    const rows = shown.order.map((ref) => row(ref)).filter((r) => r !== null);
    rows.forEach((r, i) => {
      r.hidden = !fits(r);
      const number = find("[data-place]", r);
      if (number) number.textContent = String(i + 1);
    });
    const wanted = shown.grouped ? grouped(rows) : rows;
    // Only what stands elsewhere is moved: what is moved loses its focus.
    wanted.forEach((element, i) => {
      if (list.children[i] !== element) list.insertBefore(element, list.children[i] ?? null);
    });
    list.toggleAttribute("data-grouped", shown.grouped);
    const none = find("[data-none]");
    if (none) none.hidden = rows.some((r) => !r.hidden);
  }
  const folded = all(".row-folded");
  folded.forEach((r) => (r.hidden = !fits(r)));
  const filtering = Boolean(shown.text);
  if (filtering && folded.some((r) => !r.hidden)) find("[data-folded]")?.setAttribute("open", "");
  count();
}

/** @param {HTMLElement[]} rows */
function grouped(rows) {
  /** @type {Map<string, HTMLElement[]>} */
  const families = new Map();
  for (const r of rows) {
    const name = r.dataset.family ?? "";
    families.set(name, [...(families.get(name) ?? []), r]);
  }
  return [...families].flatMap(([name, of]) => [head(name, of), ...of]);
}

/** @param {string} name @param {HTMLElement[]} of */
function head(name, of) {
  const there = of.filter((r) => !r.hidden);
  const box = h("input", { type: "checkbox", class: "row-check", "aria-label": `Choose all of ${name}` });
  box.addEventListener("change", () => {
    for (const r of there) {
      const own = /** @type {HTMLInputElement | null} */ (find(".row-check", r));
      if (own) own.checked = /** @type {HTMLInputElement} */ (box).checked;
    }
    count();
  });
  const models = there.length === 1 ? "1 model" : `${there.length} models`;
  return h("li", { class: "family", hidden: !there.length }, box, name, h("span", { class: "quiet" }, models));
}

/** The refs of the chosen rows, in order. */
function chosen() {
  const boxes = all(".row .row-check:checked");
  const refs = new Set(boxes.map((box) => box.closest(".row")?.id));
  return shown.order.filter((ref) => refs.has(ref));
}

function count() {
  const many = chosen().length;
  const bar = find("[data-bar]");
  const selected = find("[data-selected]");
  const word = find("[data-chosen]");
  if (!bar || !selected || !word) return;
  bar.hidden = many > 0;
  selected.hidden = many === 0;
  word.textContent = many === 1 ? "1 model chosen" : `${many} models chosen`;
}

/**
 * @param {HTMLElement} form
 * @param {{many: (verb: any, refs: string[]) => unknown}} act
 */
export function startChoosing(form, { many }) {
  on(form, "input", "[data-search]", (_event, input) => {
    shown.text = /** @type {HTMLInputElement} */ (input).value;
    arrange();
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
  on(form, "change", ".row .row-check", count);
  on(form, "click", "[data-many]", (_event, button) => {
    const verb = button.dataset.many;
    if (verb === "none") {
      for (const box of all(".row-check", form)) /** @type {HTMLInputElement} */ (box).checked = false;
      count();
      find("[data-search]")?.focus();
    } else many(verb, chosen());
  });
}
