/* The collectors: what each watches and keeps, how it goes, and switching it on, off and away. */

import { ask, askJson, change, idOf, placeOf } from "./api.js";
import { bars, showBars } from "./draw.js";
import { button, cell, element, empty, having, keep, link, say, table, title } from "./dom.js";
import { namesOf, share, short, sum, whole } from "./format.js";
import { tell, unlessUndone } from "./notices.js";

const ACTIVE = 52001;
const INACTIVE = 52002;
const SHOWN = 50;
const COUNTS = [["Matched", "matched"], ["Delivered", "delivered"], ["Pending", "pending"], ["Dropped", "dropped"], ["Dead", "dead"]];
const SEEN_WITH = { delivered: "inputs", pending: "queue", dead: "queue" };
const UNMEANT = new Set(["dead", "dropped"]);
const EVERY = 4;

export const sourceOf = (collector) => collector.collector_source?.api_post_model_outputs_collector_source || {};
export const isActive = (collector) => collector.status?.code === ACTIVE;

/** What a collector keeps, in a few words each. */
export function rule(collector) {
  const parts = [];
  if (collector.sample_exchanges < 1) parts.push(`${share(collector.sample_exchanges)} of calls`);
  if (collector.pre_queue_random_sample) parts.push(`${share(collector.pre_queue_random_sample)} of inputs`);
  if (collector.pre_queue_workflow_id) parts.push(`what passes ${collector.pre_queue_workflow_id}`);
  if (collector.post_queue_workflow_id) parts.push(`then ${collector.post_queue_workflow_id}`);
  if (collector.collect_failures === false) parts.push("where the model answered");
  if (collector.destination) parts.push(`to ${namesOf(collector.destination).join(", ")}`);
  return parts;
}

function versionOf(source) {
  const owner = [source.model_user_id, source.model_app_id].filter(Boolean).join("/");
  const version = source.model_version_id ? `version ${source.model_version_id}` : "every version";
  return owner ? `${version}, of ${owner}` : version;
}

function toggle(collector, act) {
  const made = having(button("", "switch", act), { role: "switch", "aria-checked": String(isActive(collector)), "aria-label": `${collector.key} is active` });
  if (collector.managed_by === "file") made.disabled = true;
  return made;
}

async function setActive(collector, code) {
  await change("PATCH", placeOf(collector.key, "collectors"), { collectors: [{ id: idOf(collector.key), status: { code } }] });
}

class Row {
  constructor(list, key) {
    this.list = list;
    this.key = key;
    this.node = element("tr", "");
    this.counts = new Map();
    this.bars = bars([], "");
  }

  show(collector, counts, lines) {
    const signature = JSON.stringify(collector || null);
    if (signature !== this.signature) this.build(collector);
    this.signature = signature;
    for (const [, name] of COUNTS) {
      const count = counts?.[name] || 0;
      const shown = this.counts.get(name);
      say(shown.firstElementChild, short(count));
      shown.className = `number${count === 0 ? " zero" : UNMEANT.has(name) ? " bad" : ""}`;
    }
    const kept = lines?.kept || [];
    showBars(this.bars, kept, `${whole(sum(kept))} kept in the last hour`);
  }

  build(collector) {
    this.node.className = collector && isActive(collector) ? "" : "off";
    const counts = COUNTS.map(([label, name]) => {
      this.counts.set(name, cell(label, "number", this.count(label, name)));
      return this.counts.get(name);
    });
    const last = [cell("Kept, last hour", "spark", this.bars), ...counts];
    this.node.replaceChildren(...(collector ? this.there(collector) : this.gone()), ...last, this.actions(collector));
  }

  /** A count, which leads to what it counts where that can be seen. */
  count(label, name) {
    if (!SEEN_WITH[name]) return element("span", "");
    const state = name === "dead" ? "&state=dead" : "";
    const address = `#/${SEEN_WITH[name]}?collector=${encodeURIComponent(this.key)}${state}`;
    return having(link("", address), { title: `${label}: see them` });
  }

  there(collector) {
    const source = sourceOf(collector);
    const address = `#/collector/${encodeURIComponent(collector.key)}`;
    const name = element("div", "named", toggle(collector, () => this.switch(collector)), link(collector.key, address, "name"));
    const isFromFile = collector.managed_by === "file";
    const note = collector.description || (isFromFile ? `from ${collector.origin.split("/").at(-1)}` : "");
    const kept = rule(collector).map((text) => element("div", "", text));
    return [
      cell("Collector", "first", name, note && having(element("div", "note", note), { title: isFromFile ? collector.origin : note })),
      cell("Source", "", element("div", "", source.model_id), element("div", "note", versionOf(source))),
      cell("Caller", source.caller_user_id ? "" : "any", source.caller_user_id || "everyone"),
      cell("Keeps", "", ...kept),
    ];
  }

  gone() {
    const name = element("div", "named", element("span", "name", this.key), element("span", "tag", "deleted"));
    return [cell("Collector", "first", name), cell("Source", "any", "–"), cell("Caller", "any", "–"), cell("Keeps", "any", "–")];
  }

  actions(collector) {
    if (!collector) return element("td", "acts");
    if (collector.managed_by === "file") return having(element("td", "acts", element("span", "tag", "file")), { title: `Managed by ${collector.origin}` });
    const remove = having(button("Delete", "quiet bad", () => this.remove(collector)), { "aria-label": `Delete ${this.key}` });
    return element("td", "acts", remove);
  }

  async switch(collector) {
    const was = isActive(collector);
    try {
      await setActive(collector, was ? INACTIVE : ACTIVE);
      tell(was ? `${collector.key} is paused. What is pending goes on.` : `${collector.key} is active.`);
    } catch (error) {
      tell(error.message, "bad");
    }
    this.list.reload();
  }

  remove(collector) {
    this.list.hidden.add(collector.key);
    this.list.show();
    const path = placeOf(collector.key, "collectors");
    const body = { ids: [idOf(collector.key)] };
    const away = async (isLast) => {
      try {
        if (isLast) ask(path, { method: "DELETE", body, isLast });
        else await change("DELETE", path, body);
      } catch (error) {
        tell(error.message, "bad");
      }
      this.list.hidden.delete(collector.key);
      this.list.reload();
    };
    unlessUndone(`${collector.key} is being deleted, with what is pending for it.`, away, () => {
      this.list.hidden.delete(collector.key);
      this.list.show();
    });
  }
}

class List {
  constructor() {
    this.rows = new Map();
    this.hidden = new Set();
    this.turns = 0;
    this.page = 0;
    this.search = having(element("input", ""), { type: "search", placeholder: "Find by name, model or caller", "aria-label": "Find collectors" });
    this.search.addEventListener("input", () => { this.page = 0; this.show(); });
    this.head = title("Collectors", "", this.search, link("New collector", "#/collector", "button"));
    this.table = table("Collectors", [["Collector"], ["Source"], ["Caller"], ["Keeps"], ["Kept, last hour"],
      ["Matched", true], ["Delivered", true], ["Pending", true], ["Dropped", true], ["Dead", true], [""]]);
    this.none = empty(element("p", "", "No collector yet."), element("p", "note", "A collector says whose calls to which model are kept. "
      + "Make one here, or put a YAML file into the policies folder."), link("New collector", "#/collector", "button"));
    this.pager = element("p", "pager");
    this.nodes = [this.head, this.table.box, this.none, this.pager];
    this.table.box.hidden = true;
  }

  async refresh() {
    const isDue = !this.collectors || this.turns % EVERY === 0;
    this.turns += 1;
    const [listed, ledger, traffic] = await Promise.all([
      isDue ? askJson("/v1/collectors") : null, askJson("/v1/ledger"), askJson("/v1/traffic"),
    ]);
    if (listed) this.collectors = listed.collectors;
    this.ledger = ledger;
    this.traffic = traffic;
    this.show();
  }

  reload() {
    this.turns = 0;
    return this.refresh().catch((error) => tell(error.message, "bad"));
  }

  show() {
    const known = new Map(this.collectors.map((each) => [each.key, each]));
    const gone = Object.keys(this.ledger.collectors || {}).filter((key) => !known.has(key)).sort();
    const all = [...known.keys(), ...gone].filter((key) => !this.hidden.has(key));
    const wanted = this.search.value.trim().toLowerCase();
    const found = wanted ? all.filter((key) => this.matches(key, known.get(key), wanted)) : all;
    this.page = Math.min(this.page, Math.max(0, Math.ceil(found.length / SHOWN) - 1));
    const shown = found.slice(this.page * SHOWN, (this.page + 1) * SHOWN);
    keep(this.table.body, shown.map((key) => this.row(key, known.get(key))));
    const active = this.collectors.filter(isActive).length;
    say(this.head.querySelector("p"), known.size ? `${whole(active)} of ${whole(known.size)} active` : "");
    this.none.hidden = all.length > 0;
    this.table.box.hidden = shown.length === 0;
    this.showPager(found.length);
  }

  matches(key, collector, wanted) {
    const source = collector ? sourceOf(collector) : {};
    return [key, source.model_id, source.caller_user_id].some((text) => text?.toLowerCase().includes(wanted));
  }

  row(key, collector) {
    if (!this.rows.has(key)) this.rows.set(key, new Row(this, key));
    const row = this.rows.get(key);
    row.show(collector, this.ledger.collectors?.[key], this.traffic.collectors?.[key]);
    return row.node;
  }

  showPager(count) {
    this.pager.hidden = count <= SHOWN && !this.search.value;
    const first = this.page * SHOWN;
    const turnTo = (step) => () => { this.page += step; this.show(); };
    const before = button("Previous", "quiet", turnTo(-1));
    const after = button("Next", "quiet", turnTo(1));
    before.disabled = this.page === 0;
    after.disabled = first + SHOWN >= count;
    const text = count ? `${whole(first + 1)}–${whole(Math.min(first + SHOWN, count))} of ${whole(count)}` : "Nothing matches.";
    if (this.pager.dataset.text !== text) this.pager.replaceChildren(before, element("span", "", text), after);
    this.pager.dataset.text = text;
  }
}

export const open = () => new List();
