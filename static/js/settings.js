/** The page Settings: each control saves at once, with Undo. */

import { ApiError, del, post, send } from "./lib/api.js";
import { ask, askPassword } from "./lib/dialog.js";
import { all, fill, find, h, on } from "./lib/dom.js";
import { tellTimes } from "./lib/live.js";
import { toast } from "./lib/toast.js";

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
  const url = `/api/settings/values/${form.dataset.setting}`;
  form.setAttribute("aria-busy", "true");
  try {
    const { row, before } = value === null ? await del(url) : await post(url, { value });
    show(form, row);
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

/* ---- Client tokens ---- */

async function renewTokens() {
  const answer = await send("GET", "/settings/tokens");
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const list = page.getElementById("token-list");
  if (list) find("#token-list")?.replaceWith(list);
  tellTimes();
}

on(document, "submit", "[data-new-token]", async (event, form) => {
  event.preventDefault();
  const input = /** @type {HTMLInputElement} */ (find(".input", form));
  try {
    const { token } = await post("/api/settings/tokens", { name: input.value });
    complain(form, "");
    input.value = "";
    const text = find("#token-text");
    const box = find("#new-token");
    if (text) fill(text, token);
    if (box) {
      box.hidden = false;
      box.scrollIntoView({ block: "nearest" });
    }
    await renewTokens();
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
    submit: () => post(`/api/settings/tokens/${revoke}/revoke`, {}),
  });
  if (!done) return;
  toast(`${name} is revoked.`);
  const box = find("#new-token");
  if (box) box.hidden = true;
  await renewTokens();
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
  field.remove();
});

const text = /** @type {HTMLTextAreaElement | null} */ (find("#import-text"));
const plan = find("#import-plan");
const apply = find("[data-import-apply]");

function forgetPlan() {
  if (plan) plan.hidden = true;
  if (apply) apply.hidden = true;
}
text?.addEventListener("input", forgetPlan);

/** @param {{changes: {what: string, before: string, after: string}[], passed_over: string[]}} found */
function showPlan({ changes, passed_over }) {
  if (!plan || !apply) return;
  const rows = changes.map((c) =>
    h("li", null, h("strong", null, c.what), " ", h("span", { class: "quiet" }, c.before), " → ", h("span", null, c.after)),
  );
  fill(
    plan,
    rows.length ? h("ul", { class: "changes" }, rows) : h("p", null, "Nothing would change."),
    passed_over.length > 0 && h("p", { class: "label" }, "Passed over"),
    passed_over.length > 0 && h("ul", { class: "passed-over" }, passed_over.map((said) => h("li", null, said))),
  );
  plan.hidden = false;
  apply.hidden = !rows.length;
}

on(document, "submit", "[data-import]", async (event, form) => {
  event.preventDefault();
  const isSure = /** @type {SubmitEvent} */ (event).submitter === apply;
  try {
    const body = { text: text?.value ?? "", apply: isSure };
    const found = await post("/api/settings/import", body);
    importComplaint("");
    if (!isSure) return showPlan(found);
    location.hash = "configuration";
    location.reload();
  } catch (/** @type {any} */ error) {
    forgetPlan();
    if (error instanceof ApiError && error.param === "text") importComplaint(error.message);
    else toast(error.message, { bad: true });
  }
});

/** @param {string} message */
function importComplaint(message) {
  const said = find("#import-said");
  if (said) {
    fill(said, message);
    said.hidden = !message;
  }
  text?.setAttribute("aria-invalid", String(Boolean(message)));
}

// A browser that goes back may show what was typed before, not what is so.
for (const form of all("[data-setting]")) {
  if (find(".complaint:not([hidden])", form) === null) setValue(form, form.dataset.value ?? "");
}
