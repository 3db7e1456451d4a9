/* One input's whole story: what was asked, what was answered, how it was judged, where it went. */

import { askJson, idOf, placeOf } from "./api.js";
import { answer, deliveries, facts, judged, note, output, part, request, source } from "./chapters.js";
import { shown } from "./content.js";
import { element, link, say, title } from "./dom.js";
import { clock } from "./format.js";

const NOT_KEPT = "The model's output was not kept: the collector has collect_outputs off.";

class Story {
  constructor(key) {
    this.key = key;
    this.head = title(`Input ${idOf(key).slice(0, 12)}`, "", link("All inputs", "#/inputs", "button quiet"));
    this.body = element("div", "story");
    this.nodes = [this.head, this.body];
  }

  async refresh() {
    const place = (key) => `${placeOf(key, "inputs")}/${encodeURIComponent(idOf(key))}`;
    try {
      this.input ||= (await askJson(place(this.key))).input;
      const whole = this.key.includes("/") ? this.key : `me/main/${this.key}`;
      const { story } = await askJson(`${place(whole).replace("/v2/", "/v1/")}/story`);
      this.show(this.input, story);
    } catch (error) {
      if (error.status !== 404) throw error;
      this.body.replaceChildren(element("div", "empty", "This input is not there, or no longer."));
    }
  }

  show(input, story) {
    const signature = JSON.stringify(story);
    if (this.signature === signature) return;
    this.signature = signature;
    const metadata = input.data?.metadata || {};
    say(this.head.querySelector("p"), `${input.id}, kept ${clock(input.created_at)}`);
    const own = input.data?.concepts?.length ? output({ concepts: input.data.concepts }) : null;
    this.body.replaceChildren(
      element("section", "sum whole", element("div", "shown", shown(input, true))),
      element("div", "chapters",
        part("Asked", request(input, metadata)),
        part("Answered", answer(metadata, story?.exchange), output(metadata.model_output) || own || note(NOT_KEPT)),
        part("Judged", ...this.verdicts(input, metadata, story)),
        part("Delivered", facts([["to", "the embedded app"], ["as", input.id], ["job", story && this.job(story)]]), ...(story ? deliveries(story) : [])),
        part("All of it", source({ input, story }))),
    );
  }

  /** Its job, as a link while another destination still waits for it or is dead. */
  job(story) {
    const isThere = story.destinations.some((each) => ["queued", "leased", "dead"].includes(each.state));
    return isThere ? link(`#${story.job_id}`, `#/job/${story.job_id}`) : `#${story.job_id}`;
  }

  verdicts(input, metadata, story) {
    if (!input.collector) return [note("Posted by hand or by another sidecar: no collector of this one judged it.")];
    const address = `#/collector/${encodeURIComponent(input.collector)}`;
    const about = [["collector", link(input.collector, address)], ["verdict", "kept"]];
    const gave = metadata.workflow_output ? [note("What the post-queue workflow gave:"), output(metadata.workflow_output)] : [];
    return [...(story ? judged(about, story, true) : [facts(about)]), ...gave];
  }
}

export const open = (key) => new Story(key);
