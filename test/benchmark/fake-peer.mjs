#!/usr/bin/env node
// Replaces the Python of the peers: answers their requests with seconds that depend on the setting and not on a clock.
import { createServer } from 'node:http';
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

/** Answers every prompt at once with so many ids. */
function serve(tokens) {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.end(JSON.stringify({ ids: new Array(tokens).fill(7) })));
  });
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve({ port: server.address().port })),
  );
}

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const answers = {
    versions: () => ({ torch: '0', transformers: '0', ctranslate2: '0' }),
    serve: () => serve(request.tokens),
    memory: () => ({ residentBytes: 1 << 21 }),
    load: () => ({
      torch: '0',
      transformers: '0',
      ctranslate2: '0',
      fastapi: '0',
      uvicorn: '0',
      attention: 'sdpa',
      threads: 1,
    }),
    generate: () => ({
      seconds: seconds(request.inputs.length, request),
      tokens: request.tokens,
      residentBytes: 1 << 20,
    }),
    train: () => ({ seconds: seconds(request.inputs.length, request), paddedTokens: 200, usefulTokens: 100 }),
  };
  const refused = script.endsWith('hf_t5.py') && request.batch === 1;
  console.log(JSON.stringify(refused ? { error: 'one at a time is refused' } : await answers[request.do]()));
}
