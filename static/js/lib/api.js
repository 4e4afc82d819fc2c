/**
 * The server, asked so that an expired session or a lost connection costs nothing.
 * @module
 */

import { ask } from "./dialog.js";
import { find, h } from "./dom.js";

const UNSAFE = new Set(["POST", "PUT", "PATCH", "DELETE"]);
const RETRY_SECONDS = [1, 2, 3, 5];

/** What the server refused, in its own words; `status` 0 is a server that cannot be reached. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {{code?: string | null, param?: string | null, retryAfter?: number | null, requestId?: string | null}} [more]
   */
  constructor(status, message, { code = null, param = null, retryAfter = null, requestId = null } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    /** The field that is wrong, where it is one. */
    this.param = param;
    /** Seconds. */
    this.retryAfter = retryAfter;
    /** Under which the server's log, and `explain`, know it. */
    this.requestId = requestId;
  }
}

/**
 * @typedef {object} Options
 * @property {unknown} [body] sent as JSON
 * @property {AbortSignal} [signal]
 * @property {boolean} [patient] ask again until there is an answer; GET does unless told otherwise
 */

/** @param {string} url @param {Options} [options] @returns {Promise<any>} */
export const get = (url, options) => json("GET", url, options);
/** @param {string} url @param {unknown} [body] @param {Options} [options] @returns {Promise<any>} */
export const post = (url, body, options) => json("POST", url, { ...options, body });
/** @param {string} url @param {unknown} [body] @param {Options} [options] @returns {Promise<any>} */
export const put = (url, body, options) => json("PUT", url, { ...options, body });
/** @param {string} url @param {unknown} [body] @param {Options} [options] @returns {Promise<any>} */
export const del = (url, body, options) => json("DELETE", url, { ...options, body });

/**
 * @param {string} method @param {string} url @param {Options} [options]
 * @returns {Promise<any>}
 */
async function json(method, url, options) {
  const response = await send(method, url, options);
  return response.status === 204 ? null : response.json();
}

/**
 * The response itself, for streams and files: `(await send("POST", url, {body})).body`.
 * An expired session is renewed over the page, and the request then sent; every other refusal
 * is thrown as `ApiError`, an abort as the browser's own `AbortError`.
 * @param {string} method
 * @param {string} url
 * @param {Options} [options]
 * @returns {Promise<Response>}
 */
export async function send(method, url, options = {}) {
  const patient = options.patient ?? method === "GET";
  let renewed = false;
  for (let tries = 0; ; tries += 1) {
    const response = await reach(method, url, options).catch((error) => {
      if (error.name === "AbortError") throw error;
      return null;
    });
    if (response === null) {
      lost();
      if (!patient) throw new ApiError(0, "The server cannot be reached. Nothing was changed.");
      await pause(RETRY_SECONDS[Math.min(tries, RETRY_SECONDS.length - 1)], options.signal);
      continue;
    }
    found();
    if (response.ok) return response;
    const error = await refusal(response);
    if (error.code === "setup_required") location.assign("/setup");
    else if (error.code === "login_required" && response.status === 401) {
      await login();
      continue;
    } else if (error.code === "csrf_failed" && !renewed) {
      renewed = true;
      continue;
    }
    throw error;
  }
}

/** @param {string} method @param {string} url @param {Options} options */
function reach(method, url, { body, signal }) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (UNSAFE.has(method)) headers["X-CSRFToken"] = token();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return fetch(url, {
    method,
    headers,
    signal,
    credentials: "same-origin",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}

/** @param {Response} response @returns {Promise<ApiError>} */
async function refusal(response) {
  const said = await response.json().catch(() => null);
  if (said?.csrf_token) remember(said.csrf_token);
  const wait = Number(response.headers.get("Retry-After"));
  const requestId = response.headers.get("X-Request-Id");
  const words = said?.error?.message ?? `The server answered ${response.status} ${response.statusText}.`.trim();
  // What nobody expected is looked up in the log, so its id has to be seen.
  const message = response.status === 500 && requestId ? `${words} (${requestId})` : words;
  const { code, param } = said?.error ?? {};
  return new ApiError(response.status, message, { code, param, retryAfter: wait || null, requestId });
}

/* ---- The session ---- */

const meta = /** @type {HTMLMetaElement | null} */ (find('meta[name="csrf-token"]'));

/** The token that every change carries. */
export const token = () => meta?.content ?? "";

/** @param {string} text */
function remember(text) {
  if (meta) meta.content = text;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) {
    /** @type {HTMLInputElement} */ (field).value = text;
  }
}

/** @type {Promise<void> | null} */
let loggingIn = null;

/** Log in over the page; requests that wait for it share one dialog. */
function login() {
  loggingIn ??= askForLogin().finally(() => (loggingIn = null));
  return loggingIn;
}

async function askForLogin() {
  const name = document.documentElement.dataset.account ?? "";
  await ask({
    title: "Log in to go on",
    text: "Your session has ended. What you were doing goes on after this, and nothing is lost.",
    action: "Log in",
    must: true,
    fields: [
      { name: "name", label: "Name", value: name, autocomplete: "username" },
      { name: "password", label: "Password", type: "password", autocomplete: "current-password" },
    ],
    submit: async (values) => {
      const response = await reach("POST", "/login", { body: values }).catch(() => {
        throw new ApiError(0, "The server cannot be reached. Try again in a moment.");
      });
      if (!response.ok) throw await refusal(response);
      const said = await response.json();
      remember(said.csrf_token);
      // Somebody else: what this page shows is not theirs to go on with.
      if (name && said.name !== name) location.reload();
    },
  });
}

/* ---- The connection ---- */

/** @type {HTMLElement | null} */
let bar = null;
let timer = 0;

function lost() {
  if (bar) return;
  bar = h("div", { class: "lost", role: "status" }, "The server does not answer. Trying again …");
  document.body.append(bar);
  document.documentElement.dataset.lost = "";
  timer = setInterval(() => fetch("/healthz").then((r) => r.ok && found(), () => {}), 2000);
}

function found() {
  if (!bar) return;
  clearInterval(timer);
  bar.remove();
  bar = null;
  delete document.documentElement.dataset.lost;
  document.dispatchEvent(new CustomEvent("reconnected"));
}

/** @param {number} seconds @param {AbortSignal} [signal] */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const wake = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(wake);
      reject(signal.reason);
    });
  });
}
