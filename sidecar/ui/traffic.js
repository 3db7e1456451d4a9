/* Traffic as it passes: calls by caller and model, how long they take, what is kept of them, and a recording of some. */

import { askJson } from "./api.js";
import { bars, showBars } from "./draw.js";
import { cell, element, empty, having, keep, link, say, table, title } from "./dom.js";
import { latency, share, short, sum, whole } from "./format.js";
import { Recording } from "./recording.js";
import { Tail } from "./tail.js";

const SHOWN = 200;

/** A model whose calls pass and are not collected, with the way to collect them. */
function passingRow({ model, version }) {
  const address = `#/collector?${new URLSearchParams({ model, version })}`;
  const collect = having(link("Collect", address, "button quiet"), { "aria-label": `Collect ${model}${version && ` version ${version}`}` });
  return element("tr", "", cell("Model", "first name", model), cell("Version", version ? "" : "any", version || "not named"), element("td", "acts", collect));
}

/** A number that grows, as so many a second. */
class Rate {
  constructor(label, note) {
    this.value = element("dd", "", "–");
    this.node = element("div", "tile", element("dt", "", label, element("small", "", note)), this.value);
  }

  show(count) {
    const now = performance.now();
    if (this.at !== undefined && now > this.at) {
      const rate = Math.max(0, ((count - this.count) * 1000) / (now - this.at));
      say(this.value, rate < 10 ? String(Math.round(rate * 10) / 10) : short(Math.round(rate)));
    }
    this.at = now;
    this.count = count;
  }
}

class Traffic {
  constructor() {
    this.rates = {
      seen: new Rate("Calls", "a second, all of them"),
      unwanted: new Rate("Unwanted", "calls a second"),
      taken: new Rate("Looked at", "calls a second"),
      lost: new Rate("Lost", "copies a second"),
      matched: new Rate("Matched", "inputs a second"),
      delivered: new Rate("Delivered", "inputs a second"),
    };
    this.rows = new Map();
    this.recording = new Recording("");
    this.tail = new Tail();
    this.table = table("Calls by caller and model", [["Caller"], ["Model"], ["Calls", true], ["Last hour"], ["Failed", true],
      ["p50", true], ["p95", true], ["Kept", true]]);
    this.none = empty(element("p", "", "No call has been looked at yet."),
      element("p", "note", "Calls are counted here when a collector watches their model, or while they are recorded."));
    this.passing = table("Models that pass and nobody collects", [["Model"], ["Version"], [""]]);
    this.passingTitle = element("h3", "sub", "Passing, collected by nobody");
    this.nodes = [title("Traffic", "What passes, as it passes."), element("dl", "tiles", ...Object.values(this.rates).map((each) => each.node)),
      element("h3", "sub", "By caller and model"), this.table.box, this.none, this.passingTitle, this.passing.box, element("h3", "sub", "Live"), this.tail.node, element("h3", "sub", "Recording"), this.recording.node];
    this.table.box.hidden = true;
    this.showPassing([]);
  }

  showPassing(models) {
    this.passingTitle.hidden = this.passing.box.hidden = models.length === 0;
    const shown = JSON.stringify(models);
    if (this.passing.body.dataset.shown !== shown) this.passing.body.replaceChildren(...models.map(passingRow));
    this.passing.body.dataset.shown = shown;
  }

  close() {
    this.tail.close();
  }

  async refresh() {
    const [ledger, traffic] = await Promise.all([askJson("/v1/ledger"), askJson("/v1/traffic"), this.recording.refresh()]);
    const { exchanges, total } = ledger;
    const counts = { ...exchanges, lost: sum(exchanges.lost), matched: total.matched, delivered: total.delivered };
    for (const [name, rate] of Object.entries(this.rates)) rate.show(counts[name] || 0);
    const sources = traffic.sources.sort((a, b) => b.exchanges - a.exchanges).slice(0, SHOWN);
    keep(this.table.body, sources.map((source) => this.row(source)));
    this.table.box.hidden = sources.length === 0;
    this.none.hidden = sources.length > 0;
    this.tail.start();
    this.showPassing(traffic.passing.filter(({ collected }) => !collected));
    this.recording.offer([...new Set([...traffic.sources, ...traffic.passing].map(({ model }) => model))]);
  }

  row(source) {
    const key = JSON.stringify([source.caller, source.model, source.version]);
    if (!this.rows.has(key)) this.rows.set(key, this.newRow(source));
    const { node, cells, picture } = this.rows.get(key);
    say(cells.calls, whole(source.exchanges));
    say(cells.failed, whole(source.failed));
    cells.failed.className = `number${source.failed ? " bad" : " zero"}`;
    say(cells.p50, latency(source.latency_ms.p50));
    say(cells.p95, latency(source.latency_ms.p95));
    say(cells.kept, source.kept ? `${whole(source.kept)}` : "0");
    cells.kept.title = source.exchanges ? `${share(source.kept / source.exchanges)} of calls, counted in inputs` : "";
    showBars(picture, source.minutes, `${whole(sum(source.minutes))} calls in the last hour`);
    return node;
  }

  newRow(source) {
    const numbers = { calls: "Calls", failed: "Failed", p50: "p50", p95: "p95", kept: "Kept" };
    const cells = Object.fromEntries(Object.entries(numbers).map(([name, label]) => [name, cell(label, "number")]));
    const picture = bars([], "");
    const isOthers = !source.caller && !source.model;
    const node = element("tr", "",
      cell("Caller", "first name", isOthers ? "all others" : source.caller || "–"),
      cell("Model", "", element("div", "", source.model || "–"), source.version && element("div", "note", `version ${source.version}`)),
      cells.calls, cell("Last hour", "spark", picture), cells.failed, cells.p50, cells.p95, cells.kept);
    return { node, cells, picture };
  }
}

export const open = () => new Traffic();
