/** The page Settings: each control saves at once, with Undo; other tabs follow. */

import { del, post } from "./lib/api.js";
import { ask, askPassword } from "./lib/dialog.js";
import { all, fill, find, h, on } from "./lib/dom.js";
import { toast } from "./lib/toast.js";
import { startImport } from "./settings-import.js";
import { changing, follow } from "./settings-live.js";

const ORIGINS = {
  here: "Set here",
  file: "Set in the configuration file",
  default: "Default",
};

/* ---- Settings of the router ---- */

/** @param {HTMLElement} form @returns {HTMLInputElement | HTMLSelectElement} */
const control = (form) =>
  /** @type {HTMLInputElement | HTMLSelectElement} */ (find(".switch, .input", form));

/** @param {HTMLElement} form */
function valueOf(form) {
  const input = control(form);
  return input instanceof HTMLInputElement && input.type === "checkbox" ? String(input.checked) : input.value;
}

/** @param {HTMLElement} form @param {string} value */
function setValue(form, value) {
  const input = control(form);
  if (input instanceof HTMLInputElement && input.type === "checkbox") input.checked = value === "true";
  else input.value = value;
}

/** @param {HTMLElement} form @param {any} row */
function show(form, row) {
  form.dataset.value = row.value;
  form.dataset.mark = `${row.origin} ${row.value}`;
  setValue(form, row.value);
  complain(form, "");
  const origin = find(".set-origin", form);
  const words = find("[data-origin-words]", form);
  const reset = find(".set-reset", form);
  if (origin) origin.dataset.origin = row.origin;
  if (words) fill(words, ORIGINS[/** @type {keyof typeof ORIGINS} */ (row.origin)]);
  if (reset) reset.hidden = row.origin !== "here";
}

/** @param {HTMLElement} form @param {string} text */
function complain(form, text) {
  const said = find(".complaint", form);
  if (said) {
    fill(said, text);
    said.hidden = !text;
  }
  control(form).setAttribute("aria-invalid", String(Boolean(text)));
}

/**
 * @param {HTMLElement} form
 * @param {unknown} value null: back to the default
 * @param {boolean} [isUndo]
 */
async function save(form, value, isUndo = false) {
  // The row may have been drawn anew since an Undo was offered.
  form = document.getElementById(form.id) ?? form;
  const url = `/api/settings/values/${form.dataset.setting}`;
  form.setAttribute("aria-busy", "true");
  try {
    const { row, before } = await changing(async () => {
      const answer = await (value === null ? del(url) : post(url, { value }));
      show(form, answer.row);
      return answer;
    });
    if (isUndo) toast("Undone.");
    else toast(value === null ? `${row.label} is back to ${row.fallback}.` : `${row.label} is saved.`, { undo: () => save(form, before, true) });
  } catch (/** @type {any} */ error) {
    // What was typed stays to be mended; a switch or a choice goes back to what is so.
    const typed = control(form).matches("input.input");
    if (error.param && typed) complain(form, error.message);
    else {
      if (!typed) setValue(form, form.dataset.value ?? "");
      toast(error.message, { bad: true });
    }
  } finally {
    form.removeAttribute("aria-busy");
  }
}

on(document, "change", "[data-setting] .input, [data-setting] .switch", (_event, input) => {
  const form = /** @type {HTMLElement} */ (input.closest("[data-setting]"));
  if (valueOf(form) !== form.dataset.value) save(form, valueOf(form));
  else complain(form, "");
});
on(document, "submit", "[data-setting]", (event, form) => {
  event.preventDefault();
  const by = /** @type {SubmitEvent} */ (event).submitter;
  // Enter in a field presses the form's first button, which is the one that sets back.
  if (by?.matches(".set-reset") && document.activeElement !== control(form)) save(form, null);
  else if (valueOf(form) !== form.dataset.value) save(form, valueOf(form));
});

/* ---- The proxy ---- */

/** @param {string | null} before what was set, sealed: its password is in no page */
async function takeProxyBack(before) {
  try {
    await changing(() => post("/api/settings/proxy/undo", { before }));
    toast("Undone.");
  } catch (/** @type {any} */ error) {
    toast(error.message, { bad: true });
  }
}

on(document, "submit", "[data-proxy]", async (event, form) => {
  event.preventDefault();
  const isRemoval = /** @type {SubmitEvent} */ (event).submitter?.getAttribute("name") === "remove";
  const fields = /** @type {HTMLInputElement[]} */ (all(".input", form));
  const tell = (/** @type {HTMLInputElement} */ field, /** @type {string} */ message) => {
    const said = find(`#${field.id}-said`);
    if (said) {
      fill(said, message);
      said.hidden = !message;
    }
    field.setAttribute("aria-invalid", String(Boolean(message)));
  };
  try {
    const { before } = await changing(async () => {
      const values = Object.fromEntries(fields.map((field) => [field.name, field.value]));
      const answer = await (isRemoval ? del("/api/settings/proxy") : post("/api/settings/proxy", values));
      for (const field of fields) tell(field, "");
      // Nothing typed is left, so that the form is drawn anew: the password is hidden then. (No
      // button may be named "reset": it would stand in the place of this function.)
      /** @type {HTMLFormElement} */ (form).reset();
      return answer;
    });
    toast(isRemoval ? "The proxy set here is removed." : "The proxy is saved.", { undo: () => takeProxyBack(before) });
  } catch (/** @type {any} */ error) {
    const wrong = fields.find((field) => field.name === error.param);
    for (const field of fields) tell(field, field === wrong ? error.message : "");
    if (wrong) wrong.focus();
    else toast(error.message, { bad: true });
  }
});

/* ---- Client tokens ---- */

on(document, "submit", "[data-new-token]", async (event, form) => {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (find(".input", form));
  try {
    const { token } = await changing(() => post("/api/settings/tokens", { name: input.value }));
    complain(form, "");
    input.value = "";
    const text = find("#token-text");
    const box = find("#new-token");
    if (text) fill(text, token);
    if (box) {
      box.hidden = false;
      box.scrollIntoView({ block: "nearest" });
    }
  } catch (/** @type {any} */ error) {
    complain(form, error.message);
    input.focus();
  }
});

on(document, "submit", "[data-revoke]", async (event, form) => {
  event.preventDefault();
  const { name, revoke } = form.dataset;
  const done = await ask({
    title: `Revoke ${name}?`,
    text: "Programs that use this token are refused from then on. It cannot be taken back.",
    action: "Revoke",
    danger: true,
    submit: () => changing(() => post(`/api/settings/tokens/${revoke}/revoke`, {})),
  });
  if (!done) return;
  toast(`${name} is revoked.`);
  const box = find("#new-token");
  if (box) box.hidden = true;
});

/* ---- Theme: frame.js sets it; the form is for pages without scripts ---- */

on(document, "submit", "[data-theme-form]", (event) => event.preventDefault());

/* ---- Files ---- */

on(document, "submit", "[data-ask-password]", async (event, form) => {
  event.preventDefault();
  let given = "";
  const done = await askPassword(form.dataset.askPassword ?? "", "Download", async (password) => {
    await post("/api/settings/confirm", { password });
    given = password;
  });
  if (!done) return;
  // Sent as a form, so that the browser writes the file as it comes.
  const field = /** @type {HTMLInputElement} */ (h("input", { type: "hidden", name: "password" }));
  field.value = given;
  form.append(field);
  /** @type {HTMLFormElement} */ (form).submit();
  toast(form.dataset.waiting ?? "The download begins.");
  field.remove();
});

// A browser that goes back may show what was typed before, not what is so.
for (const form of all("[data-setting]")) {
  if (find(".complaint:not([hidden])", form) === null) setValue(form, form.dataset.value ?? "");
}
/** @type {HTMLFormElement | null} */ (find("[data-proxy]"))?.reset();

startImport();
follow();
