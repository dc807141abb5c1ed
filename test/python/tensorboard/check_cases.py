"""Reads with tensorboard the event files that compare.mjs has written, and compares them with the lines they were made of.

    python check_cases.py FOLDER
"""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
from tensorboard.compat.tensorflow_stub import errors

NAMES = {
    "loss": "train/loss",
    "total": "train/total",
    "learningRate": "train/learning_rate",
    "gradientNorm": "train/gradient_norm",
    "tokensPerSecond": "speed/tokens_per_second",
    "examplesPerSecond": "speed/examples_per_second",
    "bytesInUse": "memory/bytes_in_use",
    "peakBytes": "memory/peak_bytes",
}


def f32(value):
    """As a Summary holds it; too large a number is infinite there."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def records(path):
    """How many records the file has; a wrong checksum is an error."""
    reader, count = PyRecordReader_New(str(path)), 0
    while True:
        try:
            reader.GetNext()
        except errors.OutOfRangeError:
            return count
        count += 1


failed = 0
folders = sorted(Path(sys.argv[1]).glob("*/tensorboard"))
for folder in folders:
    lines = [json.loads(line) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()]
    wanted = {}
    for line in lines:
        scores = line.get("validation")
        if scores is None:
            numbers = {tag: line[name] for name, tag in NAMES.items()}
        else:
            numbers = {f"validation/{name}": scores[name] for name in ("loss", "rougeL")}
            for task, own in scores["perTask"].items():
                numbers |= {f"validation_{name}/{task}": own[name] for name in ("loss", "rougeL")}
        for tag, value in numbers.items():
            wanted.setdefault(tag, []).append((line["step"], f32(value)))
    files = list(folder.iterdir())
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    found = {
        tag: sorted((event.step, event.value) for event in accumulator.Scalars(tag)) for tag in accumulator.Tags()["scalars"]
    }
    faults = []
    if len(files) != 1 or records(files[0]) != len(lines) + 1:
        faults.append(f"{len(files)} files with {[records(file) for file in files]} records instead of {len(lines) + 1}")
    if found != {tag: sorted(values) for tag, values in wanted.items()}:
        faults.append(f"other numbers: {sorted(set(found) ^ set(wanted)) or 'same tags'}")
    if faults:
        failed += 1
        print(f"{folder}: {'; '.join(faults)}")
print(f"{len(folders)} event files read with tensorboard, {failed} of them wrong")
sys.exit(1 if failed or not folders else 0)
