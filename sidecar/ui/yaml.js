/* Writes plain JSON values as YAML in blocks; what is inside them short stays on one line. The API reads it back. */

const WIDTH = 88;
const PLAIN = /^[A-Za-z_$][\w$./-]*$/;
const UNSAFE = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;
const SAID = new Set(["true", "false", "null", "yes", "no", "on", "off", "y", "n"]);

const isNested = (value) => typeof value === "object" && value !== null && Object.keys(value).length > 0;

/** In YAML 1.1 a number with an exponent needs a point, and some characters that JSON leaves alone end a line or the text. */
function scalar(value) {
  if (typeof value === "string" && PLAIN.test(value) && !SAID.has(value.toLowerCase())) return value;
  if (typeof value === "number") return String(value).replace(/^(-?\d+)e/, "$1.0e");
  return JSON.stringify(value).replace(UNSAFE, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function flow(value) {
  if (!isNested(value)) return scalar(value);
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  return `{${Object.entries(value).map(([name, each]) => `${scalar(name)}: ${flow(each)}`).join(", ")}}`;
}

const depth = (value) => (isNested(value) ? 1 + Math.max(...Object.values(value).map(depth)) : 0);

function block(value, indent) {
  const pad = " ".repeat(indent);
  if (Array.isArray(value)) return value.map((each) => `${pad}- ${below(each, indent + 2).trimStart()}`).join("\n");
  return Object.entries(value).map(([name, each]) => {
    const line = `${pad}${scalar(name)}: ${flow(each)}`;
    if (!isNested(each) || (line.length <= WIDTH && depth(each) < 3 && name !== "nodes")) return line;
    return `${pad}${scalar(name)}:\n${block(each, indent + 2)}`;
  }).join("\n");
}

const below = (value, indent) => (isNested(value) ? block(value, indent) : scalar(value));

export const toYaml = (value) => `${below(value, 0)}\n`;
