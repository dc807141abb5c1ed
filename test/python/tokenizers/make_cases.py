"""Writes random tokenizers of the tokenizers package, with texts and what the package makes of them.

    python make_cases.py FOLDER [--first SEED] [--count N] [--texts N]

Each seed gives one folder: tokenizer.json, and expected.jsonl with a text a line, its ids without and with special tokens, and
the text decoded without and with them. compare.mjs reads them.
"""

import argparse
import base64
import json
import random
import re
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GPT4 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
EXPRESSIONS = [
    GPT4, r"\s+", r"\w+|[^\w\s]+", r"[A-Z][a-z]*", r"\d{1,3}(?=(?:\d{3})*\b)", r"(?<=[a-z])(?=[A-Z])", r"[\p{P}\p{S}]", r"\p{L}+|\p{N}+",
    r"a*", r"(a|ab)(c|bcd)?", r"[^a-z&&[^\s]]+", r"\b", r"^.|.$", r"(?i)THE|an", r"\p{Han}|\p{Hiragana}+|\p{Thai}+", r"x++y?|[[:punct:]]+",
    r"\A.|\z", r"\h+", r"[^\S\n]+", r" {2,}", r"(?m:a.)b?", r"\p{Lu}\p{Ll}*?", r"(?:e\u0301|é)+", r"\p{M}+", r"(?!a)\w", r".{1,4}",
]  # fmt: skip
CHUNKS = [
    " ", "  ", "\n", "\t", "\r\n", " \n ", "\u00a0", "\u3000", "\u2028", "\u0085", "\u200b", "\u200d", "\ufeff", "\0", "\u00ad", "\u2581", "a\u2581b",
    "the", "The", "THE", "and", "we'LL", "it's", "don't", "I'm", "you've", "O'Neil", "aaaa", "a" * 60, "abcd", "abbcd", "xxxy", "Zhuo", "camelCaseWord",
    "1", "12", "12345", "1,234.5", "½", "²", "①", "٣", "४", "Ⅷ", "!", "?!", "...", "--", "'", '"', "(", ")", "[x]", "{y}", "<", ">", "<<>>", "~", "$", "€",
    "é", "e\u0301", "o\u0302\u0301", "a\u0308\u0323b", "ñ", "n\u0303", "ß", "ẞ", "İ", "ı", "ſ", "ﬁ", "ﬀ", "ﬆ", "Ǆ", "ǅ", "Σ", "ΑΣ", "ΟΔΟΣ Σ", "\u0301", " \u0301",
    "日本語", "한국어", "\u1100\u1161\u11a8", "ไทย", "ภาษาไทย", "สวัสดี", "हिन्दी", "क्षि", "עברית", "العربية", "לָ", "ｱﾞ", "ＡＢ", "ｆｕｌｌ", "㎏", "㋿", "Å", "Å",
    "😀", "👩\u200d👩\u200d👧", "👍🏽", "🇫🇷", "❤\ufe0f", "1\ufe0f\u20e3", "𝔘", "𠀀", "\U0001f9d1\u200d🚀", "\u2f38", "豈", "\ufa7a", "\u0e33", "ำ",
    "<s>", "</s>", "<pad>", "<unk>", "<mask>", "<l>", "<r>", "<both>", "<word>", "a<word>", "<word>b", "<norm>", "<NORM>", "Day", "DAY", "day", "<0x41>", "##s",
    "Tess", "first", "Japanese", "representation", "Nevertheless", "reporter", "screaming", "disc", "sword", "shape", "product", "naïve café", "Words:",
]  # fmt: skip
BASE = """The quick brown fox jumps over the lazy dog and then it does not come back to the forest where we were first seen
Japanese reporters say that the product was representative of a first shape, nevertheless screaming was heard in 1984 and 2023
it's we're don't I'm you've they'll O'Neil camelCaseWord abcd abbcd aaaa xxxy naïve café ñandú ß Straße 12345 1,234.5 (a) [b] {c} <d>
日本語 한국어 ภาษาไทย สวัสดี हिन्दी עברית العربية 😀 👩 ½ ② ﬁne ＡＢＣ Σοφία ΟΔΟΣ İstanbul"""


def text_of(rng):
    parts = [rng.choice(CHUNKS) for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 8, 13, 25]))]
    glue = rng.choice(["", "", " ", " "])
    text = glue.join(parts)
    if rng.random() < 0.15:
        text += "".join(chr(rng.choice([rng.randrange(0x20, 0x7F), rng.randrange(0xA0, 0x2FF), rng.randrange(0x300, 0x3100), rng.randrange(0x1F300, 0x1F700)])) for _ in range(rng.randrange(8)))
    return text


def replacement(rng):
    pattern = rng.choice([" ", "a", "  ", "the", Regex(r"\s+"), Regex(r"[0-9]"), Regex(r"\p{M}"), Regex(" {2,}"), Regex("(?:a|b)+"), Regex("$"), Regex(r"\b")])
    return pattern, rng.choice(["", " ", "▁", "b", "zz", "é"])


def normalizer(rng, charsmap, depth=0):
    kinds = ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace", "Prepend", "Nmt", "Bert", "Precompiled", "ByteLevel", "none"]
    if depth == 0 and rng.random() < 0.45:
        parts = [normalizer(rng, charsmap, 1) for _ in range(rng.randrange(0, 4))]
        return normalizers.Sequence([part for part in parts if part is not None])
    kind = rng.choice(kinds)
    if kind in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"):
        return getattr(normalizers, kind)()
    if kind == "Strip":
        return normalizers.Strip(rng.random() < 0.7, rng.random() < 0.7)
    if kind == "Replace":
        return normalizers.Replace(*replacement(rng))
    if kind == "Prepend":
        return normalizers.Prepend(rng.choice(["▁", " ", "xy"]))
    if kind == "Bert":
        return normalizers.BertNormalizer(rng.random() < 0.5, rng.random() < 0.5, rng.choice([None, True, False]), rng.random() < 0.5)
    if kind == "Precompiled":
        return normalizers.Precompiled(charsmap)
    if kind == "ByteLevel" and rng.random() < 0.3:
        return normalizers.ByteLevel()
    return None


def metaspace(rng):
    return pre_tokenizers.Metaspace(rng.choice(["▁", "▁", "▁", "_"]), rng.choice(["always", "first", "never"]), rng.random() < 0.7)


BEHAVIORS = ["removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"]


def pre_tokenizer(rng, depth=0):
    if depth == 0 and rng.random() < 0.5:
        return pre_tokenizers.Sequence([pre_tokenizer(rng, 1) for _ in range(rng.randrange(1, 4))])
    kind = rng.choice(["Metaspace", "Metaspace", "WhitespaceSplit", "Whitespace", "Bert", "Punctuation", "Digits", "Split", "Split", "ByteLevel", "Char", "FixedLength"])
    if kind == "Metaspace":
        return metaspace(rng)
    if kind == "WhitespaceSplit":
        return pre_tokenizers.WhitespaceSplit()
    if kind == "Whitespace":
        return pre_tokenizers.Whitespace()
    if kind == "Bert":
        return pre_tokenizers.BertPreTokenizer()
    if kind == "Punctuation":
        return pre_tokenizers.Punctuation(rng.choice(BEHAVIORS))
    if kind == "Digits":
        return pre_tokenizers.Digits(rng.random() < 0.5)
    if kind == "Split":
        pattern = rng.choice([" ", "a", "", "an", *map(Regex, EXPRESSIONS)])
        return pre_tokenizers.Split(pattern, rng.choice(BEHAVIORS), rng.random() < 0.3)
    if kind == "ByteLevel":
        return pre_tokenizers.ByteLevel(rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.6)
    if kind == "FixedLength":
        return pre_tokenizers.FixedLength(rng.randrange(1, 6))
    return pre_tokenizers.CharDelimiterSplit(rng.choice([" ", "a", "é"]))


def decoder(rng, depth=0):
    if depth == 0 and rng.random() < 0.4:
        return decoders.Sequence([decoder(rng, 1) for _ in range(rng.randrange(1, 4))])
    kind = rng.choice(["Metaspace", "ByteLevel", "Replace", "Fuse", "Strip", "ByteFallback", "WordPiece", "CTC", "BPE"])
    if kind == "Metaspace":
        return decoders.Metaspace("▁", rng.choice(["always", "first", "never"]), rng.random() < 0.5)
    if kind == "Replace":
        return decoders.Replace(*replacement(rng))
    if kind == "Strip":
        return decoders.Strip(rng.choice([" ", "a"]), rng.randrange(3), 0)
    if kind == "WordPiece":
        return decoders.WordPiece(rng.choice(["##", "a"]), rng.random() < 0.5)
    if kind == "CTC":
        return decoders.CTC("<pad>", "|", rng.random() < 0.5)
    if kind == "BPE":
        return decoders.BPEDecoder("</w>") if depth == 0 else decoders.Fuse()
    return getattr(decoders, kind)()


def post_processor(rng, end):
    kind = rng.choice(["none", "template", "template", "begin", "ByteLevel", "bert", "roberta", "sequence"])
    template = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", end)])
    if kind == "none":
        return None
    if kind == "template":
        return template
    if kind == "begin":
        return processors.TemplateProcessing(single="</s> $A </s>", pair="$A $B", special_tokens=[("</s>", end)])
    if kind == "ByteLevel":
        return processors.ByteLevel(rng.random() < 0.5)
    if kind == "bert":
        return processors.BertProcessing(("</s>", end), ("<pad>", end - 1))
    if kind == "roberta":
        return processors.RobertaProcessing(("</s>", end), ("<pad>", end - 1))
    return processors.Sequence([processors.ByteLevel(False), template])


SPECIAL = ["<pad>", "</s>", "<unk>"]


def model(rng, corpus):
    kind = rng.choice(["unigram", "unigram", "bpe", "bpe", "wordpiece", "wordlevel"])
    size = rng.randrange(60, 600)
    if kind == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=size + 200, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    elif kind == "bpe":
        options = dict(fuse_unk=rng.random() < 0.5, byte_fallback=rng.random() < 0.3, ignore_merges=rng.random() < 0.2)
        if rng.random() < 0.5:
            options["unk_token"] = "<unk>"
        suffix, prefix = rng.choice([("", ""), ("", ""), ("</w>", ""), ("", "##")])
        if suffix:
            options["end_of_word_suffix"] = suffix
        if prefix:
            options["continuing_subword_prefix"] = prefix
        tokenizer = Tokenizer(models.BPE(**options))
        special = SPECIAL + ([f"<0x{byte:02X}>" for byte in range(256)] if rng.random() < 0.2 else [])
        trainer = trainers.BpeTrainer(vocab_size=size + len(special), special_tokens=special, show_progress=False, end_of_word_suffix=suffix, continuing_subword_prefix=prefix,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if rng.random() < 0.4 else [])
    elif kind == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>", max_input_chars_per_word=rng.choice([100, 5])))
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    else:
        tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
        trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    return kind, tokenizer, trainer


def make(seed, charsmap, texts):
    rng = random.Random(seed)
    lines = BASE.split("\n") + [text_of(rng) for _ in range(80)]
    kind, tokenizer, trainer = model(rng, lines)
    norm = normalizer(rng, charsmap)
    if norm is not None:
        tokenizer.normalizer = norm
    if rng.random() < 0.9:
        tokenizer.pre_tokenizer = pre_tokenizer(rng)
    tokenizer.train_from_iterator(lines, trainer)
    processor = post_processor(rng, tokenizer.token_to_id("</s>"))
    if processor is not None:
        tokenizer.post_processor = processor
    if rng.random() < 0.9:
        tokenizer.decoder = decoder(rng)
    for content in rng.sample(["<mask>", "<l>", "<r>", "<both>", "<word>", "<norm>", "Day", "<s>", "Ａ", " x", "the"], rng.randrange(0, 6)):
        flags = dict(lstrip=rng.random() < 0.4, rstrip=rng.random() < 0.4, single_word=rng.random() < 0.4, normalized=rng.random() < 0.4)
        token = AddedToken(content, **flags)
        (tokenizer.add_special_tokens if rng.random() < 0.5 else tokenizer.add_tokens)([token])
    # As it is read: what was built may differ from what was saved.
    text = tokenizer.to_str()
    if rng.random() < 0.1 and kind == "unigram":
        changed = json.loads(text)
        changed["model"]["byte_fallback"] = True
        text = json.dumps(changed, ensure_ascii=False)
    return text, cases_of(Tokenizer.from_str(text), [text_of(rng) for _ in range(texts)])


def cases_of(tokenizer, texts):
    """What a tokenizer makes of texts, but for those on which the package panics."""
    cases = []
    for given in texts:
        try:
            special = tokenizer.encode(given).ids
            cases.append({
                "text": given,
                "ids": tokenizer.encode(given, add_special_tokens=False).ids,
                "special": special,
                "decoded": tokenizer.decode(special),
                "decodedAll": tokenizer.decode(special, skip_special_tokens=False),
            })
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
    return cases


def write(folder, text, cases):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    with open(folder / "expected.jsonl", "w", encoding="utf-8") as file:
        for case in cases:
            file.write(json.dumps(case) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--texts", type=int, default=60)
    given = parser.parse_args()
    fixture = Path(__file__).parent / "../../fixtures/tokenizer/tokenizer.json"
    charsmap = base64.b64decode(json.loads(fixture.read_text())["normalizer"]["precompiled_charsmap"])
    for seed in range(given.first, given.first + given.count):
        try:
            text, cases = make(seed, charsmap, given.texts)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            print(f"seed {seed}: the package itself fails: {re.sub(chr(10), ' ', str(error))[:100]}")
            continue
        write(given.folder / f"seed-{seed}", text, cases)


if __name__ == "__main__":
    main()
