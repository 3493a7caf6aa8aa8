"""A page of text on which tokenizers go wrong: joined emoji, combining marks, right-to-left, CJK, numbers, code, odd spaces."""

HARD = {
    "empty": "",
    "english": "The quick brown fox jumps over the lazy dog. It's 9 o'clock; they'll be here, won't they? I'D SAY 'SO'.",
    "emoji with joiners": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇦🇺🇩🇪 ❤️‍🔥 1️⃣ 😀😃",
    "combining marks": "e\u0301 a\u0308\u0323 o\u0302\u0301 Z\u0351\u036b\u0343 x\u0308\u0308 \u1100\u1161\u11a8 ½ ﬁ Å \u212b",
    "decomposed": "Cafe\u0301 nai\u0308ve \u0344 q\u0323\u0307 \u0958 \u09c7\u09be",
    "right to left": "שלום עולם \u200fمرحبا بالعالم\u200e (abc) ١٢٣ \u202bab\u202c",
    "cjk": "我今天学习了语言模型。東京都に行きました。안녕하세요 세계! ｶﾀｶﾅ 𠮷野家",
    "indic": "नमस्ते दुनिया, क्षत्रिय  தமிழ் ภาษาไทย",
    "numbers": "0 12 345 6789 3.14159 1,234,567 1e-9 ٣٤٥ ² Ⅷ 100000000000000000000",
    "code": 'def f(x: int) -> str:\n    if x<=0:\n\t\treturn f"{x!r}"\n    return [i**2 for i in range(10)]  # ok\n\n\n',
    "markup": "<p class='a'>Hi &amp; <b>bye</b></p><!-- x --><script>alert(1)</script>",
    "tabs": "a\tb\t\tc\n\t\td \t e",
    "line ends": "a\r\nb\rc\n\nd\n \n  e\u2028f\u2029g\x0bh\x0ci\x85j",
    "trailing spaces": "word   \nnext   ",
    "leading spaces": "   three, then one",
    "long runs of spaces": "a" + " " * 83 + "b" + "\n" * 41 + " " * 17,
    "odd spaces": "a\u00a0b\u2003c\u200bd\u3000e\ufefff",
    "nul and controls": "a\0b\x01\x02\x1b[31mred\x1b[0m\x7f \0\0",
    "private and unassigned": "\ue000 \uf8ff \U000f0000 \u0378 \ufffd \ufffe \U0010ffff",
    "one character": "é",
    "one space": " ",
    "contractions": "I'm you're he'S WE'LL d'accord 'tis rock'n'roll",
    "camel and snake": "camelCaseHTTPServer snake_case_name SCREAMING_CASE __dunder__ kebab-case",
    "address": "https://example.org/a/b?c=d&e=%20f#g me@example.org C:\\temp\\new",
    "signs": "!!!??? ---- ==== <<<>>> ... … — – “quotes” ‘single’ «g» ¿¡ §¶†‡ ™©® ∀∃∈∉ ∑∫√∞ ←↑→↓",
    "long word": "pneumonoultramicroscopicsilicovolcanoconiosis" * 4,
    "repeated letter": "a" * 500,
    "greek and cyrillic": "Ἐν ἀρχῇ ἦν ὁ λόγος. Съешь же ещё этих мягких французских булок ΣΊΣΥΦΟΣ İstanbul ıI",
}
SURROGATES = {
    "a lone high one": "a\ud83db",
    "a lone low one": "\udc00x",
    "a pair in two halves": "\ud83d\ude00!",
    "reversed": "\ude00\ud83d",
}


def megabyte() -> str:
    """1,000,000 characters of the above, joined by lines that differ, so that no part repeats as a whole."""
    page = "\n".join(text for name, text in HARD.items() if name not in ("repeated letter", "long word"))
    made, size, i = [], 0, 0
    while size < 1_000_000:
        part = f"{page}\nParagraph {i}: {page[i % len(page) :][:200]}\n"
        made.append(part)
        size, i = size + len(part), i + 1
    return "".join(made)[:1_000_000]
