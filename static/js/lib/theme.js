/**
 * Light, dark or as the system says; and colours for what is drawn on a canvas.
 * @module
 */

/** @typedef {"light" | "dark" | "system"} Theme */

const HUES = 12;
const HUE_SEED = 1151;
const YEAR = 365 * 24 * 3600;

/** @returns {Theme} */
export function theme() {
  return /** @type {Theme} */ (document.documentElement.dataset.theme ?? "system");
}

/**
 * Takes effect at once, and on the next page too. Charts listen for `themechange` on `document`.
 * @param {Theme} wanted
 */
export function setTheme(wanted) {
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  // A cookie, so that the server sends the page in it and nothing flashes.
  const lasts = wanted === "system" ? 0 : YEAR;
  document.cookie = `theme=${wanted}; path=/; max-age=${lasts}; samesite=lax`;
  changed();
}

/**
 * A token as a colour that a canvas understands: `color("--accent")`.
 * @param {string} token
 * @returns {string}
 */
export function color(token) {
  let found = colors.get(token);
  if (!found) colors.set(token, (found = resolved(token)));
  return found;
}

/** As the theme of now has them. @type {Map<string, string>} */
const colors = new Map();

/** @param {string} token */
function resolved(token) {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/**
 * The provider's hue, 0 to 11, as the filter `|hue` gives it: for `data-hue` and `--hue-N`.
 * @param {string} provider its id
 */
export function hue(provider) {
  let value = HUE_SEED;
  for (const byte of new TextEncoder().encode(provider)) value = Math.imul(value ^ byte, 16777619) >>> 0;
  return (value >>> 8) % HUES;
}

/**
 * @param {string} provider its id
 * @returns {string} its colour in the theme of now
 */
export const providerColor = (provider) => color(`--hue-${hue(provider)}`);

function changed() {
  colors.clear();
  document.dispatchEvent(new CustomEvent("themechange"));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
