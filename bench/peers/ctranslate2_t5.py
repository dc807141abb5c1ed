"""CTranslate2's T5, timed on command of `hint bench latency`.

Requests and answers are JSON lines as those of hf_t5.py:

  {"do": "versions"}
  {"do": "load", "config": {...}, "threads": n, "seed": n, "dtype": "f32" | "int8"}
                                                                 a Translator, random weights; int8 is made at load
  {"do": "generate", "inputs": [[id]], "tokens": n, "batch": n, "dtype": "f32" | "int8", "parallel": bool}
                                                                 exactly n greedy tokens for every input; all threads in
                                                                 one batch, or, in parallel, a batch a thread
"""

import sys
import tempfile
import time

# The package's converters import torch where there is one, and with it a second OpenMP whose threads would compete.
sys.modules["torch"] = None

import ctranslate2
import numpy as np
from ctranslate2.specs import common_spec, transformer_spec
from serving import resident_bytes, serve

COMPUTE_TYPES = {"f32": "float32", "int8": "int8"}
ACTIVATIONS = {
    "gelu_new": common_spec.Activation.GELUTanh,
    "gelu": common_spec.Activation.GELU,
    "relu": common_spec.Activation.RELU,
}
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
WEIGHT_SCALE = 0.05
TILE = 1 << 20


def token(number):
    """The piece of an id; the library is given pieces."""
    return (PAD, END, UNKNOWN)[number] if number < 3 else f"t{number}"


class Weights:
    """Random matrices. Speed does not depend on the values, so one block of normals is laid out again and again."""

    def __init__(self, seed):
        self.tile = np.random.default_rng(seed).standard_normal(TILE, dtype=np.float32) * WEIGHT_SCALE

    def fill(self, spec, *shape):
        spec.weight = np.resize(self.tile, shape)

    def attention(self, spec, config, self_attention):
        width, inner = config["d_model"], config["num_heads"] * config["d_kv"]
        spec.queries_scale = 1.0  # T5 does not scale
        # Queries, keys and values in one product, or the queries alone and keys and values of what they attend to.
        for linear, parts in zip(spec.linear, (3,) if self_attention else (1, 2)):
            self.fill(linear, parts * inner, width)
        self.fill(spec.linear[-1], width, inner)
        spec.layer_norm.gamma = np.ones(width, np.float32)

    def feed_forward(self, spec, config):
        width, inner = config["d_model"], config["d_ff"]
        self.fill(spec.linear_0, inner, width)
        if hasattr(spec, "linear_0_noact"):
            self.fill(spec.linear_0_noact, inner, width)
        self.fill(spec.linear_1, width, inner)
        spec.layer_norm.gamma = np.ones(width, np.float32)

    def stack(self, spec, config, is_decoder):
        for layer in spec.layer:
            self.attention(layer.self_attention, config, True)
            layer.self_attention.relative_attention_bias = np.resize(
                self.tile, (config["relative_attention_num_buckets"], config["num_heads"])
            )
            layer.self_attention.relative_attention_max_distance = np.dtype("int32").type(
                config["relative_attention_max_distance"]
            )
            if is_decoder:
                self.attention(layer.attention, config, False)
            self.feed_forward(layer.ffn, config)
        spec.layer_norm.gamma = np.ones(config["d_model"], np.float32)
        spec.scale_embeddings = False


def model_spec(config, seed):
    """A T5 as the package's own converter lays one out."""
    gated = config["feed_forward_proj"].startswith("gated-")
    activation = config["feed_forward_proj"].removeprefix("gated-")
    # In a gated layer, T5 calls the approximation by tanh "gelu".
    activation = "gelu_new" if gated and activation == "gelu" else activation
    layers = config["num_layers"]
    spec = transformer_spec.TransformerSpec.from_config(
        (layers, config.get("num_decoder_layers") or layers),
        config["num_heads"],
        pre_norm=True,
        activation=ACTIVATIONS[activation],
        ffn_glu=gated,
        relative_attention_bias=True,
        rms_norm=True,
    )
    weights = Weights(seed)
    weights.stack(spec.encoder, config, False)
    weights.stack(spec.decoder, config, True)
    width, pieces = config["d_model"], config["vocab_size"]
    weights.fill(spec.encoder.embeddings[0], pieces, width)
    weights.fill(spec.decoder.embeddings, pieces, width)
    weights.fill(spec.decoder.projection, pieces, width)
    vocabulary = [token(number) for number in range(pieces)]
    spec.register_source_vocabulary(vocabulary)
    spec.register_target_vocabulary(vocabulary)
    spec.config.bos_token = spec.config.decoder_start_token = PAD
    spec.config.eos_token, spec.config.unk_token = END, UNKNOWN
    spec.config.add_source_bos = spec.config.add_source_eos = False
    spec.validate()
    share(spec)
    return spec


def share(spec):
    """What layers have in common is held once: a variable that is the name of another stands for it."""
    spec.encoder.embeddings[0].weight = "decoder/embeddings/weight"
    for name, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        for layer in stack.layer[1:]:
            layer.self_attention.relative_attention_bias = f"{name}/layer_0/self_attention/relative_attention_bias"


class Peer:
    def __init__(self):
        self.translators = {}

    def versions(self, request):
        return {"ctranslate2": ctranslate2.__version__}

    def load(self, request):
        dtype, threads = request.get("dtype", "f32"), request["threads"]
        with tempfile.TemporaryDirectory() as folder:
            model_spec(request["config"], request["seed"]).save(folder)
            for parallel in (False, True):
                self.translators[dtype, parallel] = ctranslate2.Translator(
                    folder,
                    device="cpu",
                    compute_type=COMPUTE_TYPES[dtype],
                    inter_threads=threads if parallel else 1,
                    intra_threads=1 if parallel else threads,
                )
        held = self.translators[dtype, False].compute_type
        if not held.startswith(COMPUTE_TYPES[dtype]):
            raise ValueError(f"this processor or build has no {dtype}; it would compute in {held}")
        return {**self.versions(request), "threads": threads, f"compute type of {dtype}": held}

    def generate(self, request):
        translator = self.translators[request.get("dtype", "f32"), bool(request.get("parallel"))]
        tokens = request["tokens"]
        inputs = [[token(number) for number in row] for row in request["inputs"]]
        begin = time.perf_counter()
        results = translator.translate_batch(
            inputs,
            max_batch_size=request["batch"],
            batch_type="examples",
            beam_size=1,
            min_decoding_length=tokens,
            max_decoding_length=tokens,
        )
        seconds = time.perf_counter() - begin
        fewest = min(len(result.hypotheses[0]) for result in results)
        return {"seconds": seconds, "tokens": fewest, "residentBytes": resident_bytes()}


if __name__ == "__main__":
    peer = Peer()
    serve({"versions": peer.versions, "load": peer.load, "generate": peer.generate})
