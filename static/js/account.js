/** The page Account: what is wrong stands at its field, and no mishap costs what was typed. */

import { ApiError, post } from "./lib/api.js";
import { all, find, on } from "./lib/dom.js";
import { toast } from "./lib/toast.js";

on(document, "submit", "[data-account-form]", async (event, form) => {
  event.preventDefault();
  const button = find("button[type=submit]", form);
  if (button?.getAttribute("aria-busy") === "true") return;
  button?.setAttribute("aria-busy", "true");
  const inputs = /** @type {HTMLInputElement[]} */ (all(".input", form));
  const wrong = (/** @type {HTMLInputElement} */ input, /** @type {string} */ message) => {
    const said = find(`#${input.id}-said`);
    if (said) said.textContent = message;
    if (said) said.hidden = !message;
    input.setAttribute("aria-invalid", String(Boolean(message)));
    if (message) input.focus();
  };
  inputs.forEach((input) => wrong(input, ""));
  try {
    const values = Object.fromEntries(inputs.map((input) => [input.name, input.value]));
    toast((await post("/account", values)).message, { seconds: 8 });
    /** @type {HTMLFormElement} */ (form).reset();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const place = inputs.find((input) => input.name === error.param);
    if (place) wrong(place, error.message);
    else toast(error.message, { bad: true });
  } finally {
    button?.removeAttribute("aria-busy");
  }
});
