/** The page Chain: what is shown is what the server has; every change is saved at once. */

import { get, put, send } from "./lib/api.js";
import { ask } from "./lib/dialog.js";
import { all, announce, find, on } from "./lib/dom.js";
import { poll, tellTimes } from "./lib/live.js";
import { toast } from "./lib/toast.js";
import { arrange, place, shown, startChoosing } from "./chain_list.js";
import { startMoving } from "./chain_move.js";
import { startWhy } from "./chain_why.js";

/** So that another tab's change is seen within two seconds. */
const LOOK_SECONDS = 1.2;
const CALM_MS = 3000;
const BY_HAND = "priority";

const form = /** @type {HTMLFormElement} */ (find("[data-chain]"));
const holder = /** @type {HTMLElement} */ (find("[data-list]"));

/** @typedef {{version: string, strategy: string, order: string[], enabled: Record<string, boolean>}} Chain */
/** @type {Chain | null} what the server last told in full */
let known = null;
let saving = 0;
let renewedAt = Date.now();
/** @type {Promise<unknown>} */
let queue = Promise.resolve();

const list = () => /** @type {HTMLElement} */ (find(".chain-list", holder));

/**
 * Save a change, show it, and offer to take it back. Changes wait for one another.
 * @param {Partial<Chain> & {preset?: string}} change
 * @param {string} message
 */
export function save(change, message) {
  saving += 1;
  queue = queue.then(async () => {
    try {
      const version = list().dataset.version;
      if (known?.version !== version) known = await get("/api/chain");
      const before = known;
      known = await put("/api/chain", { ...change, version });
      list().dataset.version = known?.version;
      toast(message, { undo: () => before && takeBack(before) });
    } catch (/** @type {any} */ error) {
      toast(error.message, { bad: true });
      known = null;
    } finally {
      saving -= 1;
      if (!saving) await renew();
      looking.refresh();
    }
  });
  return queue;
}

/** @param {Chain} before */
function takeBack({ order, enabled, strategy }) {
  save({ order, enabled, strategy }, "As it was before.");
}

/**
 * Put the rows into this order. Under a strategy that has an order of its own, ask first.
 * @param {string[]} order
 * @param {string} message
 */
export async function reorder(order, message) {
  const strategy = list().dataset.strategy ?? BY_HAND;
  if (order.join("\n") === shown.order.join("\n")) return arrange();
  if (strategy !== BY_HAND) {
    const yes = await ask({
      title: "Order by hand?",
      text: `The strategy "${strategy}" orders the chain now. To keep an order of your own, it is switched to "${BY_HAND}".`,
      action: "Switch and move",
    });
    if (!yes) return arrange();
  }
  shown.order = order;
  arrange();
  announce(message);
  return save({ order, strategy: BY_HAND }, message);
}

/** The list as the server renders it now, with what the viewer was doing in it. */
async function renew() {
  if (isBusy()) return;
  const response = await send("GET", "/api/chain/rows").catch(() => null);
  if (!response) return;
  const text = await response.text();
  if (saving || isBusy()) return;
  const fresh = new DOMParser().parseFromString(text, "text/html").body.firstElementChild;
  if (!fresh) return;
  renewedAt = Date.now();
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  const ref = focused?.closest("[data-ref]")?.getAttribute("data-ref");
  const part = focused?.className.split(" ")[0];
  const family = ref ? null : focused?.closest(".family")?.getAttribute("data-of");
  const open = find("[data-folded][open]", holder) !== null;
  const chosen = all(".row-check:checked", holder).map((box) => box.closest("[data-ref]")?.id);
  holder.replaceChildren(document.adoptNode(fresh));
  if (open) find("[data-folded]", holder)?.setAttribute("open", "");
  for (const id of chosen) {
    const box = id && find(".row-check", document.getElementById(id) ?? holder);
    if (box) /** @type {HTMLInputElement} */ (box).checked = true;
  }
  for (const button of all("[data-strategies] button")) {
    const mine = button.getAttribute("value") === `strategy:${list().dataset.strategy}`;
    button.setAttribute("aria-pressed", String(mine));
  }
  read();
  const again = family && find(`.family[data-of="${CSS.escape(family)}"]`, holder);
  if (again) find(`.${part}`, again)?.focus({ preventScroll: true });
  else if (ref && part) {
    const row = document.getElementById(ref);
    (row && (find(`.${part}`, row) ?? find("button", row)))?.focus({ preventScroll: true });
  }
}

/** Rows must not change under a hand that holds one, or an open menu. */
function isBusy() {
  return find(".row .menu[open], [data-lifted], .sortable-chosen", holder) !== null;
}

function read() {
  shown.order = all("[data-rows] [data-ref]", holder).map((row) => row.id);
  arrange();
  tellTimes(holder);
  moving.renew();
}

/** @param {{version: string, state: string}} seen */
async function look(seen) {
  if (saving || isBusy()) return;
  const { version, state } = list().dataset;
  if (seen.version !== version) {
    known = null;
    await renew();
    toast("The chain was changed elsewhere. You see it as it is now.");
  } else if (seen.state !== state && Date.now() - renewedAt > CALM_MS) await renew();
}

on(form, "click", "button[name=change]", (event, button) => {
  event.preventDefault();
  const [, verb, name] = /** @type {RegExpMatchArray} */ (
    (button.getAttribute("value") ?? "").match(/^(\w+):(.*)$/)
  );
  if (verb === "strategy") {
    if (name !== list().dataset.strategy) save({ strategy: name }, `Strategy: ${name}.`);
  } else if (verb === "preset") save({ preset: name }, `${button.textContent?.trim()}.`);
  else if (verb === "on") save({ enabled: { [name]: true } }, `${name} is on.`);
  else if (verb === "off") save({ enabled: { [name]: false } }, `${name} is off.`);
  else moving.by(/** @type {"top" | "up" | "down"} */ (verb), [name]);
});
form.addEventListener("submit", (event) => event.preventDefault());

const moving = startMoving(holder, { reorder, place });
startChoosing(form, {
  many: (verb, refs) => {
    if (verb !== "off") return moving.by(verb, refs);
    const enabled = Object.fromEntries(refs.map((ref) => [ref, false]));
    return save({ enabled }, refs.length === 1 ? `${refs[0]} is off.` : `${refs.length} models are off.`);
  },
});
on(form, "click", "[data-group]", () => moving.renew());
startWhy();
const looking = poll("/api/chain/version", LOOK_SECONDS, look, { now: false });
read();
form.dataset.live = "";
const aim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
if (aim?.closest("details")) {
  aim.closest("details")?.setAttribute("open", "");
  aim.scrollIntoView({ block: "center" });
}
