/**
 * The unified key: shown after the password, hidden again, copied, replaced.
 * @module
 */

import { post } from "./lib/api.js";
import { ask, askPassword } from "./lib/dialog.js";
import { all, copy, fill, find, icon, on } from "./lib/dom.js";
import { toast } from "./lib/toast.js";
import { refresh } from "./keys-live.js";

const KEY_HERE = "YOUR_UNIFIED_KEY";
const place = /** @type {HTMLElement} */ (find("#unified-key"));
const reveal = /** @type {HTMLElement} */ (find('[data-unified-menu="reveal"] > summary'));
const copier = /** @type {HTMLElement} */ (find('[data-unified="copy"]'));

/** The key while it is shown; it is never kept beyond this page. */
let shown = place.hasAttribute("data-shown") ? (place.textContent ?? "") : "";

copier.hidden = false;
mark();

on(document, "click", "[data-unified-menu] > summary", (event, summary) => {
  event.preventDefault();
  if (summary !== reveal) return void rotate();
  if (shown) hide();
  else show();
});
copier.addEventListener("click", async () => {
  if (!shown && !(await show("Copy"))) return;
  const done = await copy(shown);
  toast(done ? "Copied." : "The browser did not allow it. Select the key and copy it.", { bad: !done });
});

/**
 * At once after the password was given, else once it is given again.
 * @param {string} [action]
 */
async function show(action = "Reveal") {
  /** @param {string} [password] */
  const told = async (password = "") => {
    take((await post("/api/keys/unified/reveal", { password })).token);
    refresh();
  };
  try {
    await told();
    return true;
  } catch (/** @type {any} */ error) {
    if (error.code === "password_required") return askPassword(`${action} the unified key`, action, told);
    toast(error.message, { bad: true });
    return false;
  }
}

async function rotate() {
  await ask({
    title: "Rotate the unified key",
    text: "A new key takes its place at once: programs that still send the old one are refused until they have the new one.",
    action: "Rotate",
    danger: true,
    fields: [{ name: "password", label: "Your password", type: "password", autocomplete: "current-password" }],
    submit: async ({ password }) => {
      take((await post("/api/keys/unified/rotate", { password })).token);
      place.dataset.mask = `${shown.slice(0, 11)}••••${shown.slice(-4)}`;
      toast("The new unified key is in force. Copy it now.");
      refresh();
    },
  });
}

/** @param {string} token */
function take(token) {
  putIntoExamples(shown || KEY_HERE, token);
  shown = token;
  place.textContent = token;
  mark();
}

function hide() {
  putIntoExamples(shown, KEY_HERE);
  shown = "";
  place.textContent = place.dataset.mask ?? "";
  mark();
}

function mark() {
  fill(reveal, icon(shown ? "eye-off" : "eye"), shown ? " Hide" : " Reveal");
}

/** @param {string} before @param {string} now */
function putIntoExamples(before, now) {
  for (const code of all("[data-snippet] code")) {
    code.textContent = (code.textContent ?? "").replaceAll(before, now);
  }
}
