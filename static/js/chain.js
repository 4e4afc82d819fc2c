/** The page Chain: what is shown is what the server has; every change is saved at once. */

import { get, put } from "./lib/api.js";
import { ask } from "./lib/dialog.js";
import { all, announce, find, on } from "./lib/dom.js";
import { poll, tellTimes } from "./lib/live.js";
import { toast } from "./lib/toast.js";
import { startChoosing } from "./chain_choose.js";
import { arrange, shown, startFiltering } from "./chain_list.js";
import { asked, patch, unfolded } from "./chain_live.js";
import { startMenu } from "./chain_menu.js";
import { startMoving } from "./chain_move.js";
import { startWhy } from "./chain_why.js";

/** So that another tab's change is seen within two seconds. */
const LOOK_SECONDS = 1.2;
const CALM_MS = 3000;
const BY_HAND = "priority";

const page = /** @type {HTMLElement} */ (find("[data-chain]"));
const holder = /** @type {HTMLElement} */ (find("[data-list]"));

/** @typedef {{version: string, strategy: string, order: string[], enabled: Record<string, boolean>}} Chain */
/** @type {Chain | null} what the server last told in full */
let known = null;
let saving = 0;
/** @type {string[]} the rows in the order that the server told */
let told = [];
let renewedAt = Date.now();
/** @type {Promise<unknown>} */
let queue = Promise.resolve();

const list = () => /** @type {HTMLElement} */ (find(".chain-list", holder));

/**
 * Save a change, show it, and offer to take it back. Changes wait for one another.
 * @param {Partial<Chain> & {preset?: string}} change
 * @param {string} message
 * @param {boolean} [undoes] it takes another one back, so that Undo goes on with the one before that
 */
export function save(change, message, undoes = false) {
  saving += 1;
  queue = queue.then(async () => {
    let lost = false;
    try {
      const version = list().dataset.version;
      if (known?.version !== version) known = await get("/api/chain", { patient: false });
      const before = known;
      known = await put("/api/chain", { ...change, version });
      list().dataset.version = known?.version;
      if (change.order) told = change.order;
      toast(message, undoes ? {} : { undo: () => before && takeBack(before) });
    } catch (/** @type {any} */ error) {
      toast(error.message, { bad: true });
      known = null;
      lost = error.status === 0;
      if (lost) asBefore();
    } finally {
      saving -= 1;
      if (!saving && !lost) await renew();
      looking.refresh();
    }
  });
  return queue;
}

/** What the server told last: nothing of the change was done, and there is nobody to ask. */
function asBefore() {
  shown.order = told;
  for (const toggle of all(".row .toggle", holder)) {
    toggle.setAttribute("aria-checked", String(!toggle.closest(".row-folded")));
  }
  press(list().dataset.strategy);
  arrange();
}

/** @param {Chain} before */
function takeBack({ order, enabled, strategy }) {
  save({ order, enabled, strategy }, "As it was before.", true);
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

/** What the rows say on the server now, with what the viewer was doing in them. */
async function renew() {
  if (isBusy()) return;
  const answer = await asked().catch(() => null);
  if (!answer || saving || isBusy()) return;
  renewedAt = Date.now();
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  patch(holder, answer);
  press(answer.live.strategy);
  shown.order = told = answer.live.rows.map(([ref]) => ref);
  arrange();
  tellTimes(holder);
  if (focused && !focused.isConnected) find(".toggle", holder)?.focus({ preventScroll: true });
}

/** @param {string | undefined} strategy */
function press(strategy) {
  for (const button of all("[data-strategies] button")) {
    button.setAttribute("aria-pressed", String(button.getAttribute("value") === `strategy:${strategy}`));
  }
}

/** Rows must not change under a hand that holds one, or an open menu. */
function isBusy() {
  return menuIsOpen() || find("[data-lifted], .sortable-chosen", holder) !== null;
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

on(page, "click", "button[name=change]", (event, button) => {
  event.preventDefault();
  const [, verb, name] = /** @type {RegExpMatchArray} */ (
    (button.getAttribute("value") ?? "").match(/^(\w+):(.*)$/)
  );
  if (verb === "strategy") {
    if (name === list().dataset.strategy) return;
    press(name);
    save({ strategy: name }, `Strategy: ${name}.`);
  } else if (verb === "preset") save({ preset: name }, `${button.textContent?.trim()}.`);
});
on(holder, "click", ".toggle", (_event, toggle) => {
  const ref = toggle.closest(".row")?.id;
  if (ref) turn(toggle.getAttribute("aria-checked") === "true" ? "off" : "on", [ref]);
});

/** @param {"on" | "off"} verb @param {string[]} refs */
function turn(verb, refs) {
  const yes = verb === "on";
  for (const ref of refs) {
    const toggle = find(".toggle", document.getElementById(ref) ?? holder);
    toggle?.setAttribute("aria-checked", String(yes));
  }
  const who = refs.length === 1 ? `${refs[0]} is` : `${refs.length} models are`;
  return save({ enabled: Object.fromEntries(refs.map((ref) => [ref, yes])) }, `${who} ${verb}.`);
}

/** @param {string} verb @param {string[]} refs */
const act = (verb, refs) =>
  verb === "on" || verb === "off" ? turn(verb, refs) : moving.by(/** @type {any} */ (verb), refs);

page.addEventListener("submit", (event) => event.preventDefault());

const moving = startMoving(holder, { reorder });
const menuIsOpen = startMenu(holder, (verb, ref) => act(verb, [ref]));
startChoosing(page, act);
startFiltering(page, unfolded);
on(page, "click", "[data-group]", () => moving.renew());
on(holder, "click", "[data-folded] > summary, [data-unfold]", async (event, target) => {
  if (!target.matches("summary")) event.preventDefault();
  if (await unfolded()) arrange();
});
startWhy();
const looking = poll("/api/chain/version", LOOK_SECONDS, look, { now: false });
shown.order = told = all("[data-rows] .row", holder).map((row) => row.id);
tellTimes(holder);
page.dataset.live = "";
aim(decodeURIComponent(location.hash.slice(1)));

/** Bring the row that the address names into view, out of the fold if it is there. @param {string} ref */
async function aim(ref) {
  if (!ref || document.getElementById(ref)?.matches(".row:not(.row-folded)")) return;
  await unfolded();
  const row = document.getElementById(ref);
  row?.closest("details")?.setAttribute("open", "");
  row?.scrollIntoView({ block: "center" });
}
