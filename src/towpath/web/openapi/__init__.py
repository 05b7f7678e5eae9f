"""The description of all HTTP interfaces, as OpenAPI 3.1 has it, and a page that shows it.

Rules: the JSON interface describes itself; what handles bytes is described by hand, in files of
plain values, one a dialect, named in `document.BY_HAND`; a test compares both with what is served.
"""
