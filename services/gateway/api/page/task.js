// What the forms of both task models share: send, clock, show, say what went wrong.

import { announce, byId, duration, figure, servedBy } from "./dom.js";
import { showRequest } from "./request.js";

export class Task {
  #gateway;
  #name;
  #read;
  #show;
  #failed;

  /** `read` gives the form's `{path, body}`, `show` takes the answer, `failed` each error with what tries again. */
  constructor(gateway, name, { read, show, failed }) {
    this.refresh = showRequest(byId(`${name}-request`), name, byId(`${name}-form`), read);
    this.#gateway = gateway;
    this.#name = name;
    this.#read = read;
    this.#show = show;
    this.#failed = failed;
    byId(`${name}-form`).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  async #send() {
    const button = byId(`${this.#name}-form`).querySelector("[type=submit]");
    if (button.disabled) return;
    const { path, body } = this.#read();
    button.disabled = true;
    try {
      const began = performance.now();
      const answer = await this.#gateway.post(path, body);
      const found = await answer.json();
      this.#clocked(performance.now() - began, answer);
      announce(this.#show(found, body));
    } catch (error) {
      this.#failed(error, () => this.#send());
    } finally {
      button.disabled = false;
    }
  }

  #clocked(took, answer) {
    byId(`${this.#name}-time`).replaceChildren(figure(took, duration(took)));
    byId(`${this.#name}-served`).textContent = servedBy(answer);
  }
}
