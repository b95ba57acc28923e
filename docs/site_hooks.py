"""Hooks of MkDocs: they add pages from outside of docs/, and make links between pages work.

All pages are written for readers of the repository, so their links are paths in it. The site
has the same paths, except that README.md is its index, and the pages of docs/ are at its root.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
ADDED_FILES = [
    "*.md",
    "LICENSE",
    "benchmarks/*.md",
    "benchmarks/*.svg",
    "examples/**/*.*",
    "tests/data/*.md",
]

# The path in `[text](path)` or `[text](path#anchor)`
LINK = re.compile(r"(?<=\]\()[^)#\s]+")


def get_site_path(path: str) -> str:
    """Return the path in the site of a file of the repository."""
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside of docs/."""
    for path in sorted(path for pattern in ADDED_FILES for path in ROOT.glob(pattern)):
        if "__pycache__" in path.parts:
            continue
        site_path = get_site_path(path.relative_to(ROOT).as_posix())
        file = File.generated(
            config, site_path, abs_src_path=str(path), inclusion=InclusionLevel.INCLUDED
        )
        files.append(file)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Replace the paths of files in the repository by their paths in the site."""
    folder = Path(str(page.file.abs_src_path)).parent

    def replace(link: re.Match[str]) -> str:
        target = (folder / link[0]).resolve()
        if not target.exists() or not target.is_relative_to(ROOT):
            return link[0]
        site_path = get_site_path(target.relative_to(ROOT).as_posix())
        return posixpath.relpath(site_path, posixpath.dirname(page.file.src_uri))

    return LINK.sub(replace, markdown)
