/* Asks before what cannot be undone, in a dialog of the page's own: it keeps the keyboard until it is answered. */

import { button, element, having, newId } from "./dom.js";

/** True once whoever reads `heading` and `text` has chosen to `act`; false by Cancel or Escape. */
export function confirmed(heading, text, act) {
  const title = having(element("h3", "", heading), { id: newId("asked") });
  const about = having(element("p", "", text), { id: newId("asked") });
  const cancel = having(button("Cancel", "quiet", () => dialog.close()), { autofocus: true });
  const go = button(act, "danger", () => dialog.close("go"));
  const dialog = having(element("dialog", "dialog", title, about, element("div", "submit", cancel, go)), {
    role: "alertdialog", "aria-labelledby": title.id, "aria-describedby": about.id,
  });
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "go");
    });
  });
}
