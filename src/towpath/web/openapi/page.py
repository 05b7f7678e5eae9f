"""The description as a page: plain HTML and CSS, made here, so that a browser asks nobody else.

Rules: no script; every text is escaped; what it shows is the document and nothing more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from towpath.protocol.message import Reply

_CODE = re.compile("`([^`]*)`")

_STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.75rem; margin: 0; } h2 { margin: 2.5rem 0 .5rem; font-size: 1.25rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
summary code, p code { overflow-wrap: anywhere; }
details { border: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  border-radius: .5rem; margin: .5rem 0; }
details > div { padding: 0 1rem 1rem; overflow-x: auto; }
summary { padding: .6rem 1rem; cursor: pointer; }
summary b { display: inline-block; min-width: 5.5em; }
summary span { opacity: .8; margin-left: .75em; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0;
  border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
th { font-weight: 600; } h3 { font-size: 1rem; margin: 1rem 0 .25rem; } pre { margin: .25rem 0; }
"""


def render(document: Mapping[str, Any], source: str) -> Reply:
    """The page. `source`: the address of the document itself."""
    html = "\n".join(_page(document, source))
    return Reply(
        status=200,
        fields=(
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
        ),
        body=html.encode(),
    )


def _page(document: Mapping[str, Any], source: str) -> Iterator[str]:
    info = document["info"]
    title = f"{info['title']} {info['version']}: HTTP"
    yield '<!doctype html><html lang="en"><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style><main>"
    yield f"<h1>{escape(title)}</h1><p>{_text(info['description'])}</p>"
    yield f'<p>For programs: <a href="{escape(source)}"><code>{escape(source)}</code></a></p>'
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['description'])}</h2>"
        for path, item in document["paths"].items():
            for method, made in item.items():
                if tag["name"] in made["tags"]:
                    yield from _operation(method, path, made)
    yield "<h2>Values</h2>"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary><div>'
        yield f"<p>{_text(schema.get('description', ''))}</p>{_schema(schema)}</div></details>"
    yield "</main></html>"


def _operation(method: str, path: str, made: Mapping[str, Any]) -> Iterator[str]:
    yield f'<details id="{escape(made["operationId"])}"><summary><b>{method.upper()}</b>'
    yield f"<code>{escape(path)}</code><span>{escape(made['summary'])}</span></summary><div>"
    if made.get("description"):
        yield f"<p>{_text(made['description'])}</p>"
    if made.get("parameters"):
        yield "<h3>Takes</h3><table>"
        for each in made["parameters"]:
            needed = " (needed)" if each["required"] else ""
            yield f"<tr><th><code>{escape(each['name'])}</code>"
            yield f"<td>{escape(each['in'])}{needed}<td>{_schema(each['schema'])}"
            yield f"<td>{_text(each.get('description', ''))}"
        yield "</table>"
    if made.get("requestBody"):
        yield "<h3>Body</h3>"
        yield from _content(made["requestBody"]["content"])
    yield "<h3>Answers</h3><table>"
    for status, answer in made["responses"].items():
        fields = ", ".join(answer.get("headers", ()))
        yield f"<tr><th>{escape(status)}<td>{_text(answer['description'])}"
        yield f"<td><code>{escape(fields)}</code><td>"
        yield from _content(answer.get("content", {}))
    yield "</table></div></details>"


def _text(text: str) -> str:
    """Text of the document, in which a name of a field stands between backquotes."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _content(content: Mapping[str, Any]) -> Iterator[str]:
    for media_type, told in content.items():
        yield f"<div><code>{escape(media_type)}</code> {_schema(told.get('schema', {}))}</div>"


def _schema(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#{escape(name)}"><code>{escape(name)}</code></a>'
    if schema.get("type") in ("object", "array"):
        return f"<pre>{escape(json.dumps(schema, indent=1, ensure_ascii=False))}</pre>"
    return f"<code>{escape(json.dumps(schema, ensure_ascii=False))}</code>" if schema else ""
