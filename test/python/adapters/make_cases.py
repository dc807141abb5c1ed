"""Writes random tiny models of transformers, each with LoRA adapters of PEFT, and what they make of random inputs.

    python make_cases.py FOLDER [--first SEED] [--count N]

Each seed gives one folder: config.json and model.safetensors of the model, and folders of adapters with an expected.json
each. compare.mjs reads them.
"""

import argparse
import json
import random
import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForSeq2SeqLM, T5Config

sys.path.append(str(Path(__file__).resolve().parent.parent / "models"))
from answers import answers  # noqa: E402

TARGETS = [["q", "v"], ["q", "k", "v", "o"], ["k"], ["o", "v"], r".*decoder.*\.(q|v)"]


def base(rng):
    layers = rng.randint(1, 3)
    return AutoModelForSeq2SeqLM.from_config(
        T5Config(
            vocab_size=rng.randint(20, 60), d_model=rng.choice([6, 8, 11, 16]), d_kv=rng.choice([2, 3, 4, 7]),
            d_ff=rng.choice([5, 12, 20]), num_heads=rng.randint(1, 5), num_layers=layers,
            num_decoder_layers=rng.choice([None, rng.randint(1, layers)]), relative_attention_num_buckets=8,
            feed_forward_proj=rng.choice(["relu", "gated-gelu"]), decoder_start_token_id=0,
        )
    )  # fmt: skip


def lora(rng):
    target = rng.choice(TARGETS)
    patterns = {}
    if isinstance(target, list) and rng.random() < 0.5:
        patterns = {"rank_pattern": {target[0]: rng.choice([1, 3, 6])}, "alpha_pattern": {target[-1]: rng.choice([1, 5])}}
    return LoraConfig(
        r=rng.choice([1, 2, 4, 5]), lora_alpha=rng.choice([1, 8, 16]), target_modules=target,
        use_rslora=rng.choice([True, False]), **patterns,
    )  # fmt: skip


def randomise(parameters, size):
    with torch.no_grad():
        for value in parameters:
            noise = torch.randn_like(value)
            value.copy_(size * noise if value.ndim == 2 else 1 + 0.1 * noise)


def make(folder, seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    model = base(rng)
    randomise(model.parameters(), 0.35)
    model.save_pretrained(folder)
    vocabulary = model.config.vocab_size
    inputs = [[rng.randrange(3, vocabulary) for _ in range(rng.randint(1, 18))] for _ in range(3)]
    target = [rng.randrange(3, vocabulary) for _ in range(4)]
    for name in ["first", "second"]:
        adapted = get_peft_model(AutoModelForSeq2SeqLM.from_pretrained(folder), lora(rng))
        randomise([value for key, value in adapted.named_parameters() if "lora_" in key], 0.3)
        adapted.save_pretrained(folder / name)
        opened = PeftModel.from_pretrained(AutoModelForSeq2SeqLM.from_pretrained(folder), folder / name)
        expected = answers(opened.merge_and_unload(), inputs, target)
        (folder / name / "expected.json").write_text(json.dumps(expected))


parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--first", type=int, default=0)
parser.add_argument("--count", type=int, default=8)
arguments = parser.parse_args()
torch.set_num_threads(1)
for seed in range(arguments.first, arguments.first + arguments.count):
    make(arguments.folder / str(seed), seed)
