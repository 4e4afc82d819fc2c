/**
 * One answer from its request to its end: what comes, who failed before, and exact times.
 * @module
 */

import { ApiError, post } from "./lib/api.js";
import { request, stream, words } from "./playground-request.js";

/** @typedef {import("./playground-store.js").Answer} Answer */
/** @typedef {import("./playground-store.js").Conversation} Conversation */

/** @param {string} model @returns {Answer} */
export const begun = (model) => ({ model, text: "", thinking: "", calls: [], state: "streaming", attempts: [], resumed: [] });

/**
 * Ask, and fill in the answer as it comes. Nothing is thrown: how it ended is its `state`.
 * @param {Conversation} talk
 * @param {number} at the turn
 * @param {Answer} answer
 * @param {AbortController} stop
 * @param {() => void} changed called with each piece
 * @param {boolean} goOn whether what is there already is gone on with
 */
export async function run(talk, at, answer, stop, changed, goOn) {
  const since = performance.now();
  const before = answer.duration ?? 0;
  const passed = () => (performance.now() - since) / 1000;
  const body = request(talk, at, answer.model, goOn ? answer : undefined);
  const earlier = answer.attempts;
  Object.assign(answer, { state: "streaming", why: undefined, param: undefined, finish: undefined });
  try {
    await stream(body, stop.signal, (headers) => takeHead(answer, headers), (event) => {
      take(answer, event, passed);
      changed();
    });
    answer.state = "done";
  } catch (error) {
    if (stop.signal.aborted) answer.state = "stopped";
    else fail(answer, error, stop);
  }
  answer.duration = before + passed();
  // A request that was refused as such was tried with nobody.
  if (answer.state === "done" || (answer.state === "failed" && !answer.param)) await learn(answer, goOn, earlier);
}

/** @param {Answer} answer @param {unknown} error @param {AbortController} stop */
function fail(answer, error, stop) {
  stop.abort();
  answer.state = answer.text ? "broken" : "failed";
  answer.why = words(error);
  if (!(error instanceof ApiError)) return;
  answer.requestId = error.requestId ?? undefined;
  answer.param = error.param ?? undefined;
}

/** @param {Answer} answer @param {Headers} headers */
function takeHead(answer, headers) {
  answer.via = headers.get("X-Routed-Via") ?? undefined;
  answer.requestId = headers.get("X-Request-Id") ?? undefined;
  const trail = headers.get("X-Fallback-Trail");
  const failed = (trail ? trail.split(", ") : []).map((one) => {
    const cut = one.lastIndexOf("=");
    return { model: one.slice(0, cut), kind: one.slice(cut + 1) };
  });
  answer.attempts = [...answer.attempts, ...failed];
}

/** @param {Answer} answer @param {any} event @param {() => number} passed */
function take(answer, event, passed) {
  if (event.resumed) answer.resumed.push(event.resumed);
  if (event.usage) {
    answer.promptTokens = event.usage.prompt_tokens ?? answer.promptTokens;
    answer.tokens = (answer.continued ? (answer.tokens ?? 0) : 0) + (event.usage.completion_tokens ?? 0);
  }
  const choice = event.choices?.[0];
  if (!choice) return;
  const delta = choice.delta ?? {};
  const thought = delta.reasoning_content ?? delta.reasoning ?? "";
  if ((delta.content || thought || delta.tool_calls) && answer.firstToken === undefined) answer.firstToken = passed();
  answer.text += delta.content ?? "";
  if (typeof thought === "string") answer.thinking += thought;
  for (const piece of delta.tool_calls ?? []) {
    const call = (answer.calls[piece.index ?? 0] ??= { id: "", name: "", arguments: "" });
    call.id ||= piece.id ?? "";
    call.name += piece.function?.name ?? "";
    call.arguments += piece.function?.arguments ?? "";
  }
  answer.finish = choice.finish_reason ?? answer.finish;
}

/**
 * What the log says of it: exact times, and why others failed.
 * @param {Answer} answer @param {boolean} goOn @param {Answer["attempts"]} earlier those of before it went on
 */
async function learn(answer, goOn, earlier) {
  if (!answer.requestId) return;
  try {
    const row = await post("/api/route/explain", { request_id: answer.requestId });
    const failed = row.attempts
      .filter((/** @type {any} */ a) => !a.answered)
      .map((/** @type {any} */ a) => ({ model: a.model, kind: a.kind, status: a.status, reason: a.reason, duration: a.duration }));
    answer.attempts = [...earlier, ...failed];
    answer.via = row.served_by ?? answer.via;
    if (goOn) return;
    answer.firstToken = row.first_token ?? answer.firstToken;
    answer.duration = row.duration;
    answer.tokens ??= row.completion_tokens || undefined;
    answer.promptTokens ??= row.prompt_tokens || undefined;
  } catch {
    // The page's own clock and the headers say nearly the same.
  }
}
