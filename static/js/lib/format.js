/**
 * Figures as people read them; the same words as `freellmapi/dashboard/filters.py`.
 * @module
 */

const THIN = "\u202f";
/** @type {[number, string][]} */
const LARGE = [[1e9, "B"], [1e6, "M"], [1e3, "K"]];
/** @type {[number, string][]} */
const SPANS = [[86400, "d"], [3600, "h"], [60, "min"]];

/**
 * `1,204`, without `Intl`, whose first use in a page takes longer than all its figures together.
 * @param {number} n
 */
export function number(n) {
  return String(Math.round(n * 10) / 10).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/**
 * `3.1 M`.
 * @param {number} n
 */
export function tokens(n) {
  for (const [size, unit] of LARGE) {
    if (n >= size * 0.9995) return `${three(n / size)}${THIN}${unit}`;
  }
  return number(Math.round(n));
}

/**
 * `412 ms`, `1.3 s`, `14 s`, `3 h 12 min`.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 0.9995) return `${Math.round(Math.max(0, seconds) * 1000)}${THIN}ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)}${THIN}s`;
  if (seconds < 59.5) return `${Math.round(seconds)}${THIN}s`;
  const whole = Math.round(seconds);
  for (const [i, [size, unit]] of SPANS.entries()) {
    if (whole < size) continue;
    const [part, smaller] = SPANS[i + 1] ?? [1, "s"];
    const rest = Math.floor((whole % size) / part);
    const head = `${Math.floor(whole / size)}${THIN}${unit}`;
    return rest ? `${head} ${rest}${THIN}${smaller}` : head;
  }
  return `${whole}${THIN}s`;
}

/**
 * `99.8 %`; 100 % and 0 % only when it is exactly that.
 * @param {number} share of 1
 */
export function percent(share) {
  let value = share * 100;
  if (value > 99.9 && value < 100) value = 99.9;
  else if (value > 0 && value < 0.1) value = 0.1;
  return `${value.toFixed(value === 0 || value === 100 ? 0 : 1)}${THIN}%`;
}

/**
 * `4 min ago`, `just now`, `never`.
 * @param {number | null} at epoch seconds
 * @param {number} [now]
 */
export function ago(at, now = Date.now() / 1000) {
  if (at === null) return "never";
  const past = now - at;
  if (past < 10) return "just now";
  for (const [size, unit] of SPANS) {
    if (past >= size) return `${Math.floor(past / size)}${THIN}${unit} ago`;
  }
  return `${Math.round(past)}${THIN}s ago`;
}

/**
 * `in 3 h 12 min`, `now`; empty when there is no such time.
 * @param {number | null} at epoch seconds
 * @param {number} [now]
 */
export function until(at, now = Date.now() / 1000) {
  if (at === null) return "";
  const ahead = at - now;
  return ahead <= 0 ? "now" : `in ${duration(Math.max(1, ahead))}`;
}

/**
 * The moment in full, in the viewer's zone.
 * @param {number} at epoch seconds
 */
export function moment(at) {
  return new Date(at * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** @param {number} n */
function three(n) {
  return n < 99.95 ? n.toFixed(1).replace(/\.0$/, "") : n.toFixed(0);
}
