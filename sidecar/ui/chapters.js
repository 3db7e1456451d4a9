/* What a story is made of, of an input or of a job: facts, data, what each node made of it, every try to deliver it. */

import { conceptBar, topFirst } from "./content.js";
import { cell, element, having, newId, table } from "./dom.js";
import { clock, latency, plural, share, whole, words } from "./format.js";

const CONCEPTS = 10;
const APART = new Set(["model_output", "workflow_output", "headers", "query", "caller", "model", "version", "path", "status", "latency_ms"]);
const VERDICTS = { passed: ["✓", "passed", "good"], emptied: ["∅", "emptied", ""], not_run: ["–", "not run", ""] };
const STATES = { delivered: ["✓", "good"], dead: ["✕", "dead"], dropped: ["✕", ""], queued: ["…", ""], leased: ["…", ""] };

const plain = (value) => (value instanceof Node ? value : typeof value === "object" ? JSON.stringify(value) : String(value));

/** Names with what they are; blank ones are left out. */
export function facts(pairs) {
  const said = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return element("dl", "facts", ...said.flatMap(([name, value]) => [element("dt", "", name), element("dd", "", plain(value))]));
}

export function part(heading, ...content) {
  return element("section", "sum", element("h3", "", heading), ...content);
}

export const note = (text) => element("p", "note", text);

export function output(data) {
  if (!data) return null;
  const { concepts, ...rest } = data;
  const bars = topFirst(concepts).slice(0, CONCEPTS).map((concept) => conceptBar(concept, ""));
  if (!Object.keys(rest).length) return element("div", "", ...bars);
  return element("div", "", ...bars, bars.length ? source(rest) : json(rest));  // beside bars it mostly says the same
}

export function source(content) {
  return element("details", "", element("summary", "", "As JSON"), json(content));
}

function json(content) {
  const text = JSON.stringify(content, null, 2);
  return element("pre", "json", text.length > 50000 ? `${text.slice(0, 50000)}\n…` : text);
}

/** What was asked: `from` is an input or a job, `metadata` what was kept of the request. */
export function request(from, metadata) {
  const headers = Object.entries(metadata.headers || {});
  const query = Object.entries(metadata.query || {}).map(([name, value]) => [`?${name}`, value]);
  const others = Object.entries(metadata).filter(([name]) => !APART.has(name));
  return facts([["caller", from.caller], ["model", from.model], ["version", from.version], ["path", metadata.path], ...query, ...headers, ...others]);
}

/** How it was answered: as the exchange was seen, else as the metadata says. */
export function answer(metadata, exchange) {
  const milliseconds = exchange ? exchange.latency_seconds * 1000 : metadata.latency_ms;
  const status = exchange?.status || metadata.status || (exchange ? "no answer" : "");
  return facts([["status", status], ["latency", milliseconds ? latency(milliseconds) : ""], ["asked at", exchange?.started_at ? clock(exchange.started_at) : ""]]);
}

/** Whose it is, which samples let it through, and what each node of both workflows made of it. */
export function judged(about, story, isOver) {
  const { sample_exchanges: exchanges, pre_queue_random_sample: inputs } = story.sampling;
  const sampled = [`${exchanges === 1 ? "every" : `${share(exchanges)} of`} exchange${exchanges === 1 ? "" : "s"}`, inputs !== null && `${share(inputs)} of their inputs`];
  const later = isOver ? "There was no workflow after the queue." : "No workflow after the queue has run yet, or there is none.";
  return [
    facts([...about, ["sampled", sampled.filter(Boolean).join(", ")]]),
    ...workflow("Before the queue", story.pre_queue, "There was no workflow before the queue."),
    ...workflow("After the queue", story.post_queue, later),
  ];
}

function workflow(place, trace, none) {
  const heading = element("h4", "", place, trace ? ": " : "", trace ? element("code", "", trace.workflow) : "");
  if (!trace) return [heading, note(none)];
  const nodes = table(`${place}: nodes of ${trace.workflow}`, [["Node"], ["What it is"], ["Verdict"], ["What it gave"]]);
  nodes.body.append(...trace.nodes.map((node) => element("tr", "",
    cell("Node", "name", node.id),
    cell("What it is", "", node.kind, node.keep_fraction === undefined ? "" : element("div", "note", `keeps ${share(node.keep_fraction)}`)),
    cell("Verdict", "", verdict(node.verdict)),
    cell("What it gave", "", gave(node)))));
  return [heading, nodes.box];
}

function mark(sign, label, tone) {
  return element("span", `tag ${tone}`, having(element("span", "", `${sign} `), { "aria-hidden": "true" }), label);
}

function verdict(name) {
  const [sign, label, tone] = VERDICTS[name] || ["", name, ""];
  return mark(sign, label, tone);
}

function gave(node) {
  if (node.verdict !== "passed") return "–";
  const top = node.top ? `${node.top.id}: ${(node.top.value * 100).toFixed(1)} %` : "";
  const parts = [node.concepts && plural(node.concepts, "concept", "concepts"), node.regions && plural(node.regions, "region", "regions")].filter(Boolean);
  return element("div", "", top ? element("div", "", top) : "", element("div", top ? "note" : "", parts.join(", ") || "no concepts, no regions"));
}

/** Each destination with the tries that were made for it. */
export function deliveries(story) {
  const forgotten = story.destinations_forgotten || 0;
  const told = story.destinations.map((each) => delivery(each));
  return forgotten ? [...told, note(`What became of ${plural(forgotten, "other destination", "other destinations")} is no longer kept.`)] : told;
}

function delivery(each) {
  const id = newId("destination");
  const [sign, tone] = STATES[each.state] || ["", ""];
  const name = each.destination === "$workflow" ? "the workflow, before any destination" : each.destination;
  const heading = having(element("h4", "", element("code", "", name), " ", mark(sign, stateOf(each), tone)), { id });
  const tries = table(`Tries for ${name}`, [["Try", true], ["When"], ["What came of it"]]);
  tries.body.append(...triesOf(each));
  tries.box.hidden = !tries.body.children.length;
  return having(element("div", "delivery", heading, tries.box), { role: "group", "aria-labelledby": id });
}

function stateOf(each) {
  if (each.state === "queued") return each.attempts ? "waits to be tried again" : "waits";
  return each.state === "leased" ? "being tried" : words(each.state);
}

function row(number, when, ...came) {
  return element("tr", "", cell("Try", "number", number), cell("When", "", when), cell("What came of it", "", ...came));
}

/** The tries that failed, with what lies between them, and the last one. */
function triesOf(each) {
  const rows = [];
  let before = 0;
  each.tries.forEach((one, index) => {
    if (each.tries_left_out && index === each.left_out_after) rows.push(row("", "", note(`${plural(each.tries_left_out, "more try", "more tries")} failed here`)));
    else if (one.attempt <= before) rows.push(row("", "", note("put back by hand")));
    if (one.attempt <= before) before = 0;
    if (!(each.tries_left_out && index === each.left_out_after)) rows.push(...unheard(before, one.attempt));
    before = one.attempt;
    rows.push(row(whole(one.attempt), clock(one.at), mark("✕", words(one.reason), "dead"), one.detail ? note(one.detail) : ""));
  });
  if (each.attempts < before) rows.push(row("", "", note("put back by hand")));
  rows.push(...last(each, each.attempts < before ? 0 : before));
  return rows;
}

/** Tries of which nothing came: the sidecar ended, or their time ran out, while they were made. */
function unheard(before, next) {
  if (next <= before + 1) return [];
  const numbers = next === before + 2 ? whole(before + 1) : `${whole(before + 1)}–${whole(next - 1)}`;
  return [row(numbers, "", note("no outcome: the sidecar ended or its lease ran out meanwhile"))];
}

function last(each, before) {
  const gap = unheard(before, each.attempts);
  if (each.state === "delivered") return [...gap, row(whole(each.attempts), clock(each.settled_at), mark("✓", "delivered", "good"))];
  if (each.state === "leased") return [...gap, row(whole(each.attempts), "now", mark("…", "being tried", ""))];
  if (each.state === "queued") return [...unheard(before, each.attempts + 1), row("next", clock(each.retry_at), each.attempts ? "" : note("not tried yet"))];
  if (each.state === "dropped") return [row("", each.settled_at ? clock(each.settled_at) : "", mark("✕", words(each.reason), ""), each.detail ? note(each.detail) : "")];
  return before === each.attempts ? [] : [row("", "", mark("✕", words(each.reason), "dead"), each.detail ? note(each.detail) : "")];
}
