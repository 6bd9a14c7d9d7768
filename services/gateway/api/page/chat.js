// A conversation, streamed, with TTFT and TPOT shown as it comes.

import { announce, byId, duration, figure, make, servedBy } from "./dom.js";
import { showRequest } from "./request.js";
import { added, events, Felt } from "./stream.js";

const PATH = "v1/chat/completions";

export class Chat {
  #gateway;
  #failed;
  #messages = [];
  #asked = null;
  #running = null;

  /** `failed` is told each error, with what tries again. */
  constructor(gateway, failed) {
    this.#gateway = gateway;
    this.#failed = failed;
    const form = byId("chat-form");
    this.refresh = showRequest(byId("chat-request"), "chat", form, () => this.#shown());
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    form.addEventListener("keydown", (event) => this.#typed(event, form));
    byId("stop").addEventListener("click", () => this.#running?.abort());
    byId("new").addEventListener("click", () => this.#restart());
  }

  #typed(event, form) {
    if (event.key === "Escape") this.#running?.abort();
    const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing; // Korean is composed with Enter
    if (!sends || event.target !== byId("prompt")) return;
    event.preventDefault();
    form.requestSubmit();
  }

  /** What was sent last, until the next message is begun. */
  #shown() {
    const prompt = byId("prompt").value.trim();
    return { path: PATH, body: prompt || !this.#asked ? this.#body(prompt) : this.#asked };
  }

  #body(prompt) {
    return {
      model: byId("chat-model").value,
      messages: [...this.#messages, { role: "user", content: prompt }],
      max_tokens: byId("max-tokens").valueAsNumber || 128,
      temperature: byId("temperature").valueAsNumber || 0,
      stream: true,
      stream_options: { include_usage: true },
    };
  }

  async #send() {
    const prompt = byId("prompt").value.trim();
    if (this.#running || !prompt) return;
    const body = (this.#asked = this.#body(prompt));
    const turns = [turn("user", prompt), turn("assistant", "")];
    this.#begin(turns);
    const said = turns[1].lastElementChild;
    try {
      await this.#stream(body, said);
      this.#end(turns[1], "");
    } catch (error) {
      const stopped = error.name === "AbortError";
      this.#end(turns[1], stopped ? "Stopped" : "Broke off");
      const nothing = !said.textContent;
      if (nothing) this.#takeBack(turns, prompt);
      if (!stopped) this.#failed(error, nothing ? () => this.#send() : null);
      if (nothing) return;
    }
    this.#messages = [...body.messages, { role: "assistant", content: said.textContent }];
    this.refresh();
  }

  async #stream(body, said) {
    const felt = new Felt();
    const shown = showing(felt);
    try {
      const answer = await this.#gateway.post(PATH, body, this.#running.signal);
      byId("served").textContent = servedBy(answer);
      for await (const event of events(answer)) {
        felt.hear(event);
        const { text } = added(event);
        if (text) append(said, text);
      }
    } finally {
      shown.stop();
    }
    announce(`The answer is complete. First token after ${duration(felt.ttft ?? felt.waited)}; tokens: ${felt.tokens}.`);
  }

  #begin(turns) {
    this.#running = new AbortController();
    byId("turns").append(...turns);
    byId("turns").scrollTop = byId("turns").scrollHeight;
    byId("turns").setAttribute("aria-busy", "true");
    byId("prompt").value = "";
    byId("served").textContent = "";
    this.#buttons();
  }

  #end(answering, note) {
    this.#running = null;
    byId("turns").setAttribute("aria-busy", "false");
    answering.classList.remove("coming");
    if (note) {
      answering.append(make("p", { className: "note" }, note));
      announce(note);
    }
    this.#buttons();
  }

  /** Nothing came: the message is back where it was written. */
  #takeBack(turns, prompt) {
    for (const each of turns) each.remove();
    if (!byId("prompt").value) byId("prompt").value = prompt;
    this.#buttons();
    this.refresh();
  }

  #buttons() {
    const running = this.#running !== null;
    byId("send").disabled = running;
    byId("stop").hidden = !running;
    byId("new").hidden = running || !byId("turns").childElementCount;
  }

  #restart() {
    this.#messages = [];
    this.#asked = null;
    byId("turns").replaceChildren();
    this.#buttons();
    this.refresh();
    byId("prompt").focus();
  }
}

function turn(role, text) {
  const coming = role === "assistant" ? " coming" : "";
  const name = role === "user" ? "You" : "Model";
  return make("li", { className: role + coming }, make("p", { className: "who" }, name), make("p", { className: "said" }, text));
}

/** Keeps the end in sight, unless the reader has scrolled up. */
function append(said, text) {
  const list = byId("turns");
  const following = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  said.append(text);
  if (following) list.scrollTop = list.scrollHeight;
}

/** Shows the clocks a few times a second for as long as they run. */
function showing(felt) {
  const draw = () => show(felt);
  const ticking = setInterval(draw, 80);
  draw();
  return {
    stop() {
      clearInterval(ticking);
      draw();
      if (felt.ttft === null) byId("ttft").textContent = "–";
    },
  };
}

function show(felt) {
  const about = felt.counted ? "" : "≈ ";
  const { ttft, tpot, tokens } = felt;
  const waiting = () => make("span", { className: "waiting" }, duration(felt.waited));
  byId("ttft").replaceChildren(ttft === null ? waiting() : figure(ttft, duration(ttft)));
  byId("tpot").replaceChildren(tpot === null ? "–" : figure(tpot, about + duration(tpot)));
  byId("tokens").replaceChildren(tokens ? figure(tokens, about + tokens) : "–");
  byId("speed").replaceChildren(tpot ? figure(1000 / tpot, about + (1000 / tpot).toFixed(1)) : "–");
}
