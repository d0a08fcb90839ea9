"""README, tutorials and the changelog are executed; what they show as output is what comes out.

A comment on the line before a fenced block says what it is:

    <!-- run -->              executed, must end with 0; shell with `gnomon` on the path, Python as a script
    <!-- run, exit 1 -->      executed, must end with 1
    <!-- output -->           what the block before it printed, `…` standing for any text (alone on a line: any lines)
    <!-- not run: reason -->  shown only

Every shell or Python block has one. The blocks of a page run in order, in one folder that holds nothing but `examples`,
with a home of their own.

The commands of README.md are the installed script, each in a process of its own, as a newcomer's. On the other pages
`gnomon` is a stand-in that does the same in a copy of a process which has loaded it (`warm_command.py`).
"""

from __future__ import annotations

import doctest
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.warm import warm_folder

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
FRESH_PAGE = "README.md"
SHELL, PYTHON = {"sh", "bash", "console"}, {"python"}
BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>.+?) -->\n\n?)?^(?P<fence>`{3,})(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Block:
    line: int
    mark: str
    language: str
    body: str

    @property
    def exit_code(self) -> int | None:
        """What it must end with; None for a block that is not run."""
        match = re.fullmatch(r"run(?:, exit (\d))?", self.mark)
        return int(match[1] or 0) if match else None


def blocks(text: str) -> list[Block]:
    return [
        Block(text.count("\n", 0, found.start("fence")) + 1, found["mark"] or "", found["language"], found["body"])
        for found in BLOCK.finditer(text)
    ]


def newest_entry(changelog: str) -> str:
    return changelog.split("\n## ")[1]


def pages() -> Iterator[tuple[str, str]]:
    for file in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        yield file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")
    yield "CHANGELOG.md", newest_entry((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))


PAGES = dict(pages())


def as_pattern(expected: str) -> re.Pattern[str]:
    lines = [
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", ".*") + r"[ \t]*\n"
        for line in expected.strip("\n").split("\n")
    ]
    return re.compile("".join(lines) + r"\s*")


@pytest.fixture
def warm() -> Path:
    """A folder for the path with a `gnomon` that needs no loading."""
    return warm_folder()


def execute(block: Block, folder: Path, commands: Path = SCRIPTS) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GNOMON_") and name != "API_PORT"}
    environment = kept | {
        "GNOMON_HOME": str(folder / "home"),
        "HOME": str(folder),
        "PATH": os.pathsep.join([str(commands), str(SCRIPTS), os.environ["PATH"]]),
    }
    command = [sys.executable, "-"] if block.language in PYTHON else ["bash", "-euo", "pipefail", "-s"]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=block.body,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=600,
    )


def run_page(text: str, folder: Path, commands: Path = SCRIPTS) -> None:
    """Run the blocks of a page in order; AssertionError names the line of the first that does not do what it says."""
    printed = ""
    for block in blocks(text):
        if block.exit_code is not None:
            result = execute(block, folder, commands)
            assert result.returncode == block.exit_code, (
                f"line {block.line}: ended {result.returncode}\n{result.stdout}"
            )
            printed = result.stdout
        elif block.mark == "output":
            found = as_pattern(block.body).fullmatch(printed + "\n")
            assert found, f"line {block.line}: the page shows\n{block.body}\nbut what comes out is\n{printed}"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_whether_it_runs(page: str) -> None:
    for block in blocks(PAGES[page]):
        if block.language in SHELL | PYTHON or block.mark:
            is_known = block.exit_code is not None or block.mark == "output" or re.match(r"not run: .", block.mark)
            assert is_known, f"{page}:{block.line}: write <!-- run --> or <!-- not run: why --> before the block"
        if block.exit_code is not None:
            assert block.language in SHELL | PYTHON, f"{page}:{block.line}: cannot run {block.language or 'plain text'}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [name for name, text in PAGES.items() if any(one.exit_code is not None for one in blocks(text))]
)
def test_the_page_runs_and_shows_its_real_output(page: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    commands = SCRIPTS if page == FRESH_PAGE else request.getfixturevalue("warm")
    run_page(PAGES[page], tmp_path, commands)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "gnomon --version",
        "gnomon verify nothing",
        "gnomon no-such-verb",
        "gnomon runs --json | cat; gnomon db upgrade --json > said; cat said >&2",
        "cd /; echo $(gnomon --help | head -1)",
        "gnomon import missing.parquet || echo ended $?",
    ],
)
def test_the_loaded_command_says_what_the_script_says(command: str, tmp_path: Path, warm: Path) -> None:
    said = []
    for commands in (SCRIPTS, warm):
        folder = tmp_path / commands.name
        folder.mkdir()
        result = execute(Block(1, "run", "sh", command), folder, commands)
        said.append((result.returncode, result.stdout.replace(str(folder), "FOLDER")))
    assert said[0] == said[1]
    assert said[0][1]


def modules_with_examples() -> list[str]:
    files = ((file, file.read_text(encoding="utf-8")) for file in sorted((ROOT / "src").rglob("*.py")))
    return [
        ".".join(file.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for file, text in files
        if ">>> " in text
    ]


@pytest.mark.parametrize("module", modules_with_examples() or [pytest.param("gnomon", id="no docstring has examples")])
def test_examples_in_docstrings_are_true(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), verbose=False)
    assert result.failed == 0


def test_a_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page, text in PAGES.items():
        code = [one.body for one in blocks(text)] + re.findall(r"`([^`\n]+)`", text)
        named = {target for part in code for target in re.findall(r"^make ([a-z-]+)", part, flags=re.MULTILINE)}
        assert named <= targets, f"{page} names targets that do not exist"


# --- the runner itself ----------------------------------------------------------------------------------------------

GOOD = """
<!-- run -->
```sh
echo one; echo two >&2
test -n "$GNOMON_HOME" && command -v gnomon > where.txt
```

<!-- output -->
```text
one
two
```

<!-- run -->
```python
from pathlib import Path
print(Path("where.txt").read_text().count("/"), "slashes")
```
<!-- output -->
```
… slashes
```
<!-- run, exit 1 -->
```sh
false
```
"""


def test_the_runner_runs_shell_and_python_in_one_folder(tmp_path: Path) -> None:
    run_page(GOOD, tmp_path)
    assert (tmp_path / "where.txt").exists()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("one\ntwo\n```", "one\nthree\n```", "what comes out is"),
        ("one\ntwo\n```", "one\n```", "what comes out is"),
        ("false", "true", "ended 0"),
        ("echo one;", "exit 3;", "ended 3"),
    ],
)
def test_the_runner_sees_a_planted_fault(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        run_page(GOOD.replace(old, new), tmp_path)


def test_three_dots_stand_for_any_text() -> None:
    pattern = as_pattern("a … c\n…\nz\n")
    assert pattern.fullmatch("a b c\nz\n")
    assert pattern.fullmatch("a b c\n1\n2\nz\n\n")
    assert not pattern.fullmatch("a b\nz\n")
