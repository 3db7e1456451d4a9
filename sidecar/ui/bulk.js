/* What is done to dead letters: to some that were chosen, or to all that the filters find, by the API's own count. */

import { change } from "./api.js";
import { confirmed } from "./dialog.js";
import { button, element, having, say } from "./dom.js";
import { plural, whole } from "./format.js";
import { tell } from "./notices.js";

const DONE = {
  retry: (count) => `${plural(count, "is", "are")} tried again.`,
  discard: (count) => `${plural(count, "was given up, and is", "were given up, and are")} counted as dropped.`,
};
const SAID = { retry: "retried", discard: "discarded" };

export class Bulk {
  /** `done` is called when something was changed. */
  constructor(done) {
    this.done = done;
    this.chosen = new Set();
    this.mayChange = true;
    this.wish = [];
    this.counts = { retry: 0, discard: 0 };
    this.text = having(element("p", "note"), { role: "status" });
    const act = (what, all) => () => this.decide(what, all);
    this.some = { retry: button("Try again", "", act("retry", false)), discard: button("Discard", "quiet bad", act("discard", false)) };
    this.all = { retry: button("", "quiet", act("retry", true)), discard: button("", "quiet bad", act("discard", true)) };
    this.node = element("div", "bulk", this.text, element("div", "acts", this.some.retry, this.some.discard),
      element("div", "acts", this.all.retry, this.all.discard));
    this.node.hidden = true;
  }

  /** What is meant by all: the filters' wish less the state, for only dead letters are changed. */
  get filter() {
    const narrowed = this.wish.filter(([name]) => name !== "state");
    return narrowed.length ? Object.fromEntries(narrowed) : { all: true };
  }

  /** Count what the filters find; asked anew where `dead`, the ledger's view of dead letters, or the wish has changed. */
  async count(wish, dead) {
    const signature = JSON.stringify([wish, dead]);
    this.wish = wish;
    if (signature === this.signature) return;
    const state = Object.fromEntries(wish).state || "dead";
    try {
      const counted = state === "dead" && this.mayChange ? await Promise.all([this.ask("retry"), this.ask("discard")]) : [0, 0];
      if (JSON.stringify(wish) !== JSON.stringify(this.wish)) return;
      this.counts = { retry: counted[0], discard: counted[1] };
    } catch (error) {
      if (error.status !== 403) throw error;
      this.mayChange = false;
      this.counts = { retry: 0, discard: 0 };
    }
    this.signature = signature;
  }

  async ask(what) {
    return (await change("POST", `/v1/jobs/${what}`, { ...this.filter, dry_run: true }))[`would_${what}`];
  }

  /** `hasDead`: there are dead letters, whether the filters find them or not. */
  show(hasDead) {
    const { retry, discard } = this.counts;
    const isNarrowed = !this.filter.all;
    const chosen = this.chosen.size;
    this.node.hidden = !hasDead;
    for (const each of Object.values(this.some)) each.hidden = chosen === 0;
    this.all.retry.hidden = retry === 0;
    this.all.discard.hidden = discard === 0;
    say(this.all.retry, isNarrowed ? `Try all ${whole(retry)} that match` : `Try all ${whole(retry)} again`);
    say(this.all.discard, isNarrowed ? `Discard all ${whole(discard)} that match` : `Discard all ${whole(discard)}`);
    const wayOut = this.mayChange ? "Choose dead letters to try them again or to give them up." : "To try them again or to give them up takes a key with the scope write.";
    say(this.text, chosen ? `${whole(chosen)} chosen` : wayOut);
  }

  async decide(what, isAll) {
    const ids = [...this.chosen];
    try {
      if (what === "discard" && !await this.isMeant(isAll ? await this.ask(what) : ids.length, isAll)) return;
      const said = await change("POST", `/v1/jobs/${what}`, isAll ? this.filter : { ids });
      tell(DONE[what](said[SAID[what]]));
      this.chosen.clear();
      this.signature = "";
    } catch (error) {
      tell(error.message, "bad");
    }
    await this.done();
    if (document.activeElement === document.body) document.querySelector("h2").focus();
  }

  isMeant(count, isAll) {
    const which = isAll && !this.filter.all ? " that match" : "";
    const stays = isAll && this.counts.retry > count ? "What is still pending for another destination stays. " : "";
    return confirmed(`Discard ${plural(count, "dead letter", "dead letters")}${which}?`,
      `They are deleted with their inputs and counted as dropped. ${stays}This cannot be undone.`, `Discard ${whole(count)}`);
  }
}
