/**
 * `Ctrl K`: pages, providers, models and actions by name.
 * @module
 */

import { get } from "./api.js";
import { all, fill, h } from "./dom.js";
import { setTheme } from "./theme.js";

/**
 * @typedef {object} Item
 * @property {string} kind the word at the right
 * @property {string} label
 * @property {string} [detail] found by, too
 * @property {string} [href]
 * @property {() => void} [run]
 */

const SHOWN = 40;

/** @type {Item[]} */
const own = [
  ...all(".tab").map((tab) => ({
    kind: "Page",
    label: tab.textContent?.trim() ?? "",
    href: tab.getAttribute("href") ?? "",
  })),
  { kind: "Page", label: "Account and password", href: "/account" },
  { kind: "Action", label: "Theme: light", run: () => setTheme("light") },
  { kind: "Action", label: "Theme: dark", run: () => setTheme("dark") },
  { kind: "Action", label: "Theme: as the system", run: () => setTheme("system") },
];
/** @type {Item[] | null} */
let fetched = null;

/**
 * Let the palette find what a page can do.
 * @param {...Item} items
 */
export function addToPalette(...items) {
  own.push(...items);
}

/** Open it; a second call does nothing. */
export function openPalette() {
  if (document.querySelector("dialog[open]")) return;
  const list = h("ul", { class: "palette-list", id: "palette-list", role: "listbox", "aria-label": "Found" });
  const none = h("p", { class: "palette-none", role: "status", hidden: true }, "Nothing is called that.");
  const input = /** @type {HTMLInputElement} */ (
    h("input", {
      class: "palette-input",
      type: "text",
      placeholder: "Go to a page, provider, model or action",
      role: "combobox",
      "aria-label": "Search",
      "aria-expanded": "true",
      "aria-controls": "palette-list",
      "aria-autocomplete": "list",
      autocomplete: "off",
      spellcheck: "false",
    })
  );
  const dialog = /** @type {HTMLDialogElement} */ (
    h("dialog", { class: "dialog palette", "aria-label": "Search" }, input, list, none)
  );
  /** @type {Item[]} */
  let found = [];
  let at = 0;

  const choose = (/** @type {Item | undefined} */ item) => {
    if (!item) return;
    dialog.close();
    if (item.run) item.run();
    else if (item.href) location.assign(item.href);
  };
  const mark = () => {
    for (const [i, row] of all("li", list).entries()) {
      row.setAttribute("aria-selected", String(i === at));
      if (i === at) row.scrollIntoView({ block: "nearest" });
    }
    if (found.length) input.setAttribute("aria-activedescendant", `palette-${at}`);
    else input.removeAttribute("aria-activedescendant");
  };
  const show = () => {
    found = matching(input.value);
    at = 0;
    none.hidden = found.length > 0;
    list.hidden = found.length === 0;
    fill(
      list,
      found.map((item, i) =>
        h(
          "li",
          { class: "palette-item", role: "option", id: `palette-${i}`, onclick: () => choose(item) },
          h("span", null, item.label),
          h("span", null, item.kind === "Model" ? `${item.detail} · Model` : item.kind),
        ),
      ),
    );
    mark();
  };
  input.addEventListener("input", show);
  input.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && found.length) at = (at + step + found.length) % found.length;
    else if (event.key === "Enter") choose(found[at]);
    else return;
    event.preventDefault();
    mark();
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
  show();
  fetched ??= [];
  if (!fetched.length) {
    get("/api/palette", { patient: false }).then(
      (answer) => {
        fetched = answer.items;
        if (dialog.open) show();
      },
      () => {},
    );
  }
}

/** @param {string} text @returns {Item[]} */
function matching(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const items = words.length ? [...own, ...(fetched ?? [])] : own;
  return items
    .map((item) => ({ item, score: score(item, words) }))
    .filter((one) => one.score < Infinity)
    .sort((a, b) => a.score - b.score)
    .slice(0, SHOWN)
    .map((one) => one.item);
}

/** @param {Item} item @param {string[]} words Lower is better; Infinity is none. */
function score(item, words) {
  const label = item.label.toLowerCase();
  const text = `${label} ${item.detail?.toLowerCase() ?? ""}`;
  let sum = 0;
  for (const word of words) {
    const place = text.indexOf(word);
    if (place < 0) return Infinity;
    sum += place === 0 ? 0 : /[\s/:._-]/.test(text[place - 1]) ? 1 : 2;
  }
  return sum + label.length / 1000;
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    openPalette();
  }
});
