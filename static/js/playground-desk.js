/**
 * What lies on the desk: the conversation that is shown, what is being answered in it, and how
 * it is kept.
 * @module
 */

import { toast } from "./lib/toast.js";
import * as store from "./playground-store.js";

/** @typedef {import("./playground-store.js").Answer} Answer */
/** @typedef {import("./playground-store.js").Conversation} Conversation */

const SAVE_MS = 1000;

export const desk = { talk: store.current() };
/** What is being answered, and how it is stopped. @type {Map<Answer, AbortController>} */
export const running = new Map();
/** Ids of conversations that an answer on its way must not bring back. @type {Set<string>} */
const deleted = new Set();
/** @type {(() => void)[]} */
const parts = [];
let saving = 0;
let told = "";

/** Each part of the page draws itself when another conversation is laid out. @param {() => void} draw */
export function onShow(draw) {
  parts.push(draw);
}

export function show() {
  for (const draw of parts) draw();
}

export function save() {
  clearTimeout(saving);
  saving = 0;
  const how = store.save(desk.talk);
  store.setCurrent(desk.talk);
  if (how !== "saved" && how !== told) {
    const what = how === "without images" ? "without its images" : "no longer";
    toast(`This browser's storage is full: the conversation is kept ${what}. Delete some.`, { bad: true });
  }
  told = how;
}

export function saveSoon() {
  saving ||= setTimeout(save, SAVE_MS);
}

/** Also one that is not shown any more. @param {Conversation} talk */
export function keep(talk) {
  if (talk === desk.talk) save();
  else if (!deleted.has(talk.id)) store.save(talk);
}

/** Stop what is being answered; what has come so far stays. */
export function stop() {
  for (const one of running.values()) one.abort();
}

/** Whether an answer is being written; says so. */
export function isBusy() {
  if (running.size) toast("Wait for the answer, or stop it first.");
  return running.size > 0;
}

/** Lay out another conversation. @param {Conversation} next */
export function open(next) {
  stop();
  if (saving) save();
  const { talk } = desk;
  if (!talk.turns.length && !talk.draft.text && talk !== next) store.remove(talk.id);
  desk.talk = next;
  save();
  show();
}

/** @param {Conversation} gone @returns {() => void} brings it back */
export function remove(gone) {
  const shown = gone === desk.talk;
  store.remove(gone.id);
  deleted.add(gone.id);
  if (shown) {
    stop();
    clearTimeout(saving);
    saving = 0;
    desk.talk = store.fresh(gone.options);
    show();
  }
  return () => {
    deleted.delete(gone.id);
    store.save(gone);
    if (shown) open(gone);
  };
}

addEventListener("pagehide", () => saving && save());

// Another tab has the same conversation: this one follows, unless it is at work itself.
addEventListener("storage", ({ key }) => {
  if (key !== store.keyOf(desk.talk.id) || saving || running.size) return;
  const next = store.load(desk.talk.id, { live: true });
  // While the other tab is being answered, its last word is waited for.
  if (!next || next.turns.some((turn) => turn.answers.some((answer) => answer.state === "streaming"))) return;
  const grew = JSON.stringify(next.turns) !== JSON.stringify(desk.talk.turns);
  desk.talk = next;
  show();
  if (grew) toast("This conversation went on in another tab.");
});
