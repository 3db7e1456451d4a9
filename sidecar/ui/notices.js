/* Short messages at the page's foot, and the few seconds in which something can still be undone. */

import { byId, element, button, having } from "./dom.js";

const SHOWN_MS = 6000;
const UNDO_MS = 8000;
const waiting = new Set();

function show(text, tone, ...actions) {
  const notice = having(element("div", `notice ${tone}`, element("p", "", text), ...actions), { role: tone === "bad" ? "alert" : null });
  byId("notices").append(notice);
  return notice;
}

export function tell(text, tone = "") {
  const notice = show(text, tone);
  if (tone === "bad") notice.append(button("Close", "quiet", () => notice.remove()));
  else setTimeout(() => notice.remove(), SHOWN_MS);
}

/** Does `act` in a few seconds, unless it is undone; at once when the page is left. */
export function unlessUndone(text, act, undone) {
  const end = (isLeft) => {
    if (!waiting.delete(end)) return;
    clearTimeout(timer);
    notice.remove();
    act(isLeft);
  };
  const undo = button("Undo", "", () => {
    waiting.delete(end);
    clearTimeout(timer);
    notice.remove();
    undone();
  });
  const notice = show(text, "", undo);
  const timer = setTimeout(() => end(false), UNDO_MS);
  waiting.add(end);
}

addEventListener("pagehide", () => [...waiting].forEach((end) => end(true)));
