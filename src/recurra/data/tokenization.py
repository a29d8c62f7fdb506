"""How a text becomes tokens: the pipelines of the `tokenizers` library that the text encoders store.

Every pipeline is a function of the spec alone, and local: what it does to a piece of text between two
stretches of white space does not depend on the rest. So texts can be encoded piece by piece from memory, and
streamed, with the result of the whole.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from recurra.data.encoder import UNKNOWN, expect, read_json, texts
from recurra.errors import CorruptBundleError, DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FILE = "tokenizer.json"
UNK = "<unk>"
"""The token with id 0: everything that the vocabulary does not know."""

FORMS = ("NFC", "NFKC", "none")
WINDOW = 20_000
"""Characters of an unbroken piece of text that are tokenised at a time; bounds memory, never the result."""

Merges: TypeAlias = tuple[tuple[str, str], ...]
Cut: TypeAlias = tuple[Any, tuple[int, int]]
"""A token, or its id, and where it begins and ends."""

_WHITE = r"\t\n\x0b\x0c\r\x1c-\x1f \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Exactly what Python's `str.split()` takes as white space."""

_WIDE = r"\u00a0\u2000-\u200a\u202f\u205f\u3000"
"""White space that NFKC turns into a plain space."""

_LETTER = r"[\p{L}\p{M}\p{N}]"
_INSIDE = r"['\u00b7\u05f3\u05f4\u200c\u200d]+"
"""Inside a word, between letters: apostrophe, middle dot (col·lecció), geresh, zero-width (non-)joiner."""

_IDEOGRAM = r"[\p{Han}\p{Hiragana}]\p{M}*"
_WORD_LETTER = r"[[\p{L}\p{M}\p{N}]&&[^\p{Han}\p{Hiragana}]]"
_WORD_SPLIT = rf"{_IDEOGRAM}|{_WORD_LETTER}+(?:{_INSIDE}{_WORD_LETTER}+)*|(?![{_WHITE}\p{{Cc}}\p{{Cf}}])\X"
_LONGEST = "{1,100}"
_BPE_SPLIT = rf" ?{_LETTER}{_LONGEST}(?:{_INSIDE}{_LETTER}{_LONGEST}){{0,10}}| ?(?![{_WHITE}])\X|[{_WHITE}]"
"""A word here has a bounded length: the work of BPE grows faster than that."""

_ASCII_WORD = re.compile(r"[a-zA-Z0-9]+(?:'+[a-zA-Z0-9]+)*|[!-~]")
"""What `_WORD_SPLIT` is within ASCII."""

_TAG = r"<[a-zA-Z/!][^<>]*>"
_ACCENTS = r"[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f]"
"""Combining marks that are accents. Vowel signs of Indic scripts, Arabic and Hebrew stay."""

_INVISIBLE = r"[\u00ad\u2060\ufeff]"
"""Soft hyphen, word joiner and byte order mark: no part of any word."""

_ENTITIES = {
    "nbsp": " ", "#160": " ", "lt": "<", "gt": ">", "quot": '"', "#34": '"', "apos": "'", "#39": "'",
    "#039": "'", "#x27": "'", "lsquo": "‘", "#8216": "‘", "rsquo": "’", "#8217": "’", "ldquo": "“", "#8220": "“",
    "rdquo": "”", "#8221": "”", "ndash": "–", "#8211": "–", "mdash": "—", "#8212": "—", "hellip": "…",
    "#8230": "…", "eacute": "é", "egrave": "è", "agrave": "à", "ccedil": "ç", "auml": "ä", "ouml": "ö",
    "uuml": "ü", "szlig": "ß", "ntilde": "ñ", "euro": "€", "pound": "£", "amp": "&", "#38": "&",
}  # fmt: skip

_PLAIN_IDEOGRAM = r"[\u3041-\u3096\u4e00-\u9fff]"
_IDEOGRAMS = (
    rf"{_PLAIN_IDEOGRAM}(?=[\s!-~\u3001\u3002\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uff01-\uff5e]|\Z)"
)
"""Characters that are tokens of their own whatever stands before; what follows is no mark that joins them."""

_UNSOUND = re.compile("[\0\ud800-\udfff]")
_TAGS = re.compile(_TAG)


class TextRules(Protocol):
    """The options of a text spec that decide how text is cut."""

    @property
    def name(self) -> str: ...
    @property
    def lowercase(self) -> bool: ...
    @property
    def strip_accents(self) -> bool: ...
    @property
    def clean_html(self) -> bool: ...
    @property
    def normalize(self) -> str: ...


def sound(text: str) -> str:
    """Return the text with NUL and lone surrogates, which no encoding can carry, as U+FFFD; same length."""
    return _UNSOUND.sub("\ufffd", text) if _UNSOUND.search(text) else text


def normalized_form(text: str, form: str) -> str:
    """Return the text in a Unicode normal form of `FORMS`."""
    if form == "none" or text.isascii():
        return text
    return unicodedata.normalize("NFKC" if form == "NFKC" else "NFC", text)


def without_tags(text: str) -> str:
    """Return the text with HTML tags as single spaces, as the pipeline's own first rule has it."""
    return _TAGS.sub(" ", text) if "<" in text else text


def word_pieces(text: str) -> list[str]:
    """Return the text of `Words` in pieces that share no token: at white space and around ideograms."""
    # Not compiled before it is needed: that takes 3 ms of every start. `re` keeps what it has compiled.
    if not text.isascii() and re.search(_IDEOGRAMS, text):
        text = re.sub(_IDEOGRAMS, r" \g<0> ", text)
    return text.split()


def piece_pattern(normalize: str) -> re.Pattern[str]:
    """What cuts a text for BPE without tearing a token: a space and what follows it, or one white space."""
    spaces = " " + (_WIDE if normalize == "NFKC" else "")
    return re.compile(rf"[{spaces}]?[^{_WHITE}]+|[{_WHITE}]")


def pipeline(rules: TextRules) -> Tokenizer:
    """Return the tokenizer of a spec with a vocabulary of nothing but UNK."""
    from tokenizers import Tokenizer, decoders, models, normalizers

    model = (
        models.BPE(unk_token=UNK) if rules.name == "bpe" else models.WordLevel({UNK: UNKNOWN}, unk_token=UNK)
    )
    made = Tokenizer(model)
    made.normalizer = normalizers.Sequence(list(_normalizers(rules)))
    made.pre_tokenizer = _pre_tokenizer(rules.name)
    if rules.name != "words":
        made.decoder = decoders.Fuse()
    return made


def _pre_tokenizer(name: str) -> Any:
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    if name == "words":
        return Split(Regex(_WORD_SPLIT), "removed", invert=True)
    return Split(Regex(_BPE_SPLIT if name == "bpe" else r"[\s\S]"), "isolated")


def _normalizers(rules: TextRules) -> Iterator[Any]:
    from tokenizers import Regex, normalizers

    if rules.clean_html:
        yield normalizers.Replace(Regex(_TAG), " ")
        yield from (normalizers.Replace(f"&{entity};", plain) for entity, plain in _ENTITIES.items())
    if rules.normalize != "none":
        yield normalizers.NFKC() if rules.normalize == "NFKC" else normalizers.NFC()
    if rules.name == "words":
        yield normalizers.Replace(Regex(_INVISIBLE), "")
        yield normalizers.Replace("’", "'")
    if rules.lowercase:
        yield normalizers.Lowercase()
    if rules.strip_accents:
        yield from (normalizers.NFD(), normalizers.Replace(Regex(_ACCENTS), ""), normalizers.NFC())


def tokenizer(rules: TextRules, vocabulary: Sequence[str], merges: Merges = ()) -> Tokenizer:
    """Return the tokenizer of a spec with a vocabulary; ids are positions in it, UNK is the first."""
    from tokenizers import models

    ids = {token: position for position, token in enumerate(vocabulary)}
    made = pipeline(rules)
    if rules.name == "bpe":
        made.model = models.BPE(ids, list(merges), unk_token=UNK, fuse_unk=False)
    else:
        made.model = models.WordLevel(ids, unk_token=UNK)
    return made


def stored(rules: TextRules, files: Mapping[str, bytes]) -> tuple[tuple[str, ...], Merges]:
    """Return vocabulary and merges from a stored tokenizer.json; raises CorruptBundleError.

    The rest of the file must be the pipeline of the spec: another one would cut texts otherwise than in
    training.
    """
    content = read_json(files, FILE)
    model = expect(content, "model", dict, FILE)
    kind = "BPE" if rules.name == "bpe" else "WordLevel"
    if model.get("type") != kind or model.get("unk_token") != UNK:
        raise CorruptBundleError(f"{FILE} must hold a {kind} model with unknown token {UNK!r}")
    vocabulary = _vocabulary(expect(model, "vocab", dict, FILE))
    merges = _merges(model, vocabulary) if kind == "BPE" else ()
    _check_pipeline(rules, content)
    return vocabulary, merges


def _vocabulary(ids: Mapping[str, Any]) -> tuple[str, ...]:
    if any(type(number) is not int for number in ids.values()):
        raise CorruptBundleError(f"{FILE}: every id in the vocabulary must be a whole number")
    ordered = sorted(ids, key=lambda token: ids[token])
    if [ids[token] for token in ordered] != list(range(len(ids))) or ids.get(UNK) != UNKNOWN:
        raise CorruptBundleError(f"{FILE}: ids must be 0, 1, 2, ... without gaps, {UNK!r} being {UNKNOWN}")
    for token in ordered:
        if sound(token) != token:
            raise CorruptBundleError(f"{FILE}: token {ids[token]} holds NUL or a lone surrogate")
    return tuple(ordered)


def _merges(model: Mapping[str, Any], vocabulary: tuple[str, ...]) -> Merges:
    pairs = [texts(pair, f"{FILE}: merge") for pair in expect(model, "merges", list, FILE)]
    known = set(vocabulary)
    for pair in pairs:
        if len(pair) != 2 or not {*pair, "".join(pair)} <= known:
            raise CorruptBundleError(
                f"{FILE}: merge {pair!r:.80} is not of two tokens of the vocabulary into a third"
            )
    return tuple((left, right) for left, right in pairs)


def _check_pipeline(rules: TextRules, content: Mapping[str, Any]) -> None:
    from tokenizers import Tokenizer

    empty = pipeline(rules).to_str()
    try:
        found = Tokenizer.from_str(json.dumps({**content, "model": json.loads(empty)["model"]})).to_str()
    except Exception as error:
        raise CorruptBundleError(f"{FILE} is not a tokenizer: {str(error)[:200]}") from None
    if found != empty:
        raise CorruptBundleError(
            f"{FILE} cuts texts otherwise than its spec says; it was changed or mixed up"
        )


def windows(text: str, cut: Callable[[str], list[Cut]]) -> Iterator[list[Cut]]:
    """Yield the tokens of a long unbroken text, `WINDOW` characters at a time.

    cut: text -> tokens as (token, (begin, end)). The last tokens of a window may look other than in the whole (a
    word torn in two), so they are left to the next one; those before them cannot.
    """
    begin, size = 0, WINDOW
    while begin + size < len(text):
        found = cut(text[begin : begin + size])
        seam = _seam(found)
        if seam:
            yield found[:seam]
            begin, size = begin + found[seam][1][0], WINDOW
        else:
            size *= 2
    yield cut(text[begin:])


_UNSETTLED = 8
"""Tokens that what follows them can still change, generously: a torn entity of HTML makes up to four."""


def _seam(found: Sequence[Cut]) -> int:
    """The last settled token that begins exactly where the one before it ends; 0 if there is none.

    Between tokens that do not touch stands something that normalisation has used up (a mark, an entity's name),
    and it is not known for which of the two.
    """
    for place in range(len(found) - _UNSETTLED, 0, -1):
        if found[place][1][0] == found[place - 1][1][1]:
            return place
    return 0


def spans(text: str, cuts: Sequence[tuple[str, tuple[int, int]]]) -> Iterator[tuple[str, int, int]]:
    """Yield (token, begin, end) with the marks and the entity that normalisation joined into a token."""
    for place, (token, (begin, end)) in enumerate(cuts):
        limit = cuts[place + 1][1][0] if place + 1 < len(cuts) else len(text)
        while end < limit and unicodedata.category(text[end]).startswith("M"):
            end += 1
        if text[begin:end] == ";" != token:
            begin = text.rfind("&", 0, end)
        yield token, begin, end


def plain_words(rules: TextRules, piece: str) -> list[str] | None:
    """Return the tokens of a piece of `Words` text that is simple enough to need no library, else None."""
    if not piece.isascii() or "\0" in piece or (rules.clean_html and "&" in piece):
        return None
    return _ASCII_WORD.findall(piece.lower() if rules.lowercase else piece)


def token_counts(rules: TextRules, counted: Mapping[str, int]) -> Counter[str]:
    """Return how often each token occurs in pieces of text that occur so and so often."""
    cut = _cutter(rules)
    counts: Counter[str] = Counter()
    for piece, times in counted.items():
        for token in _tokens(rules, piece, cut):
            counts[token] += times
    return counts


def _tokens(rules: TextRules, piece: str, cut: Callable[[str], list[Cut]]) -> Iterable[str]:
    found = plain_words(rules, piece)
    if found is not None:
        return found
    parts = windows(piece, cut) if len(piece) > WINDOW else [cut(piece)]
    return (token for part in parts for token, _ in part)


def _cutter(rules: TextRules) -> Callable[[str], list[Cut]]:
    """What cuts a piece of text into tokens before there is a vocabulary."""
    from tokenizers import PreTokenizedString

    made = pipeline(rules)
    normalizer, pre_tokenizer = made.normalizer, made.pre_tokenizer

    def cut(piece: str) -> list[Cut]:
        text = PreTokenizedString(piece)
        text.normalize(normalizer.normalize)
        pre_tokenizer.pre_tokenize(text)
        return [(token, place) for token, place, _ in text.get_splits("original", "char")]

    return cut


def most_frequent(counts: Mapping[str, int], *, min_count: int, max_size: int | None) -> tuple[str, ...]:
    """Return UNK and the tokens that occur often enough, the most frequent first, ties by text."""
    kept = [token for token, times in counts.items() if times >= min_count and token != UNK]
    kept.sort(key=lambda token: (-counts[token], token))
    return (UNK, *kept[:max_size])


def text_items(inputs: Any, *, words: bool) -> list[Any]:
    """Return the inputs as a list of texts (where `words`: or of lists of words); raises DataError by row."""
    if isinstance(inputs, (str, bytes)):
        raise DataError("inputs must be a list of texts, got one text; wrap it: [text]")
    if not isinstance(inputs, Iterable) or isinstance(inputs, Mapping):
        raise DataError(f"inputs must be a list of texts, got {type(inputs).__name__}")
    return list(checked_items(inputs, words=words))


def checked_items(inputs: Iterable[Any], *, words: bool) -> Iterator[Any]:
    """As `text_items`, one by one."""
    for row, item in enumerate(inputs):
        if isinstance(item, str):
            yield item
        else:
            yield _words_of(item, row) if words else _refuse(item, row)


def _words_of(item: Any, row: int) -> list[str]:
    found = (
        list(item) if isinstance(item, (list, tuple)) or getattr(item, "ndim", 0) == 1 else _refuse(item, row)
    )
    for word in found:
        if not isinstance(word, str):
            raise DataError(f"inputs[{row}] must be a text or a list of words, got a list with {word!r:.40}")
    return [str(word) for word in found]


def _refuse(item: Any, row: int) -> Any:
    missing = item is None or item != item
    hint = (
        "fill in the missing text, with '' if need be"
        if missing
        else "use Signal or Events for other sequences"
    )
    raise DataError(f"inputs[{row}] must be a text, got {item!r:.40} ({type(item).__name__}); {hint}")
