/**
 * The field at the bottom: what is being written, its images, and the models that it goes to.
 * @module
 */

import { find, on } from "./lib/dom.js";
import { toast } from "./lib/toast.js";
import { ask, bindAsking } from "./playground-ask.js";
import { desk, isBusy, keep, onShow, running, save, saveSoon, show, stop } from "./playground-desk.js";
import { attach, thumbnails } from "./playground-images.js";
import { pick } from "./playground-models.js";
import { widen } from "./playground-turns.js";

const TALLEST = 196;

/** @type {HTMLTextAreaElement} */
export const text = /** @type {any} */ (find("[data-text]"));
/** @type {HTMLElement} */
const images = /** @type {any} */ (find("[data-images]"));

/** Write it into the field, to be looked at and sent. @param {string} line */
export function type(line) {
  text.value = line;
  text.dispatchEvent(new Event("input"));
  text.focus();
}

/** Take a message back into the field, and away what followed it. @param {number} at its turn */
export function edit(at) {
  if (isBusy()) return;
  const own = desk.talk;
  const before = { turns: own.turns, draft: { ...own.draft, text: text.value } };
  const { user } = own.turns[at];
  if (!user) return;
  own.turns = own.turns.slice(0, at);
  own.draft = { text: user.text, images: [...user.images] };
  save();
  show();
  text.focus();
  const undo = () => {
    Object.assign(own, before);
    keep(own);
    if (own === desk.talk) show();
  };
  toast("The message is back in the field; what followed it is taken away.", { undo });
}

function submit() {
  const said = text.value.trim();
  if (running.size || (!said && !desk.talk.draft.images.length)) return;
  if (!ask({ text: said, images: desk.talk.draft.images })) return;
  desk.talk.draft = { text: "", images: [] };
  text.value = "";
  grow();
  showImages();
  save();
}

function grow() {
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight, TALLEST)}px`;
}

function showImages() {
  thumbnails(images, desk.talk.draft.images, () => {
    showImages();
    save();
  });
}

function showRunning() {
  const busy = running.size > 0;
  const [send, halt] = [find("[data-send]"), find("[data-stop]")];
  if (send) send.hidden = busy;
  if (halt) halt.hidden = !busy;
}

function showModels() {
  const { model, second } = desk.talk.options;
  for (const [field, id] of [["model", model], ["second", second]]) {
    const button = /** @type {HTMLButtonElement | null} */ (find(`[data-pick="${field}"]`));
    const name = button && find("[data-name]", button);
    if (!button || !name) continue;
    name.textContent = id;
    button.setAttribute("aria-label", `${field === "model" ? "Model" : "Second model"}: ${id}`);
    button.hidden = id === "";
    // Before the scripts were there a click would have done nothing.
    button.disabled = false;
  }
  const compare = find("[data-compare]");
  compare?.setAttribute("aria-pressed", String(second !== ""));
  if (compare) compare.textContent = second ? "Stop comparing" : "Compare";
  const strategy = /** @type {HTMLSelectElement | null} */ (find("#o-strategy"));
  if (strategy) strategy.disabled = model !== "auto" && second !== "auto";
}

/** @param {"model" | "second"} field @param {string} id */
function chooseModel(field, id) {
  desk.talk.options[field] = id;
  showModels();
  widen();
  save();
}

text.addEventListener("input", () => {
  desk.talk.draft.text = text.value;
  grow();
  saveSoon();
});
text.addEventListener("keydown", (event) => {
  const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing;
  if (!sends) return;
  event.preventDefault();
  submit();
});
find("[data-composer]")?.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
find("[data-stop]")?.addEventListener("click", stop);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running.size && !find("dialog[open], details.menu[open]")) stop();
});
on(document, "click", "[data-pick]", async (_event, button) => {
  const field = /** @type {"model" | "second"} */ (button.dataset.pick);
  const id = await pick(field === "model" ? "Model" : "Second model", desk.talk.options[field]);
  if (id !== null) chooseModel(field, id);
});
on(document, "click", "[data-compare]", async () => {
  chooseModel("second", desk.talk.options.second ? "" : ((await pick("Compare with", "")) ?? ""));
});
attach(text, find("[data-file]"), (url) => {
  desk.talk.draft.images.push(url);
  showImages();
  save();
});
bindAsking(showRunning);
onShow(() => {
  text.value = desk.talk.draft.text;
  grow();
  showImages();
  showModels();
  showRunning();
});
