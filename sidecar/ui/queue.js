/* The queue: jobs that wait, are being tried or are dead, with the reason; dead letters are tried again or given up. */

import { askJson, change } from "./api.js";
import { button, cell, element, empty, having, keep, say, table, title } from "./dom.js";
import { ago, ahead, clock, whole, words } from "./format.js";
import { tell } from "./notices.js";

const SHOWN = 50;
const STATES = [["", "All"], ["queued", "Waiting"], ["leased", "Being tried"], ["dead", "Dead letters"]];

function labelOf(job) {
  if (job.state === "dead") return ["dead", "dead"];
  if (job.state === "leased") return ["pending", "being tried"];
  return job.attempts ? ["pending", "waits to be tried again"] : ["pending", "waits"];
}

/** How a job of several destinations stands with each of them. */
function standing(job) {
  if (job.destinations.length < 2) return [];
  return job.destinations.map((each) => element("div", "note", `${each.destination}: ${words(each.state)}${each.reason ? `, ${words(each.reason)}` : ""}`));
}

class Queue {
  constructor(query) {
    this.query = query;
    this.rows = new Map();
    this.chosen = new Set();
    this.before = null;
    this.earlier = [];
    this.state = having(element("select", ""), { "aria-label": "State" });
    this.state.append(...STATES.map(([value, label]) => new Option(label, value)));
    this.state.value = query.get("state") || "";
    this.collector = having(element("input", ""), { placeholder: "every collector", "aria-label": "Collector", value: query.get("collector") || "", spellcheck: "false" });
    for (const each of [this.state, this.collector]) each.addEventListener("change", () => this.restart());
    this.bar = this.actions();
    this.table = table("Jobs", [[""], ["Job"], ["Collector"], ["From"], ["State"], ["Tries", true], ["Why"], ["Next try"]]);
    this.none = empty(element("p", "", "Nothing waits, and nothing is dead."), element("p", "note", "Inputs are here between being kept and being delivered."));
    this.pager = element("p", "pager");
    this.counts = element("p", "counts");
    this.nodes = [title("Queue", "Inputs on their way to a destination.", this.state, this.collector), this.bar, this.table.box, this.none, this.pager];
    this.table.box.hidden = true;
  }

  actions() {
    this.retryChosen = button("Try again", "", () => this.decide("retry", [...this.chosen]));
    this.discardChosen = button("Discard", "quiet bad", () => this.decide("discard", [...this.chosen]));
    this.retryAll = button("Try every dead letter again", "quiet", () => this.decide("retry", null));
    this.text = element("span", "note");
    return element("div", "bulk", this.text, this.retryChosen, this.discardChosen, this.retryAll);
  }

  restart() {
    this.before = null;
    this.earlier = [];
    this.chosen.clear();
    this.refresh().catch((error) => tell(error.message, "bad"));
  }

  async refresh() {
    const asked = new URLSearchParams({ per_page: SHOWN });
    if (this.state.value) asked.set("state", this.state.value);
    if (this.collector.value.trim()) asked.set("collector", this.collector.value.trim());
    if (this.before) asked.set("before", this.before);
    const [{ jobs, next_before: following }, { total }] = await Promise.all([askJson(`/v1/jobs?${asked}`), askJson("/v1/ledger")]);
    const ids = new Set(jobs.map((job) => job.id));
    for (const id of this.rows.keys()) if (!ids.has(id)) this.rows.delete(id);
    for (const id of this.chosen) if (!ids.has(id)) this.chosen.delete(id);
    keep(this.table.body, jobs.map((job) => this.row(job)));
    this.table.box.hidden = jobs.length === 0;
    this.none.hidden = jobs.length > 0;
    say(this.nodes[0].querySelector("p"), `${whole(total.pending)} pending, ${whole(total.dead)} dead`);
    this.dead = total.dead;
    this.showActions();
    this.showPager(following);
  }

  row(job) {
    const signature = JSON.stringify(job);
    const known = this.rows.get(job.id);
    if (known && known.signature === signature) {
      for (const time of known.node.querySelectorAll("time")) say(time, time.dataset.ahead ? ahead(Number(time.dataset.at)) : ago(Number(time.dataset.at)));
      return known.node;
    }
    const node = known?.node || element("tr", "");
    node.replaceChildren(...this.cells(job));
    this.rows.set(job.id, { node, signature });
    return node;
  }

  cells(job) {
    const [tone, label] = labelOf(job);
    const box = having(element("input", ""), { type: "checkbox", "aria-label": `Choose job ${job.id}` });
    const isDead = job.destinations.some((each) => each.state === "dead");
    box.disabled = !isDead;
    box.checked = this.chosen.has(job.id);
    box.addEventListener("change", () => {
      if (box.checked) this.chosen.add(job.id);
      else this.chosen.delete(job.id);
      this.showActions();
    });
    const from = [job.model, job.version && `v${job.version}`].filter(Boolean).join(" ");
    return [
      element("td", `choose${isDead ? "" : " idle"}`, box),
      cell("Job", "", element("div", "", `#${job.id}`), element("div", "note", at(job.created_at, false))),
      cell("Collector", "name", job.collector),
      cell("From", "", element("div", "", job.caller || "–"), element("div", "note", from)),
      cell("State", "state", element("span", `tag ${tone}`, label), ...standing(job)),
      cell("Tries", "number", whole(job.attempts)),
      cell("Why", "why", element("div", "", words(job.reason) || "–"), job.detail && element("div", "note", job.detail)),
      cell("Next try", "", job.state === "queued" && job.attempts ? at(job.retry_at, true) : "–"),
    ];
  }

  showActions() {
    const count = this.chosen.size;
    this.bar.hidden = !this.dead;
    say(this.text, count ? `${whole(count)} chosen` : "Choose dead letters to try them again or to give them up.");
    this.retryChosen.disabled = this.discardChosen.disabled = count === 0;
  }

  async decide(what, ids) {
    try {
      const said = await change("POST", `/v1/jobs/${what}`, ids ? { ids } : { all: true });
      tell(what === "retry" ? `${whole(said.retried)} are tried again.` : `${whole(said.discarded)} were given up, and are counted as dropped.`);
      this.chosen.clear();
    } catch (error) {
      tell(error.message, "bad");
    }
    await this.refresh();
  }

  showPager(following) {
    const newer = button("Newer", "quiet", () => { this.before = this.earlier.pop() ?? null; this.refresh(); });
    const older = button("Older", "quiet", () => { this.earlier.push(this.before); this.before = following; this.refresh(); });
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
