"""The small page at /, until there is a larger one."""

from __future__ import annotations

from html import escape

from towpath.protocol.message import Reply

_HTML = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Towpath</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 0 auto; padding: 3rem 1.25rem; }
h1 { font-size: 1.75rem; margin: 0 0 .5rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .95em; }
pre { padding: .75rem 1rem; border: 1px solid; border-radius: .5rem; overflow-x: auto; }
</style>
<main>
<h1>Towpath</h1>
<p>This server takes files of any size, goes on where a cut-off upload ended, and proves that
they arrived whole.</p>
<pre>towpath put big-file.tar
towpath ls
towpath get big-file.tar</pre>
<p>Other clients upload by <strong>tus 1.0</strong> or as <strong>resumable uploads for
HTTP</strong> to <code>@root@/files/</code>, or put a file at its name:</p>
<pre>curl -T big.tar http://&hellip;@root@/names/</pre>
<p><a href="@root@/api/docs">All interfaces</a> &middot; <a href="@root@/names/">Files</a> &middot;
<a href="@root@/readyz?verbose">Is the server well?</a></p>
</main>
</html>
"""

_FIELDS = (
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)


def page(root: str) -> Reply:
    """The page. `root`: what stands before every address, outside."""
    return Reply(status=200, fields=_FIELDS, body=_HTML.replace("@root@", escape(root)).encode())
