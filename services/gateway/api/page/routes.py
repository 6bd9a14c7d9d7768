"""The page at `/`: static files, read once at start and given from memory. They need no key: the page asks for one."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

START = "index.html"
KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""What is served, by the end of its name."""
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
        "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)  # fmt: skip
"""No inline script or style, nothing from or to anywhere else, and no text that becomes markup."""
HEADERS = {
    "cache-control": "no-cache",  # ask each time: a 304 costs next to nothing, an old page beside a new one is a riddle
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Asset:
    body: bytes
    kind: str
    tag: str

    def answer(self, request: Request) -> Response:
        headers = {**HEADERS, "etag": self.tag}
        if self.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.kind)


def page_routes() -> list[Route]:
    files = {name: asset(name, body) for name, body in read()}

    async def start(request: Request) -> Response:
        return files[START].answer(request)

    async def file(request: Request) -> Response:
        found = files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return found.answer(request)

    return [Route("/", start), Route("/page/{name}", file)]


def read() -> Iterator[tuple[str, bytes]]:
    for file in resources.files(__package__).iterdir():
        if file.name.rpartition(".")[2] in KINDS:
            yield file.name, file.read_bytes()


def asset(name: str, body: bytes) -> Asset:
    return Asset(body, KINDS[name.rpartition(".")[2]], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
