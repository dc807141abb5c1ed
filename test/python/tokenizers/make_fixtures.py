"""Writes test/fixtures/tokenizers: small tokenizers in the shapes that published ones have, with what the real tools make of texts.

    python make_fixtures.py FOLDER

Needs sentencepiece and tokenizers. `shapes/NAME` has tokenizer.json and expected.jsonl as make_cases.py writes them; `sentencepiece`
has models of several kinds, and the ids of SentencePiece itself for that of T5's kind; `gpt2-files` has vocab.json, merges.txt and
what stands beside them for OPT, and the ids.
"""

import json
import random
import sys
import tempfile
from pathlib import Path

import sentencepiece
from make_cases import BASE, GPT4, cases_of, text_of, write
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

FOLDER = Path(sys.argv[1])
# What T5's normaliser does, for a handful of characters.
RULES = {"ﬁ": "fi", "Ａ": "A", "Ｂ": "B", "½": "1⁄2", "\t": " ", "\n": " ", "\r": " ", "\u3000": " ", "\u00a0": " ", "\u2028": " ", "▁": " ", "e\u0301": "é", "\u200b": " ", "\0": ""}
TEXTS = [
    "", " ", "Translate this.", "  two  spaces ", "tab\tand\nnewline", "\r\nlines\r\n", "naïve cafe\u0301 – “quoted”", "ﬁne ½ ＡＢ", "日本語 and 한국어", "emoji 😀👩\u200d👧", "{json: [1, 2]}",
    "a" * 60, "x\u2028y", "UPPER lower 123,456.78", "a▁b ▁ c", "the quick brown fox", "<extra_id_0> in text <extra_id_1>.", "</s> inside", "we'LL it's", "e\u0301", "\u00a0e\u0301 ",
]  # fmt: skip


def spm(name, **options):
    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder) / "corpus.txt"
        corpus.write_text("\n".join([BASE] * 3), encoding="utf-8")
        rules = Path(folder) / "rules.tsv"
        rules.write_text("".join(f"{' '.join(f'{ord(c):X}' for c in old)}\t{' '.join(f'{ord(c):X}' for c in new)}\n" for old, new in RULES.items() if old != "\0"), encoding="utf-8")
        if "normalization_rule_name" not in options:
            options["normalization_rule_tsv"] = str(rules)
        sentencepiece.SentencePieceTrainer.train(
            input=str(corpus), model_prefix=str(Path(folder) / "m"), character_coverage=1.0, hard_vocab_limit=False, pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2, **options
        )
        target = FOLDER / "sentencepiece" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((Path(folder) / "m.model").read_bytes())
    return sentencepiece.SentencePieceProcessor(model_file=str(target))


def expected(processor, name):
    # SentencePiece knows no sentinels, and reads the names of control pieces as plain text.
    texts = [text for text in TEXTS if "<" not in text]
    answers = [{"text": text, "ids": processor.encode(text)} for text in texts]
    (FOLDER / "sentencepiece" / name).write_text(json.dumps(answers) + "\n", encoding="utf-8")


def charsmap_of(processor):
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(processor.serialized_model_proto())
    return model.normalizer_spec.precompiled_charsmap


def train(tokenizer, trainer):
    tokenizer.train_from_iterator(BASE.split("\n"), trainer)
    return tokenizer


def unigram(size=200):
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False)
    return train(Tokenizer(models.Unigram()), trainer)


def bpe():
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<|endoftext|>"], show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, trainer)


def shapes(charsmap):
    precompiled = normalizers.Precompiled(charsmap)
    space = pre_tokenizers.Metaspace("▁", "always", True)
    first = pre_tokenizers.Metaspace("▁", "first", True)
    replace = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    joined = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    yield "transformers-5", precompiled, pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), space]), decoders.Metaspace()
    yield "metaspace-first", precompiled, first, decoders.Metaspace("▁", "first")
    yield "metaspace-never", precompiled, pre_tokenizers.Metaspace("▁", "never", True), decoders.Metaspace("▁", "never")
    yield "metaspace-no-split", None, pre_tokenizers.Metaspace("▁", "always", False), decoders.Metaspace()
    yield "metaspace-first-digits", precompiled, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), first]), decoders.Metaspace()
    yield "replace-and-prepend", replace, None, joined
    yield "lower-case-without-accents", normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()]), space, decoders.Metaspace()
    yield "strip-and-replace", normalizers.Sequence([precompiled, normalizers.Strip(False, True), normalizers.Replace(Regex(" {2,}"), "▁")]), space, decoders.Metaspace()
    yield "punctuation-contiguous", normalizers.NFKC(), pre_tokenizers.Sequence([space, pre_tokenizers.Punctuation("contiguous")]), decoders.Metaspace()


def main():
    rng = random.Random(11)
    texts = TEXTS + [text_of(rng) for _ in range(40)]
    t5 = spm("spiece.model", vocab_size=220)
    expected(t5, "expected.json")
    expected(spm("identity.model", vocab_size=220, normalization_rule_name="identity"), "expected-identity.json")
    spm("bpe.model", vocab_size=200, model_type="bpe")
    spm("byte-fallback.model", vocab_size=480, byte_fallback=True)
    spm("no-dummy-prefix.model", vocab_size=220, add_dummy_prefix=False)
    for name, normalizer, pre_tokenizer, decoder in shapes(charsmap_of(t5)):
        tokenizer = unigram()
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        if pre_tokenizer is not None:
            tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.decoder = decoder
        tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
        tokenizer.add_tokens([AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True), AddedToken("<word>", single_word=True, normalized=False), AddedToken("Day", normalized=True)][: rng.randrange(5)])
        text = tokenizer.to_str()
        # A tokenizer in T5's own shape has the ids of SentencePiece, to which U+0085 is a character like any other.
        chosen = [one for one in texts if name != "transformers-5" or "\u0085" not in one]
        write(FOLDER / "shapes" / name, text, cases_of(Tokenizer.from_str(text), chosen))
    tokenizer = bpe()
    for name, pre_tokenizer in {
        "bpe-gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
        "bpe-split": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(GPT4), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]),
    }.items():
        tokenizer.pre_tokenizer = pre_tokenizer
        text = tokenizer.to_str()
        write(FOLDER / "shapes" / name, text, cases_of(Tokenizer.from_str(text), texts))
    gpt2_files(texts)


def gpt2_files(texts):
    folder = FOLDER / "gpt2-files"
    folder.mkdir(parents=True, exist_ok=True)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    train(tokenizer, trainer).model.save(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "unk_token": "</s>", "bos_token": "</s>", "eos_token": "</s>"}) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps({"bos_token": "</s>", "eos_token": {"content": "</s>", "lstrip": False}, "pad_token": "<pad>"}) + "\n")
    (folder / "added_tokens.json").write_text(json.dumps({"<mask>": tokenizer.get_vocab_size()}) + "\n")
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["</s>", "<pad>"])
    tokenizer.add_tokens(["<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="</s> $A", pair="</s> $A </s> $B", special_tokens=[("</s>", 2)])
    with open(folder / "expected.jsonl", "w", encoding="utf-8") as file:
        for case in cases_of(tokenizer, texts + ["a <mask> b</s>"]):
            file.write(json.dumps(case) + "\n")


main()
