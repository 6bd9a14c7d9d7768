"""The page's files, as the gateway serves them."""

import re
from pathlib import Path

import httpx

from services.gateway.api.page import routes
from tests.support.gateway import chat_registry, running

FOLDER = Path(routes.__file__).parent
FILES = [path for path in FOLDER.iterdir() if path.suffix in {".html", ".css", ".js", ".svg"}]

REGISTRY = chat_registry("http://127.0.0.1:9")
"""The page is there whether its models are or not."""


async def test_everything_that_the_page_names_is_served_and_needs_no_key(tmp_path: Path) -> None:
    async with running(REGISTRY, tmp_path, healthy=False) as gateway, httpx.AsyncClient(base_url=gateway.url) as anyone:
        page = await anyone.get("/")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        named = {f"/{path}" for path in re.findall(r"""(?:href|src)="(page/[^"]+)""", page.text)}
        imported = {f"/page/{name}" for path in FILES for name in re.findall(r'from "\./(.*?)"', path.read_text())}
        assert named | imported == {f"/page/{path.name}" for path in FILES if path.suffix != ".html"}
        for path in named | imported:
            assert (await anyone.get(path)).status_code == 200
        assert (await anyone.get("/page/routes.py")).status_code == 404


async def test_a_file_that_is_known_is_not_sent_again(tmp_path: Path) -> None:
    async with running(REGISTRY, tmp_path, healthy=False) as gateway:
        first = await gateway.http.get("/page/page.css")
        again = await gateway.http.get("/page/page.css", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        other = await gateway.http.get("/page/page.css", headers={"if-none-match": '"another"'})
        assert other.content == first.content
        head = await gateway.http.head("/page/page.css")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(first.content))


async def test_every_file_forbids_inline_scripts_other_hosts_and_frames(tmp_path: Path) -> None:
    async with running(REGISTRY, tmp_path, healthy=False) as gateway:
        for path in ("/", "/page/app.js", "/page/page.css", "/page/icon.svg"):
            headers = (await gateway.http.get(path)).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff"


async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with running(REGISTRY, tmp_path, healthy=False, http={"page": False}) as gateway:
        assert (await gateway.http.get("/")).status_code == 404
        assert (await gateway.http.get("/page/app.js")).status_code == 404


async def test_looking_at_it_is_no_request_to_a_model(tmp_path: Path) -> None:
    async with running(REGISTRY, tmp_path, healthy=False) as gateway:
        await gateway.http.get("/")
        assert await gateway.value("naru_requests_total") == 0


def test_all_of_it_is_small_and_names_no_other_host() -> None:
    assert sum(path.stat().st_size for path in FILES) < 100_000
    for path in FILES:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), path.name
        assert not re.search(r"""\son\w+=|style=|innerHTML|eval\(""", text), path.name
