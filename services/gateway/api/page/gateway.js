// The gateway, as this page asks it. The key is in this tab's session storage and in no other place.

const SLOT = "naru-key";

/** An answer that is no answer: `status` is 0 where nothing answered. */
export class Refused extends Error {
  constructor(status, message, { code = "", retryAfter = 0, requestId = "" } = {}) {
    super(message);
    Object.assign(this, { status, code, retryAfter, requestId });
  }
}

export class Gateway {
  get key() {
    return sessionStorage.getItem(SLOT) ?? "";
  }

  use(key) {
    sessionStorage.setItem(SLOT, key);
  }

  forget() {
    sessionStorage.removeItem(SLOT);
  }

  /** The models this key may use, as `GET /v1/models` lists them. */
  async models() {
    return (await (await this.#ask("v1/models", {})).json()).data;
  }

  /** The answer to a body: its head is here, its own body is still to come. Throws Refused. */
  post(path, body, signal) {
    return this.#ask(path, { method: "POST", body: JSON.stringify(body), signal });
  }

  async #ask(path, options) {
    if (!/^[\x21-\x7e]+$/.test(this.key)) throw new Refused(401, "A key is one word of ASCII letters, digits and signs.");
    const headers = { authorization: `Bearer ${this.key}`, "content-type": "application/json" };
    let answer;
    try {
      answer = await fetch(new URL(path, document.baseURI), { ...options, headers, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused(0, "");
    }
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }
}

async function refusal(answer) {
  const said = (await answer.json().catch(() => null))?.error ?? {};
  return new Refused(answer.status, said.message ?? "", {
    code: said.code ?? "",
    retryAfter: Number(answer.headers.get("retry-after")) || 0,
    requestId: answer.headers.get("x-request-id") ?? "",
  });
}
