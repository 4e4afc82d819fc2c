/**
 * Picking a model: a field that narrows, over a list.
 * @module
 */

import { all, fill, find, h } from "./lib/dom.js";

/**
 * @typedef {object} Choice
 * @property {string} id
 * @property {string} label
 * @property {string} detail
 * @property {string[]} marks
 * @property {string | null} why_not
 */

const SHOWN = 80;

/** @type {Choice[]} `auto` first. */
export const choices = JSON.parse(find("script[data-choices]")?.textContent ?? "[]");

/**
 * @param {string} title
 * @param {string} chosen
 * @returns {Promise<string | null>} the id; null when it was called off
 */
export function pick(title, chosen) {
  const list = h("ul", { class: "palette-list", id: "models-found", role: "listbox", "aria-label": "Models" });
  const none = h("p", { class: "palette-none", role: "status", hidden: true });
  const input = /** @type {HTMLInputElement} */ (
    h("input", {
      class: "palette-input",
      type: "text",
      placeholder: "Find a model or provider",
      role: "combobox",
      "aria-label": title,
      "aria-expanded": "true",
      "aria-controls": "models-found",
      "aria-autocomplete": "list",
      autocomplete: "off",
      spellcheck: "false",
    })
  );
  const dialog = /** @type {HTMLDialogElement} */ (
    h("dialog", { class: "dialog palette pg-picker", "aria-label": title }, input, list, none)
  );
  return new Promise((resolve) => {
    /** @type {Choice[]} */
    let found = [];
    let at = 0;
    /** @type {string | null} */
    let answer = null;
    const choose = (/** @type {Choice | undefined} */ choice) => {
      if (!choice) return;
      answer = choice.id;
      dialog.close();
    };
    const mark = () => {
      for (const [i, row] of all("li", list).entries()) {
        row.setAttribute("aria-selected", String(i === at));
        if (i === at) row.scrollIntoView({ block: "nearest" });
      }
      if (found.length) input.setAttribute("aria-activedescendant", `model-${at}`);
      else input.removeAttribute("aria-activedescendant");
    };
    const show = () => {
      const matches = matching(input.value);
      found = matches.slice(0, SHOWN);
      at = input.value ? 0 : Math.max(0, found.findIndex((choice) => choice.id === chosen));
      fill(list, found.map((choice, i) => row(choice, i, choice.id === chosen, () => choose(choice))));
      list.hidden = found.length === 0;
      none.hidden = found.length > 0 && matches.length === found.length;
      none.textContent = found.length
        ? `${matches.length - found.length} more: type to narrow the list.`
        : "No model is called that.";
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
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
    show();
  });
}

/** @param {Choice} choice @param {number} i @param {boolean} chosen @param {() => void} onclick */
function row(choice, i, chosen, onclick) {
  const why = choice.why_not;
  return h(
    "li",
    { class: "palette-item", role: "option", id: `model-${i}`, onclick, data: { off: why ? "" : undefined } },
    h(
      "span",
      null,
      h("span", { class: "pg-choice" }, chosen ? "✓ " : "", choice.label),
      why && h("span", { class: "pg-why" }, ` · ${why}`),
    ),
    h("span", null, [choice.detail, ...choice.marks].join(" · ")),
  );
}

/** @param {string} text */
function matching(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return choices.filter((choice) => {
    const all_ = `${choice.id} ${choice.label} ${choice.detail} ${choice.marks.join(" ")}`.toLowerCase();
    return words.every((word) => all_.includes(word));
  });
}
