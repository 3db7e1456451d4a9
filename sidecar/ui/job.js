/* The story of a job that waits or is dead: as an input's, and what stands between it and its destinations. */

import { askJson } from "./api.js";
import { answer, deliveries, facts, judged, note, output, part, request, source } from "./chapters.js";
import { shown } from "./content.js";
import { element, link, say, title } from "./dom.js";
import { clock, words } from "./format.js";

const STATES = { queued: "waits", leased: "is being tried", dead: "is dead" };

class Job {
  constructor(id) {
    this.id = id;
    this.head = title(`Job #${id}`, "", link("Queue", "#/queue", "button quiet"));
    this.body = element("div", "story");
    this.nodes = [this.head, this.body];
  }

  async refresh() {
    try {
      this.show((await askJson(`/v1/jobs/${encodeURIComponent(this.id)}`)).job);
    } catch (error) {
      if (error.status !== 404) throw error;
      if (this.signature) say(this.head.querySelector("p"), "Over since this was shown: delivered, filtered or given up.");
      else this.body.replaceChildren(element("div", "empty", "No such job waits or is dead: it was delivered, filtered or given up."));
    }
  }

  show(job) {
    const signature = JSON.stringify(job);
    if (this.signature === signature) return;
    this.signature = signature;
    const metadata = job.input?.metadata || {};
    const address = `#/collector/${encodeURIComponent(job.collector)}`;
    say(this.head.querySelector("p"), `${STATES[job.state]}${job.reason ? `: ${words(job.reason)}` : ""}; kept ${clock(job.created_at)}`);
    const later = job.workflow_output ? [note("What the post-queue workflow gave:"), output(job.workflow_output)] : [];
    this.body.replaceChildren(
      element("section", "sum whole", element("div", "shown", shown({ id: `of job ${job.id}`, data: job.input }, true))),
      element("div", "chapters",
        part("Asked", request(job, metadata)),
        part("Answered", answer(metadata, job.exchange), output(job.output) || note("The model sent no output that could be read.")),
        part("Judged", ...judged([["collector", link(job.collector, address)]], job, false), ...later),
        part("Delivery", ...deliveries(job)),
        part("All of it", source(job))),
    );
  }
}

export const open = (id) => new Job(id);
