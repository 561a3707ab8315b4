"""The documentation becomes a site without a warning, loads nothing from elsewhere, and its examples are true."""

from __future__ import annotations

import doctest
import html.parser
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {
    "index": (),
    "coming_from": (),
    "tutorials/embed": (),
    "tutorials/train": (),
    "tutorials/benchmark": ("gmpy2",),
    "integrations/arrow": ("pandas", "pyarrow"),
}


def missing(*packages: str) -> list[str]:
    return [name for name in packages if importlib.util.find_spec(name) is None]


@pytest.mark.parametrize("page", [page for page in PAGES if page != "coming_from"])
def test_the_examples_of_a_page_run(page, monkeypatch):
    if missing(*PAGES[page]):
        pytest.skip(f"not installed: {', '.join(missing(*PAGES[page]))}")
    monkeypatch.chdir(ROOT)
    failed, attempted = doctest.testfile(
        str(DOCS / f"{page}.md"), module_relative=False, optionflags=doctest.ELLIPSIS, encoding="utf-8"
    )
    assert attempted > 0 and failed == 0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if missing("sphinx", "myst_parser", "furo"):
        pytest.skip("the extra `docs` is not installed")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", "-d", str(out / "doctrees")]
    path = os.pathsep.join(filter(None, [str(ROOT / "python"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [*command, str(DOCS), str(out / "html")], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


class Loads(html.parser.HTMLParser):
    """What a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source"):
            self.found.append(given.get("src") or "")
        if tag == "link" and given.get("rel") in ("stylesheet", "preload", "preconnect", "icon"):
            self.found.append(given.get("href") or "")


def test_every_page_is_reached_and_the_reference_has_the_public_names(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    for page in sorted(DOCS.rglob("*.md")):
        name = page.relative_to(DOCS).with_suffix(".html").as_posix()
        assert (site / name).exists() and (name == "index.html" or f'href="{name}"' in index), name
    reference = (site / "api" / "encryption.html").read_text(encoding="utf-8")
    for name in ("keygen", "CipherArray.segment_sum", "PublicKey.encrypt", "Packed", "PlaintextOverflowError"):
        assert re.search(rf'id="cipherlane\.(errors\.)?{re.escape(name)}"', reference), name
    adapters = (site / "api" / "integrations.html").read_text(encoding="utf-8")
    assert 'id="cipherlane.integrations.arrow.to_arrow"' in adapters
    assert 'id="cipherlane.integrations.pandas.encrypted_groupby_sum"' in adapters


def test_pages_load_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        parser = Loads()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.found and not [url for url in parser.found if re.match(r"(https?:)?//", url)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


@pytest.mark.parametrize("page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in DOCS.rglob("*.md"))])
def test_links_between_files_work_on_github(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s#]+)[^)]*\)", re.sub(r"```.*?```", "", text, flags=re.S)):
        if not re.match(r"[a-z]+:", link):
            assert ((ROOT / page).parent / link).exists(), f"{page}: {link}"
