/* Hears what passes, live: each exchange as it was judged. Server-sent events, read so that a token can be sent along. */

import { askStream } from "./api.js";
import { element, having, say } from "./dom.js";
import { latency, whole, words } from "./format.js";

const SHOWN = 60;
const AGAIN_MS = 3000;

function verdict({ collector, verdict: name, reason, inputs }) {
  const tone = name === "kept" ? "delivered" : name;
  const why = name === "dropped" ? ` (${words(reason)})` : "";
  return element("span", "told", element("span", `dot ${tone}`), `${collector}: ${name}${why}${inputs > 1 ? ` ${whole(inputs)}` : ""}`);
}

function line(event) {
  const at = new Date(event.at).toLocaleTimeString("en-GB");
  const model = [event.model, event.version && `v${event.version}`].filter(Boolean).join(" ");
  const isFailed = !event.status || event.status >= 400;
  const verdicts = event.verdicts.length ? event.verdicts.map(verdict) : [element("span", "note", "no collector wants it")];
  return element("li", "", element("time", "", at), element("b", "", event.caller || "–"), element("span", "", model),
    element("span", isFailed ? "bad" : "", String(event.status || "no answer")), element("span", "", latency(event.latency_ms)),
    element("span", "verdicts", ...verdicts));
}

export class Tail {
  constructor() {
    this.state = element("p", "note");
    this.list = having(element("ul", "tail"), { tabindex: "0", "aria-label": "Calls as they pass" });
    this.pause = having(element("button", "quiet", "Pause"), { type: "button", "aria-pressed": "false" });
    this.pause.addEventListener("click", () => this.hold(!this.isHeld));
    this.node = element("section", "live", element("div", "live-head", this.state, this.pause), this.list);
    this.stopping = new AbortController();
  }

  hold(isHeld) {
    this.isHeld = isHeld;
    this.pause.setAttribute("aria-pressed", String(isHeld));
    say(this.pause, isHeld ? "Go on" : "Pause");
  }

  close() {
    this.stopping.abort();
    clearTimeout(this.timer);
  }

  /** Once: what is open to whoever asks is known by then. */
  start() {
    if (!this.isStarted) this.listen();
    this.isStarted = true;
  }

  async listen() {
    try {
      say(this.state, "Listening. Calls show up here as they are judged.");
      for await (const [name, data] of askStream("/v1/tail", this.stopping.signal)) this.hear(name, data);
      say(this.state, "The sidecar has ended the stream.");
    } catch (error) {
      if (this.stopping.signal.aborted) return;
      say(this.state, `Not heard: ${error.message}`);
    }
    if (!this.stopping.signal.aborted) this.timer = setTimeout(() => this.listen(), AGAIN_MS);
  }

  hear(name, data) {
    if (this.isHeld) return;
    if (name === "missed") say(this.state, `${whole(data.exchanges)} calls passed faster than they could be shown.`);
    else this.list.prepend(line(data));
    while (this.list.children.length > SHOWN) this.list.lastElementChild.remove();
  }
}
