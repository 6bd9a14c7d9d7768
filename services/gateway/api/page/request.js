// The block that shows a form's request as curl or Python, kept up to date as the form changes.

import { announce, make } from "./dom.js";
import { curl, python } from "./snippets.js";

const LANGUAGES = { curl, Python: python };

/** `read` gives `{path, body}` for the form as it is now. */
export function showRequest(place, name, form, read) {
  const code = make("code");
  const choices = Object.keys(LANGUAGES).map((language, at) => choice(name, language, at === 0, update));
  const copy = make("button", { type: "button", className: "quiet small", textContent: "Copy" });
  const head = make("div", { className: "request-head" }, make("h2", {}, "The request"), copy);
  const group = make("fieldset", {}, make("legend", { className: "unseen" }, "Language"), ...choices);
  place.append(head, group, make("pre", { tabIndex: 0 }, code));
  copy.addEventListener("click", () => copied(copy, code.textContent));
  form.addEventListener("input", update);

  function update() {
    const language = group.querySelector("input:checked").value;
    code.textContent = LANGUAGES[language](read());
  }
  update();
  return update;
}

function choice(name, language, checked, update) {
  const input = make("input", { type: "radio", name: `${name}-language`, value: language, checked });
  input.addEventListener("change", update);
  return make("label", {}, input, make("span", {}, language));
}

async function copied(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select it to copy"; // a page that was not loaded over HTTPS or from this machine may not
  }
  announce(button.textContent);
  setTimeout(() => (button.textContent = "Copy"), 2000);
}
