/**
 * The rail: what goes along with every message of a conversation.
 * @module
 */

import { all, find, on } from "./lib/dom.js";
import { BadOption, fields } from "./playground-request.js";
import { defaults } from "./playground-store.js";

/** @typedef {import("./playground-store.js").Options} Options */

const YEAR = 365 * 24 * 3600;
const NARROW = matchMedia("(width <= 1000px)");

/** @type {HTMLElement} */
const page = /** @type {any} */ (find("[data-pg]"));
/** @type {HTMLElement} */
const rail = /** @type {any} */ (find("#options"));
const button = find("[data-fold]");
/** @type {(HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement)[]} */
const inputs = /** @type {any} */ (all("[data-option]", rail));

/**
 * @param {() => Options} options those of the conversation that is shown
 * @param {() => void} changed
 */
export function bind(options, changed) {
  on(rail, "input", "[data-option]", (_event, input) => {
    const { name, value } = /** @type {HTMLInputElement} */ (input);
    /** @type {any} */ (options())[name] = value;
    // While it is typed it may become right; what was wrong is judged anew at once.
    if (input.getAttribute("aria-invalid") === "true") check(options());
    changed();
  });
  on(rail, "change", "[data-option]", () => check(options()));
  on(rail, "click", "[data-reset]", () => {
    const { model, second } = options();
    Object.assign(options(), defaults(), { model, second });
    show(options());
    changed();
  });
}

/** @param {Options} options */
export function show(options) {
  for (const input of inputs) input.value = /** @type {any} */ (options)[input.name];
  check(options);
}

/** Say at each field what is wrong with it. @param {Options} options @returns {boolean} whether all is well */
export function check(options) {
  let wrong = "";
  let said = "";
  try {
    fields(options);
  } catch (error) {
    if (!(error instanceof BadOption)) throw error;
    [wrong, said] = [error.field, error.message];
  }
  for (const input of inputs) complain(input, input.name === wrong ? said : "");
  return wrong === "";
}

/** @param {HTMLElement & {name: string}} input @param {string} said "" when all is well */
function complain(input, said) {
  input.setAttribute("aria-invalid", String(said !== ""));
  const place = find(`#o-${input.name}-said`);
  if (!place) return;
  place.textContent = said;
  place.hidden = said === "";
}

/** Say at a field what the server, or a provider, has against it. @param {string} param as errors name it @param {string} message */
export function refuse(param, message) {
  const head = param.split(/[.[]/)[0];
  const name = head === "response_format" ? "schema" : head;
  const input = inputs.find((one) => one.name === name);
  if (input) complain(input, message);
}

/** Open the rail at the field that is wrong. */
export function showWrong() {
  fold(false);
  inputs.find((input) => input.getAttribute("aria-invalid") === "true")?.focus();
}

const folded = () => (NARROW.matches ? !("over" in page.dataset) : "folded" in page.dataset);

/** @param {boolean} away */
function fold(away) {
  button?.setAttribute("aria-expanded", String(!away));
  // Where there is room beside it, and where it lies over the conversation, are kept apart.
  page.toggleAttribute(NARROW.matches ? "data-over" : "data-folded", NARROW.matches !== away);
  // A cookie, so that the server sends the page as it was left and nothing jumps.
  if (!NARROW.matches) {
    document.cookie = `playground_options=${away ? "folded" : "open"}; path=/playground; max-age=${YEAR}; samesite=lax`;
  }
}

function settle() {
  page.removeAttribute("data-over");
  button?.setAttribute("aria-expanded", String(!folded()));
}
NARROW.addEventListener("change", settle);
settle();

button?.addEventListener("click", () => {
  fold(!folded());
  if (!folded() && NARROW.matches) rail.focus();
});
find("[data-close]", rail)?.addEventListener("click", () => {
  fold(true);
  button?.focus();
});
rail.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !NARROW.matches) return;
  fold(true);
  button?.focus();
  event.stopPropagation();
});
