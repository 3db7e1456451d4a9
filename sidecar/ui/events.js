/* Who changed what, and what happened by itself: newest first, each with what stood before and after. */

import { askJson } from "./api.js";
import { differences } from "./differences.js";
import { button, element, empty, having, keep, link, say, title } from "./dom.js";
import { Filters, textFilter } from "./filters.js";
import { actor, ago, clock, sentence, whole } from "./format.js";
import { tell } from "./notices.js";
import { Paged } from "./paged.js";

const PAGE = 50;
const FEW = 6;
const MOST_CHARACTERS = 400;
const BAD = new Set(["policy.broken", "model.away", "jobs.dead", "jobs.dropped", "tokens.guessed"]);
const NOUNS = ["collector", "workflow", "concept_relations", "key", "jobs", "inputs", "recording", "policy", "model", "engine", "tokens"];
const ACTORS = ["files", "sidecar", "token", "loopback"];
const TOLD = new Set(["id", "created_at", "created_by", "rotated_at"]);

function written(value) {
  const isPlainList = Array.isArray(value) && value.every((each) => typeof each !== "object");
  const text = typeof value === "string" ? value : isPlainList ? value.join(", ") : JSON.stringify(value);
  return text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)} …` : text;
}

const isThere = (value) => value !== undefined && value !== null;

/** One place that differs: what stood there is struck out, what stands there now follows; both are said to a screen reader. */
function change([path, before, after]) {
  const was = isThere(before) ? element("del", "", element("span", "unseen", "before: "), written(before)) : null;
  const is = isThere(after) ? element("ins", "", element("span", "unseen", "after: "), written(after)) : null;
  const arrow = was && is ? having(element("span", "arrow", " → "), { "aria-hidden": "true" }) : null;
  return [element("dt", "", path), element("dd", "", was, arrow, is)];
}

/** What an event says of before and after: the first few places; the others, and a whole thing that came or went, on demand.
 * What the event itself tells is left out. */
function changes({ before, after }) {
  const all = differences(before, after).filter(([path]) => !TOLD.has(path));
  if (!all.length) return null;
  const lines = (some) => element("dl", "changes", ...some.flatMap(change));
  if (all.length <= FEW) return lines(all);
  if (!isThere(before) || !isThere(after)) return folded(`${whole(all.length)} fields`, lines(all));
  return element("div", "", lines(all.slice(0, FEW)), folded(`${whole(all.length - FEW)} more`, lines(all.slice(FEW))));
}

function folded(label, content) {
  return element("details", "", element("summary", "", label), content);
}

const COUNTED = new Set(["jobs.retried", "jobs.discarded"]);

function subject({ kind, subject: id, collector, before, after }) {
  if (COUNTED.has(kind)) return "";
  const name = kind.startsWith("key.") ? (after || before)?.name || id : id;
  if (!collector || kind === "collector.deleted") return element("span", "name", name);
  const address = kind.startsWith("jobs.") ? `#/queue?collector=${encodeURIComponent(collector)}` : `#/collector/${encodeURIComponent(collector)}`;
  return link(name || collector, address, "name");
}

class Events {
  constructor(query) {
    const named = (name, label) => textFilter(label, query.get(name) || "");
    const controls = { kind: named("kind", "Kind"), who: named("who", "Who"), collector: named("collector", "Collector") };
    this.filters = new Filters("events", controls, () => this.restart());
    this.paged = new Paged((before) => this.page(before));
    this.rows = new Map();
    this.seen = { kind: new Set(NOUNS), who: new Set(ACTORS), collector: new Set() };
    this.list = having(element("ol", "events"), { "aria-label": "Events, newest first" });
    this.none = empty(element("p", ""));
    this.pager = element("p", "pager", button("Show older", "quiet", () => this.older()));
    this.nodes = [title("Events", "Who changed what, and what happened, newest first. The last 10,000 of 90 days are kept."),
      this.filters.node, this.list, this.none, this.pager];
    this.pager.hidden = this.list.hidden = true;
  }

  restart() {
    this.paged.clear();
    return this.refresh().catch((error) => tell(error.message, "bad"));
  }

  async page(before) {
    const asked = new URLSearchParams([["per_page", PAGE], ...this.filters.wish, ...(before ? [["before", before]] : [])]);
    const { events, next_before: following } = await askJson(`/v1/events?${asked}`);
    return [events, following];
  }

  async refresh() {
    const wish = JSON.stringify(this.filters.wish);
    const { keys } = await askJson("/v1/keys");
    this.names = new Map(keys.map((key) => [key.id, key.name]));
    try {
      if (!await this.paged.refresh(() => wish === JSON.stringify(this.filters.wish))) return;
    } catch (error) {
      if (error.status !== 400) throw error;
      this.paged.clear();
      this.paged.following = null;
      return this.show(`${error.message}.`);
    }
    this.show("");
  }

  async older() {
    await this.paged.more().catch((error) => tell(error.message, "bad"));
    this.show("");
  }

  show(fault) {
    const events = this.paged.items;
    const ids = new Set(events.map((event) => event.id));
    for (const id of this.rows.keys()) if (!ids.has(id)) this.rows.delete(id);
    keep(this.list, events.map((event) => this.row(event)));
    for (const time of this.list.querySelectorAll("time")) say(time, ago(time.dateTime));
    this.list.hidden = events.length === 0;
    this.none.hidden = events.length > 0;
    say(this.none.firstElementChild, fault || (this.filters.wish.length ? "Nothing matches." : "Nothing has happened yet."));
    this.pager.hidden = !this.paged.following;
    this.offer(events);
  }

  offer(events) {
    for (const event of events) for (const name of Object.keys(this.seen)) this.seen[name].add(event[name]);
    for (const id of this.names.keys()) this.seen.who.add(id);
    for (const [name, values] of Object.entries(this.seen)) this.filters.controls[name].offer([...values].sort());
  }

  row(event) {
    if (this.rows.has(event.id)) return this.rows.get(event.id);
    const when = element("div", "when", having(element("time", ""), { datetime: event.at }), element("div", "note", clock(event.at)));
    const kind = element("b", `kind${BAD.has(event.kind) ? " bad" : ""}`, sentence(event.kind.replace(".", " ")));
    const made = element("li", "", when, element("div", "what", element("p", "", kind, " ", subject(event)), this.who(event)), changes(event));
    this.rows.set(event.id, made);
    return made;
  }

  who({ who }) {
    return having(element("p", "note", `by ${actor(who, this.names)}`), { title: who });
  }
}

export const open = (_rest, query) => new Events(query);
