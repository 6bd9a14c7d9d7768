// The request that a form would send, as a shell command and as a Python program. The key stays out of both.

/** In single quotes, as a POSIX shell reads them. */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

const address = (path) => new URL(path, document.baseURI).href;

export function curl({ path, body }) {
  const flag = body.stream ? " -N" : "";
  return `curl${flag} ${address(path)} \\
  -H "Authorization: Bearer $NARU_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d ${quoted(JSON.stringify(body, null, 2))}
`;
}

export function python({ path, body }) {
  return path === "v1/chat/completions" ? chat(body) : task(path, body);
}

function chat({ stream_options: _, ...body }) {
  const fields = Object.entries(body).map(([name, value]) => `    ${name}=${literal(value)},\n`).join("");
  return `import os
import openai

client = openai.OpenAI(base_url="${address("v1")}", api_key=os.environ["NARU_API_KEY"])
stream = client.chat.completions.create(
${fields})
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
`;
}

function task(path, body) {
  return `import os
import httpx

answer = httpx.post(
    "${address(path)}",
    headers={"Authorization": f"Bearer {os.environ['NARU_API_KEY']}"},
    json=${literal(body)},
)
print(answer.raise_for_status().json())
`;
}

/** A JSON value as Python writes it. A JSON text is a Python text. */
export function literal(value) {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, held]) => `${JSON.stringify(name)}: ${literal(held)}`).join(", ")}}`;
}
