// A streamed chat answer: its events, and the clocks that are read as they come.

import { Refused } from "./gateway.js";

const CONTENT = ["content", "reasoning_content", "reasoning", "refusal"];

/** The JSON of each event. Throws Refused where the stream says that it failed, or ends without saying that it is whole. */
export async function* events(answer) {
  const requestId = answer.headers.get("x-request-id") ?? "";
  for await (const data of payloads(answer.body)) {
    if (data === "[DONE]") return;
    const event = JSON.parse(data);
    if (event.error) throw new Refused(200, event.error.message ?? "", { code: event.error.code ?? "", requestId });
    yield event;
  }
  throw new Refused(200, "The answer broke off before it was whole.", { code: "truncated", requestId });
}

/** What follows `data:` in each event; comments and other fields are left out. */
async function* payloads(body) {
  let rest = "";
  for await (const piece of pieces(body)) {
    const blocks = (rest + piece).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      if (lines.length) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}

async function* pieces(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(200, "The connection to the gateway was lost.", { code: "connection_lost" });
  } finally {
    reader.releaseLock();
  }
}

/** What an event adds to the answer: its text, and whether it holds content at all (a tool call has no text). */
export function added(event) {
  const delta = event.choices?.[0]?.delta ?? {};
  const text = CONTENT.map((name) => delta[name]).filter((said) => typeof said === "string").join("");
  return { text, content: text !== "" || Boolean(delta.tool_calls?.length) };
}

/** TTFT and TPOT by the gateway's definitions, in milliseconds, clocked where the answer is read. */
export class Felt {
  #began = performance.now();
  #first = null;
  #last = null;
  #events = 0;
  #tokens = null;

  hear(event) {
    const now = performance.now();
    if (added(event).content) {
      this.#first ??= now;
      this.#last = now;
      this.#events += 1;
    }
    if (event.usage) this.#tokens = event.usage.completion_tokens;
  }

  /** The engine has said how many tokens there were. */
  get counted() {
    return this.#tokens !== null;
  }

  get tokens() {
    return this.#tokens ?? this.#events;
  }

  get waited() {
    return performance.now() - this.#began;
  }

  get ttft() {
    return this.#first === null ? null : this.#first - this.#began;
  }

  get tpot() {
    return this.#first === null || this.tokens < 2 ? null : (this.#last - this.#first) / (this.tokens - 1);
  }
}
