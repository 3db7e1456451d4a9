/* Where two JSON values differ: each place by its path, with what stood there before and what stands there after. */

const LONG = "collector_source.api_post_model_outputs_collector_source";
const isObject = (value) => typeof value === "object" && value !== null;
const isPlainList = (value) => Array.isArray(value) && !value.some(isObject);
const holdsMore = (value) => isObject(value) && !isPlainList(value) && Object.keys(value).length > 0;

/** [path, before, after] of each place that differs; null is as good as missing. Lists of plain values are compared whole. */
export function differences(before, after, path = "") {
  if (JSON.stringify(before) === JSON.stringify(after)) return [];
  const sides = [before, after].filter((side) => side !== undefined && side !== null);
  if (!sides.length) return [];
  if (!sides.every(holdsMore)) return [[path.replace(LONG, "source") || "value", before, after]];
  const names = new Set(sides.flatMap((side) => Object.keys(side)));
  return [...names].flatMap((name) => differences(before?.[name], after?.[name], below(path, name, sides[0])));
}

function below(path, name, parent) {
  if (Array.isArray(parent)) return `${path}[${name}]`;
  return path ? `${path}.${name}` : name;
}
