"""Writes src/formats/tokenizer/unicode/tables.ts: what the tokenizers package takes characters for.

    python unicode_tables.py FILE

Each character is put to the package; what it is to the package is written as ranges. Takes minutes. A newer package, with a newer
Unicode, gives other tables.
"""

import sys
from pathlib import Path

from tokenizers import Regex, normalizers, pre_tokenizers

CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
WIDTH = 116


def ranges(found):
    result = []
    for code in sorted(found):
        if result and result[-1][1] == code - 1:
            result[-1][1] = code
        else:
            result.append([code, code])
    words = [f"{first:x}" if first == last else f"{first:x}-{last:x}" for first, last in result]
    lines = [""]
    for word in words:
        if len(lines[-1]) + len(word) + 1 > WIDTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(f"  {line}" for line in lines)


def dropped(normalizer):
    return {ord(one) for one in CHARACTERS if normalizer.normalize_str(one) == ""}


def isolated(pre_tokenizer):
    return {ord(one) for one in CHARACTERS if len(pre_tokenizer.pre_tokenize_str(f"a{one}b")) > 1}


def unassigned():
    split = pre_tokenizers.Split(Regex(r"\p{Cn}"), "isolated")
    return {ord(one) for one in CHARACTERS if len(split.pre_tokenize_str(f"a{one}b")) > 1}


def decomposed():
    normalizer = normalizers.NFKD()
    return {ord(one) for one in CHARACTERS if normalizer.normalize_str(one) != one}


TABLES = {
    "MARKS": ("Combining marks, of which StripAccents frees a text: those of the Unicode version that the Rust package knows there.", lambda: dropped(normalizers.StripAccents())),
    "NONSPACING": ("Non-spacing marks, of which BertNormalizer frees a text.", lambda: dropped(normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False))),
    "PUNCTUATION": ("Punctuation of the pre-tokenizers Punctuation and BertPreTokenizer.", lambda: isolated(pre_tokenizers.Punctuation())),
    "CONTROLS": ("Control, format and private characters, of which BertNormalizer cleans a text.", lambda: dropped(normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)) - {0, 0xFFFD}),
    "UNASSIGNED": ("Characters that are none yet in the Unicode of the package's expressions, which is 16.", unassigned),
    "DECOMPOSED": ("Characters that NFKD replaces there.", decomposed),
}


def main():
    text = "// Made by test/python/tokenizers/unicode_tables.py, which asks the Rust package about every character.\n"
    for name, (comment, find) in TABLES.items():
        text += f"\n/** {comment} */\nexport const {name} = `\n{ranges(find())}`;\n"
    Path(sys.argv[1]).write_text(text, encoding="utf-8")


main()
