"""Hugging Face transformers' T5 on PyTorch, timed on command of `npm run bench` and `hint bench latency`.

One JSON object per line on standard input, one per line on standard output. Every request holds what is run, so that
the caller can alternate between this process and the engine and both see the same load of the machine.

  {"do": "versions"}
  {"do": "load", "config": {...}, "threads": n, "seed": n, "dtype": "f32" | "bf16", "device": "cpu" | "cuda"}
                                                                 T5ForConditionalGeneration, random weights
  {"do": "generate", "inputs": [[id]], "tokens": n, "batch": n, "dtype": "f32" | "bf16", "autocast": "bf16" | null,
   "attention": "sdpa" | "eager" | null}                         exactly n greedy tokens for every input, cached
  {"do": "train", "inputs": [[id]], "targets": [[id]], "batch": n, "autocast": "bf16" | null, "compile": bool,
   "attention": "sdpa" | "eager" | null}                         one Adafactor step over batches of n, each padded to
                                                                 its longest; blocks through torch.compile if asked for
"""

import time

import torch
import transformers
from serving import resident_bytes, serve, token_count
from torch_rows import attend, pad, synchronize
from transformers import T5Config, T5ForConditionalGeneration
from transformers.optimization import Adafactor


DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


class Peer:
    def __init__(self):
        self.models = {}
        self.optimizer = None
        self.graphs = None

    def versions(self, request):
        return {"torch": torch.__version__, "transformers": transformers.__version__}

    def load(self, request):
        torch.set_num_threads(request["threads"])
        torch.manual_seed(request["seed"])
        torch.set_default_device(request.get("device", "cpu"))
        model = T5ForConditionalGeneration(T5Config(**request["config"]))
        # T5 v1.1 has an output matrix of its own; recent transformers tie it to the embedding whatever the config says.
        if model.lm_head.weight is model.shared.weight:
            model.lm_head.weight = torch.nn.Parameter(model.shared.weight.detach().clone())
        dtype = request.get("dtype", "f32")
        self.models[dtype] = model.to(DTYPES[dtype]).eval()
        self.optimizer = None
        self.graphs = None
        return {
            **self.versions(request),
            "attention": model.config._attn_implementation,
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in model.parameters()),
        }

    def generate(self, request):
        model = self.models[request.get("dtype", "f32")].eval()
        tokens = request["tokens"]
        inputs = request["inputs"]
        batch = request["batch"]
        generated = set()
        synchronize()
        begin = time.perf_counter()
        for at in range(0, len(inputs), batch):
            out = continuations(model, inputs[at : at + batch], tokens, request)
            generated.add(int(out.shape[1]) - 1)
        synchronize()
        seconds = time.perf_counter() - begin
        return {"seconds": seconds, "tokens": min(generated), "residentBytes": resident_bytes()}

    def train(self, request):
        model = self.models["f32"].train()
        attend(model, request.get("attention"))
        if self.optimizer is None:
            self.optimizer = Adafactor(
                model.parameters(), lr=1e-3, scale_parameter=True, relative_step=False, warmup_init=False
            )
        if request.get("compile") and self.graphs is None:
            # Not imported where nothing is compiled: it takes memory, which is measured.
            from torch._dynamo.utils import counters

            # Block by block: layers share their code, so that a large model takes no longer to compile than a small one.
            # Lengths differ from batch to batch.
            for stack in (model.encoder, model.decoder):
                for block in stack.block:
                    block.compile(dynamic=True)
            self.graphs = counters["stats"]
        if (self.graphs is not None) != bool(request.get("compile")):
            raise ValueError("a model that was compiled stays so; load it again")
        inputs, targets, batch = request["inputs"], request["targets"], request["batch"]
        padded = 0
        synchronize()
        begin = time.perf_counter()
        for at in range(0, len(inputs), batch):
            ids, mask = pad(inputs[at : at + batch], 0)
            labels, _ = pad(targets[at : at + batch], -100)
            with autocast(ids.device, request):
                # Training reads no cache of keys and values.
                loss = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
            loss.backward()
            padded += ids.numel() + labels.numel()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        last = float(loss.detach())
        synchronize()
        seconds = time.perf_counter() - begin
        return {
            "seconds": seconds,
            "loss": last,
            "paddedTokens": padded,
            "usefulTokens": token_count(inputs) + token_count(targets),
            # Far more than there are kinds of blocks: layers do not share them, and beyond a limit run uncompiled.
            **({} if self.graphs is None else {"compiledGraphs": self.graphs["unique_graphs"]}),
        }


def continuations(model, rows, tokens, request):
    """Exactly `tokens` greedy tokens after the start of each row, as a tensor of ids."""
    attend(model, request.get("attention"))
    ids, mask = pad(rows, 0)
    with torch.inference_mode(), autocast(ids.device, request):
        return model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            num_beams=1,
            use_cache=True,
        )


def autocast(device, request):
    """Products in what the request names, where it names something."""
    return torch.autocast(device.type, torch.bfloat16, enabled=request.get("autocast") == "bf16")


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity_error()
    peer = Peer()
    serve({"versions": peer.versions, "load": peer.load, "generate": peer.generate, "train": peer.train})
