"""What `helm test` runs: one streamed answer through the gateway, from the model's first start if need be."""

import json
import os
import sys
import time
import urllib.error
import urllib.request


def question(url: str, model: str, key: str) -> urllib.request.Request:
    body = {
        "model": model, "stream": True, "max_tokens": 16,
        "messages": [{"role": "user", "content": "What is a ferry?"}],
    }  # fmt: skip
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    return urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), headers)  # noqa: S310


def pieces(request: urllib.request.Request, timeout: float) -> int:
    """Content events of one whole answer. Raises OSError where none comes, ValueError where it breaks off."""
    count = 0
    with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
        for line in answer:
            if line.startswith(b"data: [DONE]"):
                return count
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:]).get("choices") or [{}]
                count += bool(choices[0].get("delta", {}).get("content"))
    raise ValueError("the stream ended without [DONE]")


def main() -> int:
    request = question(os.environ["NARU_URL"], os.environ["NARU_MODEL"], os.environ["NARU_API_KEY"])
    end = time.monotonic() + float(os.environ["NARU_TIMEOUT"])
    reason = "no time to ask"
    while time.monotonic() < end:
        try:
            found = pieces(request, end - time.monotonic())
        except urllib.error.HTTPError as error:
            reason = f"{error.code}: {error.read(500).decode(errors='replace')}"
            if error.code not in (429, 502, 503, 504):
                break
        except (OSError, ValueError) as error:
            reason = str(error)
        else:
            print(f"{os.environ['NARU_MODEL']} answered in {found} pieces")
            return 0 if found else 1
        print(f"not yet: {reason}", flush=True)
        time.sleep(2)
    print(f"{os.environ['NARU_MODEL']} did not answer: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
