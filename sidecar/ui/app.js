/* Reads the admin API and shows it. What was captured is anybody's text: it goes in by textContent, never as markup. */
"use strict";

const REFRESH_MS = 2000;
const SHOWN_INPUTS = 24;
const TINY_PIXELS = 64;
const VERDICTS = ["matched", "filtered", "delivered", "dead", "dropped", "pending"];
const UNMEANT = new Set(["lost", "dead", "dropped"]);

const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en");
const cards = new Map();
let token = sessionStorage.getItem("token") || "";
let timer = 0;

/** An element with a class and text or children. */
function element(tag, className, ...content) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...content.filter((each) => each !== null && each !== ""));
  return made;
}

async function ask(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  return fetch(path, { headers, cache: "no-store", signal: AbortSignal.timeout(10000) });
}

async function askJson(path) {
  const answer = await ask(path);
  const content = await answer.json();
  if (answer.status === 401) throw new Error("token");
  if (!answer.ok) throw new Error(content.status?.details || `HTTP ${answer.status}`);
  return content;
}

/* the ledger */

function showEquation(list, terms) {
  list.replaceChildren(...terms.map(([label, count]) => {
    const state = count === 0 ? " zero" : UNMEANT.has(label) ? " bad" : "";
    return element("div", `term${state}`, element("dt", "", label), element("dd", "", whole.format(count)));
  }));
}

const sum = (counts) => Object.values(counts || {}).reduce((total, count) => total + count, 0);

function listReasons(verdict, reasons) {
  const parts = Object.entries(reasons || {})
    .filter(([reason, count]) => reason && count)
    .map(([reason, count]) => `${reason.replaceAll("_", " ")} ${whole.format(count)}`);
  return parts.length ? `${verdict}: ${parts.join(", ")}` : "";
}

function showLedger({ exchanges, total, reasons }) {
  const terms = [["seen", exchanges.seen || 0], ["unwanted", exchanges.unwanted || 0], ["taken", exchanges.taken || 0]];
  terms.push(["lost", sum(exchanges.lost)]);
  if (exchanges.open) terms.push(["open", exchanges.open]);
  showEquation(byId("exchanges"), terms);
  showEquation(byId("jobs"), VERDICTS.map((verdict) => [verdict, total[verdict] || 0]));
  byId("lost").textContent = listReasons("lost", exchanges.lost);
  const said = ["filtered", "dropped", "dead", "pending"].map((verdict) => listReasons(verdict, (reasons || {})[verdict]));
  byId("reasons").textContent = said.filter(Boolean).join(" · ");
}

/* the collectors */

function labelled(label, className, ...content) {
  const cell = element("td", className, ...content);
  cell.dataset.label = label;
  return cell;
}

function rule(collector) {
  const share = (fraction) => `${Number((fraction * 100).toPrecision(3))} %`;
  const parts = [];
  if (collector.sample_exchanges < 1) parts.push(`${share(collector.sample_exchanges)} of exchanges`);
  if (collector.pre_queue_random_sample) parts.push(`${share(collector.pre_queue_random_sample)} of inputs`);
  if (collector.pre_queue_workflow_id) parts.push(`before queue: ${collector.pre_queue_workflow_id}`);
  if (collector.post_queue_workflow_id) parts.push(`after queue: ${collector.post_queue_workflow_id}`);
  return parts;
}

function row(key, collector, counts) {
  const source = collector?.collector_source?.api_post_model_outputs_collector_source || {};
  const isActive = collector?.status?.code === 52001;
  const state = collector ? (isActive ? "active" : "inactive") : "deleted";
  const owner = [source.model_user_id, source.model_app_id].filter(Boolean).join("/");
  const name = element("div", "", element("span", "name", key), element("span", `state ${state}`, state));
  const version = source.model_version_id ? `version ${source.model_version_id}` : "every version";
  const line = element("tr", collector ? state : "gone");
  line.append(
    element("td", "", name, collector?.description ? element("div", "note", collector.description) : ""),
    labelled("Source", "", collector ? source.model_id : "–",
      collector ? element("div", "note", owner ? `${version}, of ${owner}` : version) : ""),
    labelled("Caller", source.caller_user_id ? "" : "any", collector ? source.caller_user_id || "everyone" : "–"),
    labelled("Keeps", "", ...(collector ? rule(collector).map((text) => element("div", "", text)) : ["–"])),
  );
  for (const verdict of VERDICTS) {
    const count = counts?.[verdict] || 0;
    const tone = count === 0 ? " zero" : UNMEANT.has(verdict) ? " bad" : "";
    line.append(labelled(verdict[0].toUpperCase() + verdict.slice(1), `number${tone}`, whole.format(count)));
  }
  return line;
}

function showCollectors(collectors, ledger) {
  const known = new Map(collectors.map((collector) => [collector.key, collector]));
  const keys = [...known.keys(), ...Object.keys(ledger.collectors || {}).filter((key) => !known.has(key)).sort()];
  byId("collectors").replaceChildren(...keys.map((key) => row(key, known.get(key), ledger.collectors?.[key])));
  const active = collectors.filter((collector) => collector.status?.code === 52001).length;
  byId("collectors-count").textContent = collectors.length ? `${active} of ${collectors.length} active` : "";
  byId("no-collectors").hidden = keys.length > 0;
  document.querySelector(".scroll").hidden = keys.length === 0;
  showFilter(keys);
}

function showFilter(keys) {
  const filter = byId("filter");
  const shown = [...filter.options].slice(1).map((option) => option.value);
  if (shown.join("\n") === keys.join("\n")) return;
  const chosen = filter.value;
  const options = keys.map((key) => new Option(key, key));
  filter.replaceChildren(new Option("every collector", ""), ...options);
  filter.value = keys.includes(chosen) ? chosen : "";
}

/* the inputs */

function bytes(size) {
  if (size < 1024) return `${size} bytes`;
  return size < 1024 * 1024 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1024 / 1024).toFixed(1)} MiB`;
}

async function dataAddress(path) {
  const content = await (await ask(path)).blob();
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(content);
  });
}

function picture(input) {
  const image = element("img");
  image.alt = `input ${input.id}`;
  image.decoding = "async";
  image.onload = () => image.classList.toggle("tiny", image.naturalWidth <= TINY_PIXELS);
  image.onerror = () => image.replaceWith(element("pre", "", `${input.media_type}\n${bytes(input.content_bytes)}\ncannot be shown`));
  if (token) dataAddress(input.content_url).then((address) => { image.src = address; }, image.onerror);
  else image.src = input.content_url;
  return image;
}

/** A square of numbers as a grey picture: what a small image looks like when it travels as a tensor. */
function plot(values) {
  const side = Math.sqrt(values.length);
  if (side < 4 || side > TINY_PIXELS || !Number.isInteger(side) || !values.every(Number.isFinite)) return null;
  const low = Math.min(...values);
  const range = Math.max(...values) - low || 1;
  const canvas = element("canvas", "tiny");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(side, side);
  values.forEach((value, index) => {
    const grey = Math.round(((value - low) / range) * 255);
    pixels.data.set([grey, grey, grey, 255], index * 4);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function describe(tensor) {
  const shape = tensor.shape?.length ? ` [${tensor.shape.join(" × ")}]` : "";
  const head = [tensor.name, tensor.datatype].filter(Boolean).join(" ") + shape;
  const value = JSON.stringify(tensor.value) ?? "";
  const short = value.length > 180 ? `${value.slice(0, 180)} …` : value;
  return head.trim() ? `${head.trim()}\n${short}` : short;
}

function tensors(data) {
  const values = data.tensors.length === 1 ? [data.tensors[0].value].flat(4) : [];
  const canvas = plot(values);
  if (!canvas) return element("pre", "", data.tensors.map(describe).join("\n\n"));
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${values.length} numbers, drawn as a picture`);
  return canvas;
}

function shown(input) {
  const data = input.data || {};
  if (input.content_url && input.media_type?.startsWith("image/")) return picture(input);
  if (input.content_url) return element("pre", "", `${input.media_type}\n${bytes(input.content_bytes)}`);
  if (data.text) return element("blockquote", "", data.text.raw || data.text.url || "");
  if (data.tensors?.length) return tensors(data);
  const media = data.image || data.video || data.audio;
  if (media?.url) return element("pre", "", media.url);
  if (data.raw) return element("pre", "", `${data.raw.media_type || "raw body"}\n${bytes(Math.floor((data.raw.base64.length * 3) / 4))}`);
  if (data.concepts?.length) return element("pre", "", data.concepts.map((each) => each.name || each.id).join("\n"));
  return element("pre", "", JSON.stringify(data.metadata || {}, null, 1).slice(0, 400));
}

function topFirst(found) {
  return [...(found || [])].sort((a, b) => b.value - a.value);
}

// Where the model's own answer is kept beside a workflow's, the top of each; else the two likeliest concepts.
function opinions(data) {
  const [model] = topFirst(data?.metadata?.model_output?.concepts);
  const [workflow] = topFirst(data?.metadata?.workflow_output?.concepts);
  if (model && workflow) return [[model, "model"], [workflow, "workflow"]];
  return topFirst(data?.concepts?.length ? data.concepts : data?.metadata?.model_output?.concepts)
    .slice(0, 2)
    .map((concept) => [concept, ""]);
}

function concepts(data) {
  return opinions(data).map(([concept, whose]) => {
    const meter = element("meter");
    meter.value = concept.value;
    meter.setAttribute("aria-hidden", "true");
    const label = element("span", "", concept.name || concept.id);
    if (whose) label.append(" ", element("small", "", whose));
    label.title = concept.id;
    return element("div", "concept", label, element("span", "", `${(concept.value * 100).toFixed(1)} %`), meter);
  });
}

function ago(moment) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(moment)) / 1000));
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  }
  return seconds < 5 ? "now" : `${seconds} s ago`;
}

function card(input) {
  const model = [input.model, input.version && `v${input.version}`].filter(Boolean).join(" ");
  const from = element("p", "from", element("b", "", input.caller || "unknown caller"), element("span", "", model));
  from.title = from.textContent;
  const when = element("time", "");
  when.dateTime = input.created_at;
  const kept = element("p", "from", element("span", "", input.collector || "posted"), when);
  kept.title = input.id;
  return element("li", "input new", element("div", "shown", shown(input)), element("div", "about", ...concepts(input.data), from, kept));
}

function showInputs(inputs) {
  const ids = new Set(inputs.map((input) => input.id));
  for (const id of cards.keys()) if (!ids.has(id)) cards.delete(id);
  const wanted = inputs.map((input) => {
    if (!cards.has(input.id)) cards.set(input.id, card(input));
    return cards.get(input.id);
  });
  const list = byId("inputs");
  const isSame = list.children.length === wanted.length && wanted.every((each, index) => each === list.children[index]);
  if (!isSame) list.replaceChildren(...wanted);
  for (const time of list.querySelectorAll("time")) time.textContent = ago(time.dateTime);
  byId("no-inputs").hidden = inputs.length > 0;
}

/* the whole */

function showHealth(text, tone) {
  const health = byId("health");
  if (health.textContent !== text) health.textContent = text;
  health.className = `health ${tone}`;
}

function askForToken() {
  byId("main").hidden = true;
  if (!byId("ask").hidden) return;
  byId("ask-fault").textContent = token ? "That is not its token." : "";
  byId("ask").hidden = false;
  byId("token").focus();
  showHealth("Locked", "");
}

/** Where the newest inputs of a collector are; its key is `id` in the embedded app, else `user/app/id`. */
function inputsPath(key) {
  const [user, app] = key.split("/").map(encodeURIComponent);
  const owner = key.includes("/") ? `/users/${user}/apps/${app}` : "";
  const only = key ? `&collector=${encodeURIComponent(key)}` : "";
  return `/v2${owner}/inputs?per_page=${SHOWN_INPUTS}${only}`;
}

async function refresh() {
  const [ledger, listed, kept, ready] = await Promise.all([
    askJson("/v1/ledger"),
    askJson("/v1/collectors"),
    askJson(inputsPath(byId("filter").value)),
    ask("/readyz").then((answer) => answer.json()),
  ]);
  showLedger(ledger);
  showCollectors(listed.collectors, ledger);
  showInputs(kept.inputs);
  const reasons = Object.entries(ready.reasons || {}).map(([part, reason]) => `${part}: ${reason}`);
  showHealth(reasons.length ? reasons.join(" · ") : "Ready", reasons.length ? "bad" : "good");
  byId("ask").hidden = true;
  byId("main").hidden = false;
}

async function turn() {
  clearTimeout(timer);
  try {
    if (!document.hidden) await refresh();
  } catch (error) {
    if (error.message === "token") return askForToken();
    showHealth(`No answer: ${error.message}`, "bad");
  }
  timer = setTimeout(turn, REFRESH_MS);
}

byId("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value.trim();
  sessionStorage.setItem("token", token);
  byId("ask").hidden = true;
  turn();
});
byId("filter").addEventListener("change", turn);
document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
turn();
