"""Texts that try to be markup, code, a template, a formula or a control sequence. None of them may ever run: `window.hit` stays unset."""

PAYLOADS = (
    '<img src=x onerror="window.hit=1">${window.hit=2}{{value}}<script>window.hit=3</script>',
    "<svg/onload=window.hit=4>",
    '"><iframe srcdoc="<script>parent.hit=5</script>"></iframe>',
    "javascript:window.hit=6//",
    "[click](javascript:window.hit=7) **bold** <b>bold</b> `code`",
    "</textarea></script><script>window.hit=8</script>",
    "{{constructor.constructor('window.hit=9')()}} {% raw %} ${`${window.hit=10}`}",
    '=HYPERLINK("http://127.0.0.1/","x")',
    "&lt;img src=x onerror=window.hit=11&gt; &#x3c;script&#x3e;",
    "<style>*{display:none}</style><base href=//127.0.0.2/>",
    "\u202egnp.exe \u0000\u001b[31m 😀 ünïcödé\nsecond line",
    "'; DROP TABLE runs; --",
)
MARKUP = "img, script, iframe, style, base"
"""What none of them may become."""
LINES = tuple(payload.replace("\n", " ").replace("\x00", "") for payload in PAYLOADS)
"""The same as a field of one line or a cell of a file takes them."""
