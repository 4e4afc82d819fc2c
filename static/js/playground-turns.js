/**
 * The conversation on the page: its turns, and the answers that grow in them.
 * @module
 */

import { fill, find, h, icon } from "./lib/dom.js";
import { answerView } from "./playground-answer.js";
import { desk, onShow, save, saveSoon } from "./playground-desk.js";

/** @typedef {import("./playground-store.js").Answer} Answer */
/** @typedef {import("./playground-store.js").Turn} Turn */
/**
 * @typedef {object} Handlers
 * @property {(action: string, turn: Turn, at: number, answer: Answer, detail: any) => void} act
 * @property {(at: number) => void} edit
 * @property {(line: string) => void} type
 */

const NEAR_END = 140;
const TRIES = ["Explain idempotency keys to a new colleague.", "Write a haiku about rate limits.", "Compare B-trees and LSM trees in a table."];

/** @type {HTMLElement} */
const page = /** @type {any} */ (find("[data-pg]"));
/** @type {HTMLElement} */
const place = /** @type {any} */ (find("[data-turns]"));
/** @type {Map<Answer, () => void>} */
const updates = new Map();
/** @type {Handlers} */
let handlers;

/** @param {Handlers} given what becomes of presses */
export function bindTurns(given) {
  handlers = given;
  onShow(showTurns);
}

export function showTurns() {
  const { turns } = desk.talk;
  updates.clear();
  widen();
  fill(place, turns.length ? turns.map(turnView) : welcome());
}

/** Two answers side by side need more room than one. */
export function widen() {
  const { turns, options } = desk.talk;
  page.toggleAttribute("data-wide", turns.some((turn) => turn.pair) || options.second !== "");
}

/** There is more of it. @param {Answer} answer */
export function changed(answer) {
  const stay = atEnd();
  updates.get(answer)?.();
  if (stay) toEnd();
  saveSoon();
}

const root = () => document.scrollingElement ?? document.body;

/** Whether the reader is at the end, and is to stay there. */
const atEnd = () => root().scrollHeight - root().scrollTop - root().clientHeight < NEAR_END;

export function toEnd() {
  root().scrollTop = root().scrollHeight;
}

function welcome() {
  if (!("ready" in page.dataset)) {
    return h(
      "div",
      { class: "pg-welcome" },
      h("h2", null, "Nobody to ask yet"),
      h("p", null, "Add a provider's key first; several are free and take a minute."),
      h("a", { class: "button", href: page.dataset.keys, data: { kind: "main" } }, icon("plus"), " Add a key"),
    );
  }
  const button = (/** @type {string} */ line) =>
    h("button", { class: "button", type: "button", onclick: () => handlers.type(line) }, line);
  return h(
    "div",
    { class: "pg-welcome" },
    h("h2", null, "Ask the pool something"),
    h("p", null, "With auto, the first model of your chain that can answer does."),
    h("div", { class: "actions" }, TRIES.map(button)),
  );
}

/** @param {Turn} turn @param {number} at */
function turnView(turn, at) {
  const shown = turn.pair ? turn.answers : [turn.answers[turn.chosen]];
  return h(
    "section",
    { class: "pg-turn", data: turn.pair ? { pair: "" } : {}, "aria-label": `Turn ${at + 1}` },
    turn.user && question(turn.user, at),
    h("div", { class: "pg-answers" }, shown.map((answer) => oneAnswer(turn, at, answer))),
  );
}

/** @param {{text: string, images: string[]}} user @param {number} at */
function question(user, at) {
  const label = { "aria-label": "Edit this message", title: "Edit" };
  const edit = h("button", { class: "button", type: "button", data: { kind: "plain", size: "icon" }, ...label }, icon("edit"));
  edit.addEventListener("click", () => handlers.edit(at));
  return h(
    "div",
    { class: "pg-user" },
    edit,
    h("div", { class: "pg-said" }, user.images.map((src) => h("img", { src, alt: "Attached image" })), user.text),
  );
}

/** @param {Turn} turn @param {number} at @param {Answer} answer */
function oneAnswer(turn, at, answer) {
  const view = answerView(answer, (action, detail) => handlers.act(action, turn, at, answer, detail));
  updates.set(answer, view.update);
  const name = h("span", { class: "pg-asked" }, answer.model);
  if (turn.pair) return h("div", { class: "pg-one" }, h("div", { class: "pg-head" }, name, chooser(turn, answer)), view.element);
  if (turn.answers.length < 2) return view.element;
  return h("div", { class: "pg-one" }, h("div", { class: "pg-head" }, name, pager(turn)), view.element);
}

/** @param {Turn} turn @param {Answer} answer */
function chooser(turn, answer) {
  const chosen = turn.answers[turn.chosen] === answer;
  const go = h("button", { class: "button", type: "button", data: { kind: "plain" }, "aria-pressed": String(chosen) });
  fill(go, chosen ? [icon("check"), " Goes on with this one"] : "Go on with this one");
  go.addEventListener("click", () => choose(turn, turn.answers.indexOf(answer)));
  return go;
}

/** @param {Turn} turn */
function pager(turn) {
  const step = (/** @type {number} */ by, /** @type {string} */ label, /** @type {string} */ sign) => {
    const to = turn.chosen + by;
    const props = { class: "button", type: "button", data: { kind: "plain", size: "icon" }, "aria-label": label };
    return h("button", { ...props, disabled: !turn.answers[to], onclick: () => choose(turn, to) }, sign);
  };
  const where = `${turn.chosen + 1} of ${turn.answers.length}`;
  return h("span", { class: "pg-pager" }, step(-1, "Answer before", "‹"), where, step(1, "Next answer", "›"));
}

/** @param {Turn} turn @param {number} to */
function choose(turn, to) {
  turn.chosen = to;
  save();
  showTurns();
}
