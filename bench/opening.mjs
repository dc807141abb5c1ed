// Opens a model of random weights in a process of its own: seconds until it is open and until it can compile, and memory.
//   node bench/opening.mjs [--size base] [--stored F32|BF16] [--dtype f32|bf16|int8] [--adapters 512] [--folder DIR]
//     --folder   keeps the model there and uses it again (default: a temporary folder, removed at the end)
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Engine } from '../dist/index.js';
import { benchConfig, normal, uniforms } from '../dist/benchmark/random-model.js';
import { serializeModelConfig } from '../dist/model/config/config.js';
import { parameterShapes } from '../dist/model/parameters/parameter-shapes.js';
import { sizeOf } from '../dist/model/modules/adaptations.js';
import { toBfloat16, writeSafetensors } from '../dist/formats/safetensors/file.js';
import { dropTemporary, temporaryFolder } from '../dist/util/temporary.js';

const TILE = 1 << 20;

async function writeModel(folder, config, dtype) {
  await mkdir(folder, { recursive: true });
  const uniform = uniforms(1);
  const tile = Float32Array.from({ length: TILE }, () => 0.02 * normal(uniform));
  const block = dtype === 'BF16' ? Buffer.from(toBfloat16(tile)) : Buffer.from(tile.buffer);
  const bytes = dtype === 'BF16' ? 2 : 4;
  const tensors = [...parameterShapes(config)].map(([name, shape]) => ({
    ...{ name, dtype, shape },
    data: async () => Buffer.alloc(sizeOf(shape) * bytes, block),
  }));
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  await writeFile(join(folder, 'config.json'), JSON.stringify(serializeModelConfig(config)));
}

/** MiB by name, of /proc/self/status. */
async function residentMemory() {
  const status = await readFile('/proc/self/status', 'utf8');
  const names = { VmHWM: 'peak', RssAnon: 'own', RssFile: 'of files' };
  return Object.fromEntries(
    Object.entries(names).map(([key, name]) => [
      name,
      Math.round(Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1]) / 1024),
    ]),
  );
}

async function open(folder, dtype) {
  const begin = performance.now();
  const seconds = () => Number(((performance.now() - begin) / 1000).toFixed(2));
  const engine = await Engine.open(folder, { dtype });
  const opened = { seconds: seconds(), MiB: await residentMemory() };
  await engine.model.prepareInference();
  await engine.model.device.synchronize();
  const { bytesInUse, bytesBorrowed = 0 } = engine.model.device.statistics();
  const ready = {
    ...{ seconds: seconds(), MiB: await residentMemory() },
    tensorsMiB: Math.round(bytesInUse / 2 ** 20),
    inFileMiB: Math.round(bytesBorrowed / 2 ** 20),
  };
  await engine.close();
  console.log(JSON.stringify({ opened, ready }));
}

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: 'base' },
    stored: { type: 'string', default: 'F32' },
    dtype: { type: 'string', default: 'f32' },
    adapters: { type: 'string', default: '512' },
    folder: { type: 'string' },
    open: { type: 'boolean', default: false },
  },
});
if (values.open) {
  await open(values.folder, values.dtype);
} else {
  const folder = values.folder ?? (await temporaryFolder('hint-opening'));
  try {
    if (!existsSync(join(folder, 'config.json')))
      await writeModel(
        folder,
        { ...benchConfig(values.size, Number(values.adapters)), eosTokenId: 1 },
        values.stored,
      );
    const parameters = ['--open', '--folder', folder, '--dtype', values.dtype];
    const child = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...parameters], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    process.exitCode = child.status ?? 1;
  } finally {
    if (!values.folder) await dropTemporary(folder);
  }
}
