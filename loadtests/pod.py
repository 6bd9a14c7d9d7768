"""A model as a pod runs it: it loads, answers, and leaves when it is told to.

    python -m loadtests.pod --host 127.0.0.2 --port 9700 --load 2 --tokens 20 --pace 0.05

Until it has loaded, `/health` answers 503. On SIGTERM it takes no further connection, finishes what runs and ends, as
vLLM with `--shutdown-timeout` does.
"""

import argparse
import asyncio
import signal

from tests.support.engine import Engine, Received, Wire, delta, usage


def answering(tokens: int, pace: float) -> Engine:
    """An engine that is not loaded yet."""

    async def script(received: Received, wire: Wire) -> None:
        if not received.json.get("stream"):
            await asyncio.sleep(tokens * pace)
            message = {"role": "assistant", "content": "word " * tokens}
            counted = {"prompt_tokens": 5, "completion_tokens": tokens}
            await wire.whole(200, {"id": "c", "choices": [{"index": 0, "message": message}], "usage": counted})
            return
        await wire.head()
        await wire.events(delta(role="assistant", content=""))
        await wire.events(*(delta(content=f"{number} ") for number in range(tokens)), pause=pace)
        await wire.events({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await wire.events(usage(5, tokens), "[DONE]")
        await wire.last()

    return Engine(script, healthy=False)


async def serve(host: str, port: int, load: float, tokens: int, pace: float) -> None:
    engine = answering(tokens, pace)
    engine.host, engine.port = host, port
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await engine.start()
    await asyncio.sleep(load)
    engine.healthy = True
    await stop.wait()
    assert engine.server is not None
    engine.server.close()
    while engine.running:
        await asyncio.sleep(0.01)
    engine.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="A model as a pod runs it.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--load", type=float, default=1.0, help="seconds until it is ready")
    parser.add_argument("--tokens", type=int, default=20, help="of each answer")
    parser.add_argument("--pace", type=float, default=0.05, help="seconds between two of them")
    asked = parser.parse_args()
    asyncio.run(serve(asked.host, asked.port, asked.load, asked.tokens, asked.pace))


if __name__ == "__main__":
    main()
