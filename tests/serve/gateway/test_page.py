"""The files of the page: whole, self-contained, cached by their content."""

from __future__ import annotations

import re
from typing import Any

from gnomon.serve.gateway.page import load

FILES = load()


def test_the_page_names_files_that_exist_and_nothing_from_elsewhere() -> None:
    page = FILES["index.html"].body.decode()
    named = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {one for one in named if one.startswith("/static/")} == {
        f"/static/{name}" for name in FILES if name in ("gnomon.svg", "page.css", "theme.js", "page.js")
    }
    for name, file in FILES.items():
        text = file.body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, name
        assert "https:" not in text, name


def test_scripts_import_files_that_exist() -> None:
    for file in FILES.values():
        for name in re.findall(r'from "\./([^"]+)"', file.body.decode()):
            assert name in FILES


def test_the_page_is_served_with_a_policy_that_allows_no_other_host(client: Any) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_each_file_is_served_and_spared_when_it_is_known(client: Any) -> None:
    for name, file in FILES.items():
        answer = client.get(f"/static/{name}")
        assert answer.content == file.body
        assert client.get(f"/static/{name}", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
