"""A hook of mkdocs: links from the documents to files beside them lead to the repository."""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """``](../datasets/README.md)`` becomes a link to that file in the repository."""
    return re.sub(r"\]\(\.\./", f"]({config['repo_url']}/blob/main/", markdown)
