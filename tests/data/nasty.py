"""Texts that break tokenizers, as hypothesis strategies."""

from __future__ import annotations

from hypothesis import strategies as st

PIECES = (
    "don't", "l’été", "rock 'n' roll", "col·lecció", "naïve", "E\u0301te\u0301", "ÉTÉ", "İstanbul", "ﬁne", "Ⅳ",
    "<br />", "<br/>", "<b", ">", "<<b>", "<a href='x y'>", "&amp;", "&lt;b&gt;", "&amp;lt;", "&#39;", "&nbsp;", "&",
    "\0", "\ud83d", "\udc00", "\ufeff", "\u00ad", "\u200b", "\u200d", "\u2060", "\x1c", "\x85", "\u2028", "\u3000",
    "\u2003", "\u00a8", "\u0301", "\u0345", "👨\u200d👩\u200d👧", "👍🏽", "🇩🇪", "🇩", "1\ufe0f\u20e3",
    "日本語のテキスト", "ガ", "か\u3099", "हिन्दी", "తెలుగు", "ئۇيغۇر", "نمی\u200cخواهم",
    "ไทยแลนด์", "한국어", "각", "צה\"ל",
    "3.14", "x_1", "C++", "...", "!?", " ", "  ", "\t", "\n", "\r\n", "a", "B", "Good", "bad,", "(",
)  # fmt: skip

texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    st.text(alphabet="ab '’<>&;/.-!\n\t\u0301\u200d", max_size=40),
)
