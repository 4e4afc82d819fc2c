/** Bringing in a configuration: by file, drop or paste; shown first, made whole, taken back. */

import { ApiError, post } from "./lib/api.js";
import { fill, find, h, on } from "./lib/dom.js";
import { toast } from "./lib/toast.js";
import { changing } from "./settings-live.js";

const LONGEST = 2_000_000;

const text = /** @type {HTMLTextAreaElement} */ (find("#import-text"));
const picker = /** @type {HTMLInputElement} */ (find("#import-file"));
const plan = /** @type {HTMLElement} */ (find("#import-plan"));
const apply = /** @type {HTMLElement} */ (find("[data-import-apply]"));

function forgetPlan() {
  plan.hidden = true;
  apply.hidden = true;
}

/** @param {{changes: {what: string, before: string, after: string}[], passed_over: string[]}} found */
function showPlan({ changes, passed_over }) {
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

/** @param {string} message */
function complain(message) {
  const said = find("#import-said");
  if (said) {
    fill(said, message);
    said.hidden = !message;
  }
  text.setAttribute("aria-invalid", String(Boolean(message)));
}

/** @param {boolean} isSure whether it is to be made, not shown */
async function bringIn(isSure) {
  try {
    const ask = () => post("/api/settings/import", { text: text.value, apply: isSure });
    const found = await (isSure ? changing(ask) : ask());
    complain("");
    if (!isSure) return showPlan(found);
    text.value = picker.value = "";
    forgetPlan();
    const n = found.applied.length;
    toast(n === 1 ? "1 change is imported." : `${n} changes are imported.`, { undo: takeBack });
  } catch (/** @type {any} */ error) {
    forgetPlan();
    if (error instanceof ApiError && error.param === "text") complain(error.message);
    else toast(error.message, { bad: true });
  }
}

async function takeBack() {
  try {
    await changing(() => post("/api/settings/import/undo", {}));
    toast("The import is taken back.");
  } catch (/** @type {any} */ error) {
    toast(error.message, { bad: true });
  }
}

/** @param {File | null | undefined} file */
async function read(file) {
  if (!file) return;
  forgetPlan();
  if (file.size > LONGEST) return complain(`${file.name} is too long: no configuration is.`);
  try {
    text.value = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    return complain(`${file.name} is not text in UTF-8, so it is no configuration.`);
  }
  await bringIn(false);
}

/** Wire the form; the page without scripts sends it as it stands. */
export function startImport() {
  const form = /** @type {HTMLElement} */ (find("[data-import]"));
  text.addEventListener("input", forgetPlan);
  picker.addEventListener("change", () => read(picker.files?.[0]));
  form.addEventListener("dragover", (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    form.dataset.over = "";
  });
  for (const type of ["dragleave", "drop"]) form.addEventListener(type, () => delete form.dataset.over);
  form.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    picker.value = "";
    read(file);
  });
  on(document, "submit", "[data-import]", (event) => {
    event.preventDefault();
    bringIn(/** @type {SubmitEvent} */ (event).submitter === apply);
  });
  on(document, "submit", "[data-undo-import]", (event) => {
    event.preventDefault();
    takeBack();
  });
}
