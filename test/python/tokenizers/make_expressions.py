"""Writes random regular expressions, and what the tokenizers package cuts random texts into by them.

    python make_expressions.py FILE [--seed SEED] [--count N]

The file is a JSON list of {"expression", "text", "pieces"}, which compare.mjs reads.
"""

import argparse
import json
import random
from pathlib import Path

from tokenizers import Regex, pre_tokenizers

# fmt: off
ATOMS = [
    "a", "b", "A", "\u00e9", "1", " ", "\\n", ".", "\\s", "\\S", "\\w", "\\W", "\\d", "\\D", "\\h", "\\p{L}", "\\p{Lu}", "\\P{L}",
    "\\p{^N}", "[ab]", "[^a]", "[a-c1]", "[^\\s\\p{L}]", "[\\w&&[^a]]", "[^b-z&&\\S]", "[[:alpha:]_]", "[[:^space:]]", "[-a]", "[a-]",
    "\\x61", "\\.", "\\-", "[\\]]", "\u6f22", "😀", "[😀-😂]", "\\p{Han}", "\\p{P}", "[+*?]", "\u00df",
    "\u017f", "s", "k", "\\t", "[^]a]", "\\b", "^", "$", "\\A", "\\z", "\\Z", "\\B", "\u00b2", "[\u00b2]", "[^\\W]", "\\p{Word}",
    "\\p{Alpha}", "\\p{M}", "\\p{Greek}",
]
CHARACTERS = [
    "a", "b", "c", "A", "B", "\u00e9", "e\u0301", "1", "2", " ", "  ", "\n", "\t", "\u6f22", "😀", "😁", "!", ".", "-",
    "]", "_", "\u00df", "\u017f", "s", "S", "k", "K", "\u212a", "\u00b2", "\u00b3", "\u0085", "\ufeff", "\u03a3", "\u03c3", "\u03c2", "x",
    "z", "\r\n",
]
# fmt: on


def expression_of(rng, depth):
    kind = rng.random()
    if depth == 0 or kind < 0.45:
        return rng.choice(ATOMS)
    if kind < 0.6:
        return expression_of(rng, depth - 1) + expression_of(rng, depth - 1)
    if kind < 0.72:
        return f"(?:{expression_of(rng, depth - 1)}|{expression_of(rng, depth - 1)})"
    if kind < 0.9:
        repetition = rng.choice(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,2}", "{2,}", "{,2}", "{1,2}?"])
        return f"(?:{expression_of(rng, depth - 1)}){repetition}"
    if kind < 0.93:
        return rng.choice(["(?=", "(?!", "(?<=", "(?<!"]) + rng.choice(["a", r"\s", "[ab]", r"\p{L}"]) + ")"
    if kind < 0.95:
        return f"(?i:{expression_of(rng, depth - 1)})"
    if kind < 0.97:
        return rng.choice(["a", r"\s", r"\p{L}", "."]) + rng.choice(["++", "*+"])
    if kind < 0.98:
        return f"(?m:{expression_of(rng, depth - 1)})"
    return f"{expression_of(rng, depth - 1)}|{expression_of(rng, depth - 1)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    cases = []
    for _ in range(given.count):
        expression = "|".join(expression_of(rng, 3) for _ in range(rng.choice([1, 1, 2, 3])))
        try:
            split = pre_tokenizers.Split(Regex(expression), "isolated")
        except Exception:
            continue  # No expression to Oniguruma either.
        for _ in range(6):
            text = "".join(rng.choice(CHARACTERS) for _ in range(rng.randrange(12)))
            cases.append({"expression": expression, "text": text, "pieces": [piece for piece, _ in split.pre_tokenize_str(text)]})
    given.file.write_text(json.dumps(cases), encoding="utf-8")


if __name__ == "__main__":
    main()
