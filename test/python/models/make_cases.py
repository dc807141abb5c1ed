"""Writes random tiny models of transformers, with what transformers makes of random inputs.

    python make_cases.py FOLDER [--first SEED] [--count N]

Each seed gives one folder: config.json and model.safetensors as transformers saves them, and expected.json. compare.mjs
reads them, and writes what it has trained; check_cases.py opens that.
"""

import argparse
import json
import random
from pathlib import Path

import torch
from answers import answers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    GPT2Config,
    MT5Config,
    OPTConfig,
    T5Config,
    UMT5Config,
)

ACTIVATIONS = ["relu", "gelu", "gelu_new", "silu", "tanh"]


def t5(rng, kind):
    heads, layers = rng.randint(1, 5), rng.randint(1, 3)
    projections = [name + one for name in ("", "gated-") for one in ACTIVATIONS if name + one != "gated-gelu_new"] + ["gated-gelu"]
    config = kind(
        vocab_size=rng.randint(20, 60), d_model=rng.choice([6, 8, 11, 16]), d_kv=rng.choice([2, 3, 4, 7]),
        d_ff=rng.choice([5, 12, 20]), num_heads=heads, num_layers=layers,
        # Its generation with a cache fails where the decoder has more layers.
        num_decoder_layers=rng.choice([None, rng.randint(1, layers)]),
        relative_attention_num_buckets=rng.choice([4, 8, 32]), relative_attention_max_distance=rng.choice([20, 40, 128]),
        layer_norm_epsilon=rng.choice([1e-6, 1e-5]), feed_forward_proj=rng.choice(projections), decoder_start_token_id=0,
        **({"tie_word_embeddings": rng.choice([True, False])} if kind is T5Config else {}),
    )  # fmt: skip
    return AutoModelForSeq2SeqLM.from_config(config)


def gpt2(rng):
    heads = rng.randint(1, 3)
    vocabulary = rng.randint(20, 60)
    return AutoModelForCausalLM.from_config(
        GPT2Config(
            vocab_size=vocabulary, n_embd=4 * heads, n_layer=rng.randint(1, 3), n_head=heads, n_positions=40,
            n_inner=rng.choice([None, 10]), activation_function=rng.choice(ACTIVATIONS), bos_token_id=1, eos_token_id=1,
            scale_attn_by_inverse_layer_idx=rng.choice([True, False]), tie_word_embeddings=rng.choice([True, False]),
        )
    )  # fmt: skip


def opt(rng):
    heads = rng.randint(1, 3)
    before = rng.choice([True, False])
    return AutoModelForCausalLM.from_config(
        OPTConfig(
            vocab_size=rng.randint(20, 60), hidden_size=4 * heads, num_hidden_layers=rng.randint(1, 3),
            num_attention_heads=heads, ffn_dim=rng.choice([6, 12]), max_position_embeddings=40,
            word_embed_proj_dim=4 * heads if before else 5, do_layer_norm_before=before,
            activation_function=rng.choice(ACTIVATIONS), bos_token_id=2, eos_token_id=2, pad_token_id=1,
        )
    )  # fmt: skip


KINDS = [lambda rng: t5(rng, T5Config)] * 3 + [
    lambda rng: t5(rng, MT5Config),
    lambda rng: t5(rng, UMT5Config),
    gpt2,
    opt,
]


def make(folder, seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    model = KINDS[seed % len(KINDS)](rng)
    config = model.config
    with torch.no_grad():
        for value in model.parameters():
            noise = torch.randn_like(value)
            value.copy_(0.35 * noise if value.ndim == 2 else 1 + 0.1 * noise)
        # A head that is stored apart, as every T5 v1.1 has one.
        if rng.random() < 0.6 and hasattr(model, "shared"):
            model.lm_head.weight = torch.nn.Parameter(0.35 * torch.randn_like(model.shared.weight))
    model.save_pretrained(folder)
    inputs = [[rng.randrange(3, config.vocab_size) for _ in range(rng.randint(1, 18))] for _ in range(3)]
    target = [rng.randrange(3, config.vocab_size) for _ in range(4)]
    opened = type(model).from_pretrained(folder)
    (folder / "expected.json").write_text(json.dumps(answers(opened, inputs, target)))


parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--first", type=int, default=0)
parser.add_argument("--count", type=int, default=len(KINDS) * 3)
arguments = parser.parse_args()
torch.set_num_threads(1)
for seed in range(arguments.first, arguments.first + arguments.count):
    folder = arguments.folder / str(seed)
    folder.mkdir(parents=True, exist_ok=True)
    make(folder, seed)
