/* The ledger: both sums, drawn; the reasons; and the same sum for each collector. */

import { askJson } from "./api.js";
import { parts, showParts } from "./draw.js";
import { cell, element, empty, having, keep, say, table, title } from "./dom.js";
import { share, sum, whole, words } from "./format.js";

const VERDICTS = ["matched", "filtered", "delivered", "dead", "dropped", "pending"];
const UNMEANT = new Set(["lost", "dead", "dropped"]);
const MEANS = {
  seen: "predict calls", unwanted: "no collector wants them", taken: "looked at", lost: "copies let go", open: "under way",
  matched: "inputs of a watched caller", filtered: "meant by a policy", delivered: "posted", dead: "can be tried again",
  dropped: "meant by no policy", pending: "in the queue",
};

/** One sum: its equation, its bar, and why what was not delivered was not. */
class Sum {
  constructor(heading, note) {
    this.equation = element("dl", "equation");
    this.bar = parts(heading);
    this.reasons = element("ul", "reasons");
    this.node = element("section", "sum", element("h3", "", heading, " ", element("small", "", note)), this.equation, this.bar, this.reasons);
    this.terms = new Map();
  }

  show(terms, reasons) {
    keep(this.equation, terms.map(([name, count]) => this.term(name, count)));
    showParts(this.bar, terms.slice(1));
    const listed = reasons.flatMap(([verdict, counts]) => Object.entries(counts || {})
      .filter(([reason, count]) => reason && count)
      .map(([reason, count]) => [verdict, reason, count]));
    const signature = JSON.stringify(listed);
    if (this.signature === signature) return;
    this.signature = signature;
    this.reasons.replaceChildren(...listed.map(([verdict, reason, count]) =>
      element("li", "", element("span", `dot ${verdict}`), `${verdict}: ${words(reason)} `, element("b", "", whole(count)))));
  }

  term(name, count) {
    if (!this.terms.has(name)) {
      const value = element("dd", "");
      const label = element("dt", "", element("span", `dot ${name}`), name, element("small", "", MEANS[name]));
      this.terms.set(name, { node: element("div", "term", label, value), value });
    }
    const { node, value } = this.terms.get(name);
    say(value, whole(count));
    node.className = `term${count === 0 ? " zero" : UNMEANT.has(name) ? " bad" : ""}`;
    return node;
  }
}

class Ledger {
  constructor() {
    this.exchanges = new Sum("Exchanges", "since the relay started");
    this.jobs = new Sum("Inputs", "kept across restarts");
    this.table = table("The sum of each collector", [["Collector"], ["Share"], ["Matched", true], ["= Filtered", true], ["+ Delivered", true],
      ["+ Dead", true], ["+ Dropped", true], ["+ Pending", true], ["Kept", true]]);
    this.none = empty(element("p", "", "No input has been matched yet."), element("p", "note", "As soon as a collector watches traffic, every input of it is counted here."));
    this.rows = new Map();
    this.nodes = [title("Ledger", "Every predict call and every matched input, accounted for."),
      element("div", "sums", this.exchanges.node, this.jobs.node), element("h3", "sub", "By collector"), this.table.box, this.none];
  }

  async refresh() {
    const { exchanges, total, reasons, collectors } = await askJson("/v1/ledger");
    const terms = [["seen", exchanges.seen || 0], ["unwanted", exchanges.unwanted || 0], ["taken", exchanges.taken || 0],
      ["lost", sum(exchanges.lost)], ["open", exchanges.open || 0]];
    this.exchanges.show(terms, [["lost", exchanges.lost]]);
    const counts = VERDICTS.map((verdict) => [verdict, total[verdict] || 0]);
    this.jobs.show(counts, ["filtered", "dropped", "dead", "pending"].map((verdict) => [verdict, reasons?.[verdict]]));
    const keys = Object.keys(collectors || {}).sort((a, b) => collectors[b].matched - collectors[a].matched).slice(0, 200);
    keep(this.table.body, keys.map((key) => this.row(key, collectors[key])));
    this.table.box.hidden = keys.length === 0;
    this.none.hidden = keys.length > 0;
  }

  row(key, sums) {
    if (!this.rows.has(key)) this.rows.set(key, this.newRow(key));
    const row = this.rows.get(key);
    showParts(row.bar, VERDICTS.slice(1).map((verdict) => [verdict, sums[verdict] || 0]));
    for (const verdict of VERDICTS) {
      const count = sums[verdict] || 0;
      say(row.cells.get(verdict), whole(count));
      row.cells.get(verdict).className = `number${count === 0 ? " zero" : UNMEANT.has(verdict) ? " bad" : ""}`;
    }
    say(row.kept, sums.matched ? share(sums.delivered / sums.matched) : "–");
    return row.node;
  }

  newRow(key) {
    const bar = parts(key);
    const cells = new Map(VERDICTS.map((verdict) => [verdict, cell(verdict[0].toUpperCase() + verdict.slice(1), "number")]));
    const kept = cell("Kept", "number");
    const node = element("tr", "", having(cell("Collector", "first", element("span", "name", key)), {}), cell("Share", "wide", bar), ...cells.values(), kept);
    return { node, bar, cells, kept };
  }
}

export const open = () => new Ledger();
