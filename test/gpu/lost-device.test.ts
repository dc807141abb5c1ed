import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

// scripts/test-cuda-host.mjs builds the emulated CUDA library, names its folder in HINT_CUDA_FOLDER and sets HINT_EMULATED.
const root = resolve(import.meta.dirname, '../..');
const main = join(root, 'dist/cli/main.js');
const model = join(root, 'models/demo-t5');

interface Ended {
  code: number | string | null | undefined;
  output: string;
  errors: string;
}

/** A process of Node.js whose emulated driver, device or calls are as `told` says. */
function node(told: string, parameters: string[]): Promise<Ended> {
  const env = { ...process.env, HINT_EMULATOR_TOLD: told };
  return new Promise((done) => {
    execFile(process.execPath, parameters, { env, cwd: root, timeout: 110_000 }, (error, output, errors) => {
      done({ code: error ? error.code : 0, output, errors });
    });
  });
}

const ask = [main, 'run', model, '--input', 'Words: cat green salad.', '--device', 'cuda'];

describe.skipIf(process.env.HINT_EMULATED !== '1')('a process whose GPU cannot be used', () => {
  it('says in hint doctor that the driver is too old and what to do', async () => {
    const { code, output } = await node('pretend 11080 8 0', [main, 'doctor']);
    expect(output).toMatch(
      /missing +CUDA +the NVIDIA driver is for CUDA 11\.8 and this build needs one for \d+\.\d+/,
    );
    expect(output).toContain('install a newer driver');
    expect(code).toBe(0);
  });

  it('says in hint doctor that the GPU is too small and what to do', async () => {
    const { output } = await node('pretend 1000000 7 5', [main, 'doctor']);
    expect(output).toContain(
      'has compute capability 7.5 and 8.0 is needed; use an NVIDIA GPU of 2020 or later',
    );
  });

  it('ends hint run with exit code 1 and the same sentence', async () => {
    const { code, output, errors } = await node('pretend 1000000 7 5', ask);
    expect(errors).toContain('compute capability 7.5 and 8.0 is needed');
    expect(errors).toContain('Use the device "cpu"');
    expect(output).toBe('');
    expect(code).toBe(1);
  });

  it('ends hint run with exit code 1 and no answer when the device is lost', async () => {
    const { code, output, errors } = await node('refuse cudaEventSynchronize 0 700', ask);
    expect(errors).toContain('is lost');
    expect(errors).toContain('start the process again');
    expect(output).toBe('');
    expect(code).toBe(1);
  });

  it('rejects every later call of the library as lost, closes, and ends by itself', async () => {
    const program = `
      import { Device } from ${JSON.stringify(join(root, 'dist/tensor/index.js'))};
      const device = new Device({ device: 'cuda' });
      const codes = [];
      for (let i = 0; i < 3; i++) await device.tensor(new Float32Array([1, 2]), [2]).read().catch((error) => codes.push(error.code));
      device.close();
      console.log(codes.join(' '));
    `;
    const { code, output } = await node('refuse cudaEventSynchronize 2 700', [
      '--input-type=module',
      '--eval',
      program,
    ]);
    expect(output.trim()).toBe('DEVICE_LOST DEVICE_LOST');
    expect(code).toBe(0);
  });
});
