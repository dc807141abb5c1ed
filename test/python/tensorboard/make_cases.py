"""Writes random curves as metrics.jsonl, of which compare.mjs writes event files and check_cases.py reads them.

    python make_cases.py FOLDER [--first SEED] [--count N]
"""

import argparse
import json
import random
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path)
parser.add_argument("--first", type=int, default=0)
parser.add_argument("--count", type=int, default=20)
arguments = parser.parse_args()
for seed in range(arguments.first, arguments.first + arguments.count):
    draw = random.Random(seed)
    step, lines = 0, []
    for _ in range(draw.randint(0, 300)):
        step += draw.choice([1, 1, 1, 7, 1000, 2**33])
        numbers = ["loss", "total", "learningRate", "gradientNorm", "tokensPerSecond", "examplesPerSecond", "bytesInUse", "peakBytes"]
        line = {"step": step, **{name: draw.choice([0, draw.random(), -draw.expovariate(1e-30), 1e-40, 2**53]) for name in numbers}}
        lines.append({**line, "time": "2026-11-29T12:00:00.500Z"})
        if draw.random() < 0.2:
            tasks = {name: {"loss": draw.random(), "rougeL": draw.uniform(0, 100), "examples": 3} for name in ["task", "Aufgäbe ☃", "__proto__"]}
            validation = {"metric": "loss", "loss": draw.random(), "rougeL": draw.uniform(0, 100), "score": 1, "perTask": tasks}
            lines.append({"step": step, "validation": validation, "time": "2026-11-29T12:00:01Z"})
    folder = arguments.folder / str(seed)
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
