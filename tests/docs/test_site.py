"""The documentation builds without a warning into pages that fetch nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*?\bsrc=["']?([^"'\s>]+)|<link\b([^>]*)>""")
PASSIVE = ("canonical", "prev", "next", "edit")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr
    return folder


def loads(page: str) -> set[str]:
    """What a page makes the browser fetch."""
    found = set()
    for source, link in LOADED.findall(page):
        relation = re.search(r"""rel=["']?([\w-]+)""", link)
        target = source or re.search(r"""href=["']?([^"'\s>]+)""", link)[1]
        if not (relation and relation[1] in PASSIVE):
            found.add(target)
    return found


@pytest.mark.slow
def test_every_page_is_built(site: Path) -> None:
    pages = {file.relative_to(ROOT / "docs").with_suffix(".html") for file in (ROOT / "docs").rglob("*.md")}
    assert pages <= {file.relative_to(site) for file in site.rglob("*.html")}


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site: Path) -> None:
    for file in site.rglob("*.html"):
        outside = {one for one in loads(file.read_text(encoding="utf-8")) if re.match(r"(\w+:)?//", one)}
        assert not outside, file
    for file in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", file.read_text(encoding="utf-8")), file


def test_the_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_a_planted_fetch_is_seen() -> None:
    page = (
        '<script src="https://cdn.example/x.js"></script><link rel=stylesheet href=//fonts.example/x.css>'
        '<link rel="canonical" href="https://here.example/"><img alt="x" src="local.png">'
    )
    assert loads(page) == {"https://cdn.example/x.js", "//fonts.example/x.css", "local.png"}
