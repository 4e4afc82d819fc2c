/**
 * Questions over the page.
 * @module
 */

import { fill, find, h } from "./dom.js";

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {string} label
 * @property {string} [type] as of `<input>`; "text" unless told
 * @property {string} [value]
 * @property {string} [autocomplete]
 * @property {string} [hint]
 * @property {boolean} [optional]
 */

/**
 * Ask, and wait for the answer. With `submit`, the dialog stays open while that runs, and shows
 * what it throws: an error with a `param` at the field of that name.
 * @param {object} question
 * @param {string} question.title
 * @param {string} [question.text]
 * @param {string} question.action the word on the button that goes on
 * @param {boolean} [question.danger]
 * @param {Field[]} [question.fields]
 * @param {boolean} [question.must] no way out but to answer
 * @param {(values: Record<string, string>) => Promise<unknown>} [question.submit]
 * @returns {Promise<Record<string, string> | null>} what was entered; null when it was called off
 */
export function ask({ title, text, action, danger = false, fields = [], must = false, submit }) {
  const go = h("button", { class: "button", type: "submit", data: { kind: danger ? "danger" : "main" } }, action);
  const said = h("p", { class: "complaint", role: "alert", hidden: true });
  const rows = fields.map(row);
  const id = `dialog-${Math.random().toString(36).slice(2)}`;
  const form = h(
    "form",
    { novalidate: true },
    h("div", null, h("h2", { id }, title), text && h("p", { class: "quiet" }, text)),
    rows.map((r) => r.element),
    said,
    h(
      "div",
      { class: "actions" },
      !must && h("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Cancel"),
      go,
    ),
  );
  const dialog = /** @type {HTMLDialogElement} */ (
    h("dialog", { class: "dialog", "aria-labelledby": id }, form)
  );
  return new Promise((resolve) => {
    /** @type {Record<string, string> | null} */
    let answer = null;
    dialog.addEventListener("cancel", (event) => must && event.preventDefault());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (go.getAttribute("aria-busy") === "true") return;
      const values = Object.fromEntries(rows.map((r) => [r.name, r.input.value]));
      const missing = rows.find((r) => !r.optional && !r.input.value.trim());
      rows.forEach((r) => r.complain(""));
      said.hidden = true;
      if (missing) return missing.complain("Fill this in.");
      go.setAttribute("aria-busy", "true");
      try {
        await submit?.(values);
        answer = values;
        dialog.close();
      } catch (/** @type {any} */ error) {
        const place = rows.find((r) => r.name === error.param);
        if (place) place.complain(error.message);
        else {
          fill(said, error.message);
          said.hidden = false;
        }
      } finally {
        go.removeAttribute("aria-busy");
      }
    });
    document.body.append(dialog);
    dialog.showModal();
    (rows.find((r) => !r.input.value)?.input ?? rows[0]?.input ?? go).focus();
  });
}

/**
 * Ask for the password before something secret is shown; `submit` gets it.
 * @param {string} title
 * @param {string} action
 * @param {(password: string) => Promise<unknown>} submit
 * @returns {Promise<boolean>} whether it was done
 */
export async function askPassword(title, action, submit) {
  const fields = [
    { name: "password", label: "Your password", type: "password", autocomplete: "current-password" },
  ];
  const text = "This shows what is otherwise kept sealed, so your password is asked again.";
  return (await ask({ title, text, action, fields, submit: (v) => submit(v.password) })) !== null;
}

/** @param {Field} field */
function row({ name, label, type = "text", value = "", autocomplete, hint, optional = false }) {
  const id = `field-${name}-${Math.random().toString(36).slice(2)}`;
  const said = h("p", { class: "complaint", id: `${id}-said`, hidden: true });
  const input = /** @type {HTMLInputElement} */ (
    h("input", { class: "input", id, name, type, value, autocomplete, "aria-describedby": `${id}-said` })
  );
  input.value = value;
  const element = h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    hint && h("p", { class: "hint" }, hint),
    said,
  );
  /** @param {string} text */
  const complain = (text) => {
    fill(said, text);
    said.hidden = !text;
    input.setAttribute("aria-invalid", String(Boolean(text)));
    if (text) input.select();
  };
  return { name, label, input, optional, element, complain };
}

/** Whether a dialog lies over the page. */
export function isOpen() {
  return find("dialog[open]") !== null;
}
