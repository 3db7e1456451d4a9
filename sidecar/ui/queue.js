/* The queue: jobs that wait, are being tried or are dead, with the reason; dead letters are tried again or given up. */

import { askJson } from "./api.js";
import { Bulk } from "./bulk.js";
import { button, cell, element, empty, having, keep, link, say, table, title } from "./dom.js";
import { choiceFilter, Filters, momentFilter, textFilter } from "./filters.js";
import { ago, ahead, clock, namesOf, plural, whole, words } from "./format.js";
import { tell } from "./notices.js";

const SHOWN = 50;
const STATES = [["", "all"], ["queued", "waiting"], ["leased", "being tried"], ["dead", "dead letters"]];
const TONES = { queued: "pending", leased: "pending" };

/** How a job stands, or one of its deliveries. */
function labelOf({ state, attempts }) {
  if (state === "leased") return "being tried";
  if (state === "queued") return attempts ? "waits to be tried again" : "waits";
  return words(state);
}

const toneOf = ({ state }) => TONES[state] || state;

const isToBeTried = ({ state, attempts }) => state === "queued" && attempts > 0;

/** How a job of several destinations stands with each of them. */
function standing(job) {
  return element("ul", "standing", ...job.destinations.map((each) => {
    const facts = [words(each.reason), each.attempts && plural(each.attempts, "try", "tries")].filter(Boolean).join(", ");
    return element("li", "", element("span", `dot ${toneOf(each)}`), element("b", "", each.destination), ` ${labelOf(each)}`,
      facts && `: ${facts}`, isToBeTried(each) ? ", again " : "", isToBeTried(each) ? at(each.retry_at, true) : "",
      each.detail && element("div", "note", each.detail));
  }));
}

class Queue {
  constructor(query) {
    const given = (name) => query.get(name) || "";
    const controls = {
      state: choiceFilter("State", STATES, given("state")),
      collector: textFilter("Collector", given("collector")),
      destination: textFilter("Destination", given("destination")),
      reason: textFilter("Reason", given("reason")),
      since: momentFilter("Since", given("since")),
      until: momentFilter("Until", given("until")),
    };
    this.filters = new Filters("queue", controls, () => this.restart());
    this.rows = new Map();
    this.before = null;
    this.earlier = [];
    this.bulk = new Bulk(() => this.reload());
    this.table = table("Jobs", [[""], ["Job"], ["Collector"], ["From"], ["State"], ["Tries", true], ["Why"], ["Next try"]]);
    this.none = empty(element("p", ""), element("p", "note"));
    this.pager = element("p", "pager");
    this.nodes = [title("Queue", "Inputs on their way to a destination."), this.filters.node, this.bulk.node, this.table.box, this.none, this.pager];
    this.table.box.hidden = true;
    this.seen = { destination: new Set(["app"]), reason: new Set() };
  }

  restart() {
    this.before = null;
    this.earlier = [];
    this.bulk.chosen.clear();
    return this.reload();
  }

  reload() {
    return this.refresh().catch((error) => tell(error.message, "bad"));
  }

  async refresh() {
    const { wish } = this.filters;
    const asked = new URLSearchParams([["per_page", SHOWN], ...wish, ...(this.before ? [["before", this.before]] : [])]);
    const ledger = await askJson("/v1/ledger");
    const { total, reasons, collectors } = ledger;
    say(this.nodes[0].querySelector("p"), `${whole(total.pending)} pending, ${whole(total.dead)} dead`);
    try {
      const [{ jobs, next_before: following }] = await Promise.all([
        askJson(`/v1/jobs?${asked}`), this.bulk.count(wish, [total.dead, reasons.dead, Object.entries(collectors).map(([key, { dead }]) => [key, dead])]),
      ]);
      if (JSON.stringify(wish) !== JSON.stringify(this.filters.wish)) return;
      this.show(jobs, following, total.dead, "");
    } catch (error) {
      if (error.status !== 400) throw error;
      this.show([], null, 0, `${error.message}.`);
    }
    await this.offer(ledger);
  }

  show(jobs, following, dead, fault) {
    const ids = new Set(jobs.map((job) => job.id));
    for (const known of [this.rows, this.bulk.chosen]) for (const id of [...known.keys()]) if (!ids.has(id)) known.delete(id);
    keep(this.table.body, jobs.map((job) => this.row(job)));
    this.table.box.hidden = jobs.length === 0;
    this.none.hidden = jobs.length > 0;
    const isNarrowed = this.filters.wish.length > 0;
    say(this.none.firstElementChild, fault || (isNarrowed ? "Nothing matches." : "Nothing waits, and nothing is dead."));
    say(this.none.lastElementChild, isNarrowed ? "" : "Inputs are here between being kept and being delivered.");
    this.hasDead = dead > 0;
    this.bulk.show(this.hasDead);
    this.jobs = jobs;
    this.showPager(following);
  }

  /** What there is to filter by: what the ledger counts, the collectors name, and the rows show. */
  async offer({ collectors, reasons }) {
    if (!this.isOffered) {
      this.isOffered = true;
      const listed = await askJson("/v1/collectors");
      for (const { destination } of listed.collectors) for (const name of namesOf(destination)) this.seen.destination.add(name);
    }
    for (const verdict of ["dead", "pending"]) for (const reason of Object.keys(reasons[verdict] || {})) this.seen.reason.add(reason);
    for (const { destinations } of this.jobs || []) {
      for (const each of destinations) {
        this.seen.destination.add(each.destination);
        this.seen.reason.add(each.reason);
      }
    }
    this.filters.controls.collector.offer(Object.keys(collectors).sort());
    for (const [name, values] of Object.entries(this.seen)) this.filters.controls[name].offer([...values].sort());
  }

  row(job) {
    const signature = JSON.stringify([job, this.bulk.mayChange]);
    const known = this.rows.get(job.id);
    if (known && known.signature === signature) {
      known.box.checked = this.bulk.chosen.has(job.id);
      for (const time of known.node.querySelectorAll("time")) say(time, time.dataset.ahead ? ahead(Number(time.dataset.at)) : ago(Number(time.dataset.at)));
      return known.node;
    }
    const node = known?.node || element("tr", "");
    const box = this.box(job);
    node.replaceChildren(element("td", `choose${box.disabled ? " idle" : ""}`, box), ...this.cells(job));
    this.rows.set(job.id, { node, signature, box });
    return node;
  }

  box(job) {
    const box = having(element("input", ""), { type: "checkbox", "aria-label": `Choose job ${job.id}` });
    box.disabled = !this.bulk.mayChange || !job.destinations.some((each) => each.state === "dead");
    box.checked = this.bulk.chosen.has(job.id);
    box.addEventListener("change", () => {
      if (box.checked) this.bulk.chosen.add(job.id);
      else this.bulk.chosen.delete(job.id);
      this.bulk.show(this.hasDead);
    });
    return box;
  }

  cells(job) {
    const from = [job.model, job.version && `v${job.version}`].filter(Boolean).join(" ");
    const isShared = job.destinations.length > 1;
    const alone = [element("div", "", words(job.reason) || "–"), job.detail && element("div", "note", job.detail)];
    return [
      cell("Job", "", element("div", "", link(`#${job.id}`, `#/job/${job.id}`)), element("div", "note", at(job.created_at, false))),
      cell("Collector", "name", job.collector),
      cell("From", "", element("div", "", job.caller || "–"), element("div", "note", from)),
      cell("State", "state", element("span", `tag ${toneOf(job)}`, labelOf(job))),
      cell("Tries", "number", whole(job.attempts)),
      cell("Why", "why", ...(isShared ? [standing(job)] : alone)),
      cell("Next try", "", isToBeTried(job) ? at(job.retry_at, true) : "–"),
    ];
  }

  showPager(following) {
    const newer = button("Newer", "quiet", () => { this.before = this.earlier.pop() ?? null; this.reload(); });
    const older = button("Older", "quiet", () => { this.earlier.push(this.before); this.before = following; this.reload(); });
    newer.disabled = this.before === null;
    older.disabled = following === null;
    this.pager.hidden = newer.disabled && older.disabled;
    const signature = `${this.before} ${following}`;
    if (this.pager.dataset.at !== signature) this.pager.replaceChildren(newer, older);
    this.pager.dataset.at = signature;
  }
}

function at(moment, isAhead) {
  const time = element("time", "", isAhead ? ahead(moment) : ago(moment));
  time.dataset.at = moment;
  if (isAhead) time.dataset.ahead = "1";
  time.title = clock(moment);
  return time;
}

export const open = (_rest, query) => new Queue(query);
