"""A steady engine for benchmarks: streams tokens at a fixed pace and costs next to nothing itself.

    python -m loadtests.mock_engine --port 9600 --tokens 64 --pace 0.01

It answers like vLLM: a role chunk, `tokens` content chunks, usage where it was asked for, `[DONE]`.
"""

import argparse
import asyncio

import uvloop

CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":%b}]}\n\n'
ROLE = CHUNK % b'{"role":"assistant","content":""}'
TOKEN = CHUNK % b'{"content":" tok"}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HEALTHY = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(port: int, tokens: int, pace: float) -> None:
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d}}\n\n' % tokens
    whole = b'{"id":"c","choices":[{"message":{"content":"ok"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}'
    unstreamed = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(whole),
        whole,
    )

    async def answer(writer: asyncio.StreamWriter, body: bytes) -> None:
        if b'"stream":true' not in body.replace(b" ", b""):
            writer.write(unstreamed)
            return
        writer.write(HEAD + chunk(ROLE))
        for _ in range(tokens):
            await asyncio.sleep(pace)
            if writer.is_closing():
                return
            writer.write(chunk(TOKEN))
        tail = usage if b"include_usage" in body else b""
        writer.write(chunk(tail + b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET"):
                    writer.write(HEALTHY)
                    continue
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                await answer(writer, await reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description="A steady mock engine for benchmarks.")
    parser.add_argument("--port", type=int, default=9600)
    parser.add_argument("--tokens", type=int, default=64, help="content chunks of one stream")
    parser.add_argument("--pace", type=float, default=0.01, help="seconds between two chunks")
    arguments = parser.parse_args()
    uvloop.run(serve(arguments.port, arguments.tokens, arguments.pace))


if __name__ == "__main__":
    main()
