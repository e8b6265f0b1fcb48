/* Elements of the page. */
"use strict";

/** An HTML element with attributes and children; text is never read as HTML. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** Whether a button does nothing now. It can have the focus still, so that none is lost. */
function isOff(button) {
  return button.getAttribute("aria-disabled") === "true";
}
function setOff(button, isIt) {
  button.setAttribute("aria-disabled", isIt ? "true" : "false");
}
