#!/usr/bin/env node
// Replaces the Python of the peers: answers their requests with seconds that depend on the setting and not on a clock.
import { createInterface } from 'node:readline';

const kept = process.env.MALLOC_ARENA_MAX === '1';
const script = process.argv[2] ?? '';

function seconds(rows, { batch, attention, autocast, parallel, compile, inputs }) {
  const best = 2;
  return (
    rows *
    (1 + 0.1 * Math.abs(batch - best)) *
    (kept ? 1 : 1.5) *
    (attention === 'eager' ? 0.9 : 1) *
    (autocast === 'bf16' ? 0.8 : 1) *
    (parallel ? 0.7 : 1) *
    (compile ? 2 : 1) *
    // Grows with the square of the length.
    (inputs[0].length / 100) ** 2
  );
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const answers = {
    versions: () => ({ torch: '0', transformers: '0', ctranslate2: '0' }),
    load: () => ({ torch: '0', transformers: '0', ctranslate2: '0', attention: 'sdpa', threads: 1 }),
    generate: () => ({
      seconds: seconds(request.inputs.length, request),
      tokens: request.tokens,
      residentBytes: 1 << 20,
    }),
    train: () => ({ seconds: seconds(request.inputs.length, request), paddedTokens: 200, usefulTokens: 100 }),
  };
  const refused = script.endsWith('hf_t5.py') && request.batch === 1;
  console.log(JSON.stringify(refused ? { error: 'one at a time is refused' } : answers[request.do]()));
}
