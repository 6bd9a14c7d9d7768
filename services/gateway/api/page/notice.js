// What went wrong and what to do, in words; a button tries again, not before the gateway said.

import { byId, make } from "./dom.js";

const TITLES = {
  0: "The gateway does not answer",
  401: "The gateway does not know this key",
  403: "This key may not use this model",
  404: "The gateway has no such model",
  408: "The time for this request ran out",
  413: "The request is too long",
  429: "Too much at once",
  502: "The model's engine broke off",
  503: "No engine answers for this model",
  504: "The model's engine is too slow",
};
const REMEDIES = {
  0: () => `Nothing answers at ${location.origin}. See that it runs (\`make up\`), then try again.`,
  401: () => "`make up` prints the development key, `naru keys create` makes more.",
  503: () => "The gateway itself runs. `naru status` shows what does not.",
};

export class Notice {
  #place = byId("notice");
  #ticking = 0;

  hide() {
    clearInterval(this.#ticking);
    this.#place.hidden = true;
    this.#place.replaceChildren();
  }

  /** `again` is called by the button; without it there is none. */
  show(error, again = null) {
    this.hide();
    const draining = error.code === "draining";
    const title = draining ? "The gateway is shutting down" : (TITLES[error.status] ?? "This did not work");
    const remedy = draining ? "" : (REMEDIES[error.status]?.() ?? "");
    const said = [error.code, error.requestId && `request ${error.requestId}`].filter(Boolean).join(" · ");
    this.#place.append(make("h2", {}, title));
    for (const text of [sentence(error.message), remedy]) if (text) this.#place.append(make("p", {}, ...worded(text)));
    if (said) this.#place.append(make("p", { className: "hint" }, said));
    if (again) this.#place.append(this.#button(error.retryAfter, again));
    this.#place.hidden = false;
    this.#place.scrollIntoView({ block: "nearest" });
  }

  #button(seconds, again) {
    const button = make("button", { type: "button", className: "small", textContent: "Try again" });
    button.addEventListener("click", () => {
      this.hide();
      again();
    });
    if (seconds > 0) this.#wait(button, Date.now() + seconds * 1000);
    return button;
  }

  #wait(button, until) {
    const tick = () => {
      const left = Math.ceil((until - Date.now()) / 1000);
      button.disabled = left > 0;
      button.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
      if (left <= 0) clearInterval(this.#ticking);
    };
    this.#ticking = setInterval(tick, 250);
    tick();
  }
}

/** What stands between backticks as code. */
function worded(text) {
  return text.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
}

function sentence(text) {
  if (!text) return "";
  const begun = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
