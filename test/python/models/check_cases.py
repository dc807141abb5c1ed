"""Opens with transformers what compare.mjs has trained and saved, and compares what it answers with what was answered there.

    python check_cases.py FOLDER
"""

import json
import sys
from pathlib import Path

import torch
from answers import answers
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

BOUND = 2e-5
torch.set_num_threads(1)
failed, folders = 0, sorted(Path(sys.argv[1]).glob("*/trained"))
for folder in folders:
    told = json.loads((folder / "answers.json").read_text())
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    auto = AutoModelForCausalLM if kind in ("gpt2", "opt") else AutoModelForSeq2SeqLM
    model, loading = auto.from_pretrained(folder, output_loading_info=True)
    own = answers(model, told["inputs"], told["target"])
    faults = [f"{what}: {sorted(loading[what])}" for what in ("missing_keys", "unexpected_keys", "mismatched_keys") if loading[what]]
    for i, (here, there) in enumerate(zip(own["answers"], told["answers"])):
        a, b = torch.tensor(here["scores"]), torch.tensor(there["scores"])
        difference = float((a - b).abs().max() / a.abs().max())
        if not difference <= BOUND:
            faults.append(f"scores of input {i} differ by {difference:.1e}")
        if here["sure"] and here["greedy"] != there["greedy"]:
            faults.append(f"input {i}: {there['greedy']} instead of {here['greedy']}")
    failed += bool(faults)
    for fault in faults:
        print(f"{folder} ({kind}): {fault}", file=sys.stderr)
print(f"{len(folders)} models trained here opened by transformers: {failed} differ")
sys.exit(1 if failed or not folders else 0)
