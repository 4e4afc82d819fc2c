/**
 * Asking: a new turn, and what is done with an answer that is there.
 * @module
 */

import { announce, copy } from "./lib/dom.js";
import { toast } from "./lib/toast.js";
import { desk, isBusy, keep, running, saveSoon } from "./playground-desk.js";
import { pick } from "./playground-models.js";
import * as rail from "./playground-options.js";
import { curl, python, request } from "./playground-request.js";
import { begun, run } from "./playground-run.js";
import { changed, showTurns, toEnd } from "./playground-turns.js";

/** @typedef {import("./playground-store.js").Answer} Answer */
/** @typedef {import("./playground-store.js").Turn} Turn */

/** @type {() => void} */
let onRunning = () => {};

/** @param {() => void} draw shows whether an answer is being written */
export function bindAsking(draw) {
  onRunning = draw;
}

/** A new turn. @param {Turn["user"]} user @returns {boolean} whether it was sent */
export function ask(user) {
  if (!rail.check(desk.talk.options)) {
    rail.showWrong();
    return false;
  }
  const { model, second } = desk.talk.options;
  const answers = [model, second].filter(Boolean).map((name) => begun(asked(name)));
  /** @type {Turn} */
  const turn = { user, pair: answers.length > 1, answers, chosen: 0 };
  const at = desk.talk.turns.push(turn) - 1;
  for (const answer of answers) start(answer, at);
  saveSoon();
  showTurns();
  toEnd();
  return true;
}

/** @param {string} model */
function asked(model) {
  const { strategy } = desk.talk.options;
  return model === "auto" && strategy ? `auto:${strategy}` : model;
}

/** @param {Answer} answer @param {number} at the turn @param {boolean} [goOn] */
async function start(answer, at, goOn = false) {
  const { talk } = desk;
  const stop = new AbortController();
  running.set(answer, stop);
  onRunning();
  await run(talk, at, answer, stop, () => changed(answer), goOn);
  running.delete(answer);
  keep(talk);
  changed(answer);
  onRunning();
  announce(ending(answer));
  if (answer.param && talk === desk.talk) rail.refuse(answer.param, answer.why ?? "");
}

/** @param {Answer} answer */
function ending({ state, via, why = "" }) {
  if (state === "done") return `${via ?? "The model"} has answered.`;
  return state === "stopped" ? "Stopped." : why;
}

/**
 * What a button of an answer does.
 * @param {string} action @param {Turn} turn @param {number} at @param {Answer} answer @param {any} detail
 */
export async function act(action, turn, at, answer, detail) {
  if (action === "copy") return tellCopied(await copy(answer.text), "Copied.");
  if (action === "curl" || action === "python") return copyRequest(action, at, answer);
  if (isBusy()) return;
  if (!rail.check(desk.talk.options)) return rail.showWrong();
  if (action === "continue") {
    answer.continued = (answer.continued ?? 0) + 1;
    start(answer, at, true);
    return showTurns();
  }
  if (action === "results") {
    answer.calls.forEach((call, i) => (call.result = detail[i]));
    turn.chosen = turn.answers.indexOf(answer);
    return void ask(null);
  }
  const model = action === "other" ? await pick("Retry with", answer.model) : answer.model;
  if (model) again(turn, at, answer, action === "other" ? asked(model) : model);
}

/** @param {Turn} turn @param {number} at @param {Answer} answer @param {string} model */
function again(turn, at, answer, model) {
  const next = begun(model);
  // Beside another answer, or when there was none, the new one stands in its place.
  if (turn.pair || (answer.state === "failed" && !answer.text)) turn.answers[turn.answers.indexOf(answer)] = next;
  else turn.chosen = turn.answers.push(next) - 1;
  start(next, at);
  saveSoon();
  showTurns();
}

/** @param {"curl" | "python"} language @param {number} at @param {Answer} answer */
async function copyRequest(language, at, answer) {
  if (!rail.check(desk.talk.options)) return rail.showWrong();
  const body = request(desk.talk, at, answer.model);
  const done = await copy(language === "curl" ? curl(body) : python(body));
  tellCopied(done, `Copied as ${language === "curl" ? "curl" : "Python"}. Put the unified key into FREELLMAPI_KEY.`);
}

/** @param {boolean} done @param {string} message */
function tellCopied(done, message) {
  toast(done ? message : "The browser did not allow it.", { bad: !done });
}
