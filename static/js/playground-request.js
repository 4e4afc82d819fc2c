/**
 * What is sent, how its answer is read, and the same as a command or a program.
 * @module
 */

import { ApiError, send } from "./lib/api.js";

/** @typedef {import("./playground-store.js").Conversation} Conversation */
/** @typedef {import("./playground-store.js").Answer} Answer */
/** @typedef {import("./playground-store.js").Turn} Turn */

const GO_ON = "Your answer broke off. Continue it exactly where it ends, without repeating any of it.";

/** A text in a field that is not what it should be; `field` says which. */
export class BadOption extends Error {
  /** @param {string} field @param {string} message */
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/**
 * The options as fields of a request. Throws `BadOption`.
 * @param {import("./playground-store.js").Options} options
 * @returns {Record<string, unknown>}
 */
export function fields(options) {
  /** @type {Record<string, unknown>} */
  const body = {};
  const temperature = number(options, "temperature", 0, 2, false);
  const most = number(options, "max_tokens", 1, 10_000_000, true);
  const tools = parsed(options, "tools");
  const schema = parsed(options, "schema");
  if (temperature !== null) body.temperature = temperature;
  if (most !== null) body.max_tokens = most;
  if (tools !== null) body.tools = checkedTools(tools);
  if (schema !== null) {
    if (typeof schema !== "object" || Array.isArray(schema)) {
      throw new BadOption("schema", "A JSON schema is an object: { … }.");
    }
    body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  }
  return body;
}

/** @param {any} options @param {string} field @param {number} low @param {number} high @param {boolean} whole */
function number(options, field, low, high, whole) {
  const text = String(options[field]).trim();
  if (!text) return null;
  const value = Number(text);
  const kind = whole ? "a whole number" : "a number";
  const fits = value >= low && value <= high && (!whole || Number.isInteger(value));
  if (fits) return value;
  throw new BadOption(field, `Enter ${kind} ${whole ? `of at least ${low}` : `from ${low} to ${high}`}.`);
}

/** @param {any} options @param {string} field */
function parsed(options, field) {
  if (!options[field].trim()) return null;
  try {
    return JSON.parse(options[field]);
  } catch (/** @type {any} */ error) {
    throw new BadOption(field, `This is not JSON: ${error.message}`);
  }
}

/** @param {unknown} tools */
function checkedTools(tools) {
  if (!Array.isArray(tools)) throw new BadOption("tools", "Tools are a list: [ … ].");
  tools.forEach((tool, i) => {
    if (tool?.type !== "function") throw new BadOption("tools", `Tool ${i + 1} needs "type": "function".`);
    if (typeof tool.function?.name !== "string" || !tool.function.name) {
      throw new BadOption("tools", `Tool ${i + 1} needs "function": {"name": …}.`);
    }
  });
  return tools;
}

/**
 * The request for the answers of a turn. Throws `BadOption`.
 * @param {Conversation} conversation
 * @param {number} at the turn
 * @param {string} model
 * @param {Answer} [begun] an answer that broke off, to go on with
 */
export function request(conversation, at, model, begun) {
  /** @type {any[]} */
  const messages = [];
  const { options, turns } = conversation;
  if (options.system.trim()) messages.push({ role: "system", content: options.system });
  turns.slice(0, at + 1).forEach((turn, i) => {
    if (turn.user) ask(messages, turn.user);
    if (i < at) tell(messages, turn.answers[turn.chosen]);
  });
  if (begun) messages.push({ role: "assistant", content: begun.text }, { role: "user", content: GO_ON });
  return { model, messages, ...fields(options), stream: true, stream_options: { include_usage: true } };
}

/** @param {any[]} messages @param {{text: string, images: string[]}} user */
function ask(messages, { text, images }) {
  const images_ = images.map((url) => ({ type: "image_url", image_url: { url } }));
  const last = messages.at(-1);
  // A question that nobody answered goes along with the next.
  if (last?.role === "user") {
    const before = typeof last.content === "string" ? [{ type: "text", text: last.content }] : last.content;
    last.content = [...before, { type: "text", text }, ...images_];
    if (last.content.every((/** @type {any} */ part) => part.type === "text")) {
      last.content = last.content.map((/** @type {any} */ part) => part.text).join("\n\n");
    }
  } else if (images_.length) {
    messages.push({ role: "user", content: [...(text ? [{ type: "text", text }] : []), ...images_] });
  } else messages.push({ role: "user", content: text });
}

/** @param {any[]} messages @param {Answer | undefined} answer */
function tell(messages, answer) {
  if (!answer) return;
  const called = answer.calls.length > 0 && answer.calls.every((call) => call.result !== undefined);
  if (!called) {
    if (answer.text) messages.push({ role: "assistant", content: answer.text });
    return;
  }
  messages.push({
    role: "assistant",
    content: answer.text || null,
    tool_calls: answer.calls.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: call.name, arguments: call.arguments },
    })),
  });
  for (const call of answer.calls) messages.push({ role: "tool", tool_call_id: call.id, content: call.result });
}

/**
 * Send it and hand over what comes. Throws `ApiError` when nobody answered, and `Broken` when
 * the stream ends before the answer does.
 * @param {object} body
 * @param {AbortSignal} signal
 * @param {(headers: Headers) => void} onHead
 * @param {(event: any) => void} onEvent a chunk, or `{resumed: who}`
 */
export async function stream(body, signal, onHead, onEvent) {
  const response = await send("POST", "/api/playground/chat", { body, signal });
  onHead(response.headers);
  if (!response.body) throw new Broken("The answer had no body.");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      if (signal.aborted) throw error;
      throw new Broken("The connection to the server was lost.");
    });
    if (done) throw new Broken("The stream ended before the answer did.");
    const lines = (rest + value).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (take(line.trimEnd(), onEvent)) return;
  }
}

/** The stream broke: what came is kept. */
export class Broken extends Error {}

/** @param {string} line @param {(event: any) => void} onEvent @returns {boolean} whether it was the end */
function take(line, onEvent) {
  const resumed = /^: resumed on (.+)$/.exec(line);
  if (resumed) onEvent({ resumed: resumed[1] });
  if (!line.startsWith("data:")) return false;
  const data = line.slice(5).trim();
  if (data === "[DONE]") return true;
  const event = JSON.parse(data);
  if (event.error) throw new Broken(event.error.message ?? "The provider's stream was interrupted.");
  onEvent(event);
  return false;
}

/** @param {unknown} error @returns {string} what to tell people */
export function words(error) {
  if (error instanceof ApiError) {
    return error.status === 0 ? "The server cannot be reached. Your message is kept; try again." : error.message;
  }
  return error instanceof Error ? error.message : String(error);
}

/** @param {any} body @returns {string} */
export function curl(body) {
  return [
    `curl ${location.origin}/v1/chat/completions \\`,
    '  -H "Authorization: Bearer $FREELLMAPI_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    "  --no-buffer -d @- <<'JSON'",
    JSON.stringify(body, null, 2),
    "JSON",
    "",
  ].join("\n");
}

/** @param {any} body @returns {string} */
export function python({ stream_options: _, ...body }) {
  const given = Object.entries(body).map(([name, value]) => `    ${name}=${literal(value, "    ")},`);
  return [
    "import os",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${location.origin}/v1", api_key=os.environ["FREELLMAPI_KEY"])`,
    "stream = client.chat.completions.create(",
    ...given,
    ")",
    "for chunk in stream:",
    "    if chunk.choices:",
    '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
    "",
  ].join("\n");
}

/** @param {any} value @param {string} indent @returns {string} as Python writes it */
function literal(value, indent) {
  const deeper = `${indent}    `;
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const rows = Array.isArray(value)
    ? value.map((one) => literal(one, deeper))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one, deeper)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return rows.length ? `${open}\n${rows.map((r) => `${deeper}${r},\n`).join("")}${indent}${close}` : open + close;
}
