"""The page: a few files that are read once and served as they are. It needs nothing from outside."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

from gnomon.errors import NotFound

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS: Final = {
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
}


@dataclass(frozen=True, slots=True)
class File:
    """One file of the page, with the ETag of its content."""

    body: bytes
    media_type: str
    etag: str


def load() -> dict[str, File]:
    """Every file of the page by its name."""
    files = {}
    for one in resources.files("gnomon.serve.gateway").joinpath("static").iterdir():
        media_type = _TYPES.get(one.name.rpartition(".")[2])
        if media_type is not None:
            body = one.read_bytes()
            files[one.name] = File(body, media_type, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"')
    return files


def install(app: FastAPI) -> None:
    """Serve the page at `/` and its parts under `/static/`."""
    files = load()
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page(request: Request) -> Response:
        return _response(request, files["index.html"])

    @router.get("/static/{name}")
    async def part(request: Request, name: str) -> Response:
        if name not in files:
            raise NotFound(f"no file {name!r}", hint="the page is at /")
        return _response(request, files[name])

    app.include_router(router)


def _response(request: Request, file: File) -> Response:
    headers = {**_HEADERS, "etag": file.etag}
    if request.headers.get("if-none-match") == file.etag:
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.media_type, headers=headers)
