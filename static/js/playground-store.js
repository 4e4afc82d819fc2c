/**
 * Conversations, kept in this browser alone.
 * @module
 */

/**
 * @typedef {object} Call a tool that the model wants called
 * @property {string} id
 * @property {string} name
 * @property {string} arguments JSON
 * @property {string} [result] what the person entered as its outcome
 *
 * @typedef {object} Attempt one that failed
 * @property {string} model
 * @property {string} kind
 * @property {number | null} [status]
 * @property {string} [reason]
 * @property {number} [duration] seconds
 *
 * @typedef {object} Answer
 * @property {string} model what was asked for
 * @property {string} text
 * @property {string} thinking
 * @property {Call[]} calls
 * @property {"streaming" | "done" | "stopped" | "broken" | "failed"} state
 * @property {string} [why] what went wrong, in words
 * @property {string} [param] the field of the request that was refused
 * @property {string} [via] who answered
 * @property {Attempt[]} attempts
 * @property {string[]} resumed who went on after a break within the stream
 * @property {number} [continued] how often it was asked to go on
 * @property {number} [firstToken] seconds
 * @property {number} [duration] seconds
 * @property {number} [promptTokens]
 * @property {number} [tokens]
 * @property {string} [finish]
 * @property {string} [requestId]
 *
 * @typedef {object} Turn
 * @property {{text: string, images: string[]} | null} user null: results of tools are sent
 * @property {boolean} pair whether two models answer side by side
 * @property {Answer[]} answers
 * @property {number} chosen the answer that the conversation goes on with
 *
 * @typedef {object} Options
 * @property {string} model
 * @property {string} second "" unless two models are compared
 * @property {string} strategy
 * @property {string} system
 * @property {string} temperature
 * @property {string} max_tokens
 * @property {string} tools
 * @property {string} schema
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {string} [rev] of what was kept last
 * @property {number} at epoch seconds
 * @property {Options} options
 * @property {{text: string, images: string[]}} draft
 * @property {Turn[]} turns
 */

const PREFIX = "playground.conversation.";
const REVISION = "playground.revision.";
const CURRENT = "playground.current";
const LONGEST_TITLE = 60;

/** @returns {Options} */
export const defaults = () => ({
  model: "auto",
  second: "",
  strategy: "",
  system: "",
  temperature: "",
  max_tokens: "",
  tools: "",
  schema: "",
});

/** @param {Options} [options] @returns {Conversation} */
export function fresh(options = defaults()) {
  return { id: newId(), at: Date.now() / 1000, options: { ...options }, draft: { text: "", images: [] }, turns: [] };
}

const newId = () => `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;

/** Where it is kept, as other tabs are told. @param {string} id */
export const keyOf = (id) => PREFIX + id;

/** The one that this tab shows, or the last that any tab showed. @returns {Conversation} */
export function current() {
  const id = sessionStorage.getItem(CURRENT) ?? read(CURRENT);
  return (id && load(id)) || fresh();
}

/**
 * @param {string} id
 * @param {{live?: boolean}} [options] `live`: another tab may be at work on it
 * @returns {Conversation | null}
 */
export function load(id, { live = false } = {}) {
  try {
    const found = JSON.parse(read(PREFIX + id) ?? "null");
    if (!found?.id || !Array.isArray(found.turns)) return null;
    const whole = { ...fresh(), ...found, options: { ...defaults(), ...found.options } };
    if (live) return whole;
    for (const answer of whole.turns.flatMap((/** @type {Turn} */ turn) => turn.answers)) {
      if (answer.state !== "streaming") continue;
      answer.state = "broken";
      answer.why = "The page was left while this was being written.";
    }
    return whole;
  } catch {
    return null;
  }
}

/** Newest first; those that hold anything. @returns {Conversation[]} */
export function list() {
  return Object.keys(localStorage)
    .filter((key) => key.startsWith(PREFIX))
    .map((key) => load(key.slice(PREFIX.length)))
    .filter((one) => one !== null && (one.turns.length > 0 || one.draft.text !== ""))
    .map((one) => /** @type {Conversation} */ (one))
    .sort((a, b) => b.at - a.at);
}

/** @param {Conversation} conversation */
export function title(conversation) {
  const said = conversation.turns[0]?.user?.text || conversation.draft.text || "New conversation";
  const line = said.trim().split("\n")[0];
  return line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE - 1)}…` : line;
}

/** This is the conversation to begin with next time. @param {Conversation} conversation */
export function setCurrent({ id }) {
  try {
    sessionStorage.setItem(CURRENT, id);
    localStorage.setItem(CURRENT, id);
  } catch {
    // Storage is full or forbidden, which saving tells.
  }
}

/**
 * Two tabs may have gone on with the same conversation: the later one keeps its own from then on,
 * so that nothing of either is lost.
 * @param {Conversation} conversation
 * @returns {"saved" | "without images" | "not saved"}
 */
export function save(conversation) {
  const kept = read(REVISION + conversation.id);
  if (kept !== null && kept !== conversation.rev) conversation.id = newId();
  conversation.rev = newId();
  if (write(conversation)) return "saved";
  const bare = structuredClone(conversation);
  for (const turn of bare.turns) if (turn.user) turn.user.images = [];
  bare.draft.images = [];
  return write(bare) ? "without images" : "not saved";
}

/** @param {string} id */
export function remove(id) {
  localStorage.removeItem(PREFIX + id);
  localStorage.removeItem(REVISION + id);
}

/** @param {Conversation} conversation */
function write(conversation) {
  try {
    localStorage.setItem(PREFIX + conversation.id, JSON.stringify(conversation));
    localStorage.setItem(REVISION + conversation.id, conversation.rev ?? "");
    return true;
  } catch {
    return false;
  }
}

/** @param {string} key */
function read(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}
