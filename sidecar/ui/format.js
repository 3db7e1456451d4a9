/* Numbers, sizes, times and names as people read them. */

const WHOLE = new Intl.NumberFormat("en");
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const SPANS = [["d", 86400], ["h", 3600], ["min", 60]];

export const whole = (count) => WHOLE.format(count);

/** At most some five characters. */
export const short = (count) => (count < 100000 ? WHOLE.format(count) : SHORT.format(count));

export const share = (fraction) => `${Number((fraction * 100).toPrecision(3))} %`;

export function bytes(size) {
  if (size < 1024) return `${size} bytes`;
  return size < 1024 * 1024 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1024 / 1024).toFixed(1)} MiB`;
}

function span(seconds) {
  const [unit, length] = SPANS.find(([, length]) => seconds >= length) || ["s", 1];
  return `${Math.floor(seconds / length)} ${unit}`;
}

/** `moment` is RFC 3339 or seconds since the epoch. */
export function ago(moment) {
  const seconds = Math.round((Date.now() - milliseconds(moment)) / 1000);
  return seconds < 5 ? "now" : `${span(seconds)} ago`;
}

export function ahead(moment) {
  const seconds = Math.round((milliseconds(moment) - Date.now()) / 1000);
  return seconds < 1 ? "now" : `in ${span(seconds)}`;
}

export function clock(moment) {
  return new Date(milliseconds(moment)).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

const milliseconds = (moment) => (typeof moment === "number" ? moment * 1000 : Date.parse(moment));

export function latency(ms) {
  if (!ms) return "–";
  return ms < 1000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** A reason as the ledger names it, as words. */
export const words = (reason) => reason.replaceAll("_", " ");

export const sum = (counts) => Object.values(counts || {}).reduce((total, count) => total + count, 0);

export const plural = (count, one, many) => `${whole(count)} ${count === 1 ? one : many}`;

/** A name as the API writes it, as words that begin a sentence. */
export const sentence = (name) => words(name.charAt(0).toUpperCase() + name.slice(1));

/** The names of destinations, as a collector writes them: `app`, `{kind: {…}, name: …}`, or a list of such. */
export const namesOf = (written) => [written || []].flat()
  .map((each) => each.name || (typeof each === "string" ? each : Object.keys(each)[0]));

const NOBODY = { files: "a policy file", sidecar: "the sidecar itself", token: "the admin token", loopback: "this machine" };

/** Who acted, as the events name it: a key by its name, where `names` has it by its id. */
export const actor = (who, names) => NOBODY[who] || (names?.has(who) ? `the key ${names.get(who)}` : who);
