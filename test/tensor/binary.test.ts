import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { builtBinary, cudaPackageFolder, findBinary } from '../../src/tensor/binary/find.js';
import { thisHost, whyUnsupported, type Host } from '../../src/tensor/binary/host.js';
import { probeBinary, probeMark } from '../../src/tensor/binary/probe.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hint-binary-'));
  vi.stubEnv('HINT_NATIVE', undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

function put(path: string, text: string): string {
  const file = join(folder, path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
  return file;
}

/** An installed package beside those of its platform. */
function install(name: string, version = '1.2.3'): string {
  put(`node_modules/${name}/package.json`, JSON.stringify({ name, version }));
  return join(folder, 'node_modules', name);
}

const linux: Host = { platform: 'linux', arch: 'x64', glibc: '2.36' };
const own = `@hint-engine/${process.platform}-${process.arch}`;

describe('a machine without a binary is told in one sentence', () => {
  it.each<[string, Partial<Host>, RegExp]>([
    [
      'macOS',
      { platform: 'darwin', arch: 'arm64', glibc: undefined },
      /does not run on macOS \(arm64\); run it on Linux/,
    ],
    ['Windows', { platform: 'win32', glibc: undefined }, /does not run on Windows \(x64\); .*WSL 2/],
    ['FreeBSD', { platform: 'freebsd', glibc: undefined }, /does not run on freebsd/],
    ['musl', { glibc: undefined }, /Alpine has musl.*node:22-slim/],
    ['an older glibc', { glibc: '2.31' }, /has glibc 2\.31, .* needs 2\.34 or later .*"npx hint build"/],
    [
      'another processor',
      { arch: 'riscv64' },
      /no binary for Linux on riscv64, only for x64 and arm64; .*"npx hint build"/,
    ],
  ])('%s', (_, host, sentence) => {
    expect(whyUnsupported({ ...linux, ...host })).toMatch(sentence);
  });

  it.each([
    linux,
    { ...linux, glibc: '2.34' },
    { ...linux, arch: 'arm64', glibc: '2.40' },
    { ...linux, glibc: '3.0' },
  ])('and one with a binary is not: %o', (host) => expect(whyUnsupported(host)).toBeUndefined());

  it('this machine is one that tests run on', () => {
    expect(thisHost()).toEqual({
      platform: 'linux',
      arch: process.arch,
      glibc: expect.stringMatching(/^2\.\d+$/) as string,
    });
  });
});

describe('the native engine is looked for', () => {
  it('in the package of the platform', () => {
    const root = install('hint-engine');
    const path = join(install(own), 'hint.node');
    writeFileSync(path, '');
    expect(findBinary(root)).toEqual({ path, origin: 'package' });
  });

  it('first where it was built, and before all else where HINT_NATIVE says', () => {
    const root = install('hint-engine');
    writeFileSync(join(install(own), 'hint.node'), '');
    const built = put('node_modules/hint-engine/build/Release/hint.node', '');
    expect(builtBinary(root)).toBe(built);
    expect(findBinary(root)).toEqual({ path: built, origin: 'here' });
    const named = put('other.node', '');
    vi.stubEnv('HINT_NATIVE', named);
    expect(findBinary(root)).toEqual({ path: named, origin: 'here' });
    vi.stubEnv('HINT_NATIVE', join(folder, 'none.node'));
    expect(() => findBinary(root)).toThrow(/HINT_NATIVE names .*none\.node, which is missing/);
  });

  it('and a package of another version is refused, as is one without the file', () => {
    const root = install('hint-engine');
    const lib = install(own, '1.2.4');
    expect(() => findBinary(root)).toThrow(
      `${own} is of version 1.2.4 and hint-engine of 1.2.3; install hint-engine again`,
    );
    install(own);
    expect(() => findBinary(root)).toThrow(`${join(lib, 'hint.node')} is missing; install ${own} again.`);
  });

  it('and where it is not, the sentence says why', () => {
    const root = install('hint-engine');
    expect(() => findBinary(root)).toThrow(/is not installed\. npm leaves it out with --omit=optional/);
    expect(() => findBinary(root, () => ({ ...linux, glibc: undefined }))).toThrow(/Alpine has musl/);
    put('node_modules/hint-engine/src/index.ts', '');
    expect(() => findBinary(root)).toThrow(/is not built .*run "npm run build"\.$/);
  });

  it('with the CUDA library in a package of its own, which may be of another version or absent', () => {
    const root = install('hint-engine');
    expect(cudaPackageFolder(root)).toBeUndefined();
    const cuda = install(`${own}-cuda`);
    expect(cudaPackageFolder(root)).toBe(cuda);
    install(`${own}-cuda`, '1.0.0');
    expect(cudaPackageFolder(root)).toBeUndefined();
  });
});

describe('a child process tries a binary first', () => {
  const mark = (): string => join(folder, 'cache', 'mark');

  /** A library whose loading runs a line of C++, and whose `platform` does nothing. */
  function library(atStart: string): string {
    const path = join(folder, 'trial.node');
    const source =
      '#include <csignal>\n#include <node_api.h>\n' +
      `struct Start { Start() { ${atStart} } } start;\n` +
      'napi_value none(napi_env, napi_callback_info) { return nullptr; }\n' +
      'extern "C" napi_value napi_register_module_v1(napi_env env, napi_value exports) { napi_value f;\n' +
      'napi_create_function(env, "platform", 8, none, nullptr, &f);\n' +
      'napi_set_named_property(env, exports, "platform", f); return exports; }\n';
    const headers = join(import.meta.dirname, '../../node_modules/node-api-headers/include');
    const flags = ['-shared', '-fPIC', '-x', 'c++', '-', '-o', path, `-I${headers}`];
    execFileSync('g++', flags, { input: source });
    return path;
  }

  it('and one that dies of an instruction that is not there ends nothing but the child', () => {
    const path = library('raise(SIGILL);');
    expect(() => probeBinary(path, mark())).toThrow(
      /a process that loads it dies of SIGILL\)\. Build it here with "npm run build"/,
    );
    expect(readdirSync(folder)).not.toContain('cache');
  });

  it('and what is no library is told by the loader’s own words', () => {
    expect(() => probeBinary(put('trial.node', 'text'), mark())).toThrow(
      /does not work on this machine \(.*(file too short|invalid ELF header)/,
    );
  });

  it('once: what has passed is not tried again, unless the file has changed', () => {
    const path = library('');
    probeBinary(path, mark());
    expect(readdirSync(join(folder, 'cache'))).toEqual(['mark']);
    vi.stubEnv('XDG_CACHE_HOME', join(folder, 'home'));
    const before = probeMark(path);
    expect(before.startsWith(join(folder, 'home', 'hint-engine', 'probed'))).toBe(true);
    writeFileSync(path, 'another');
    expect(probeMark(path)).not.toBe(before);
    // The mark of the whole file stands for it: no child would pass now.
    expect(() => probeBinary(path, mark())).not.toThrow();
  });

  it('also where the mark cannot be written', () => {
    writeFileSync(join(folder, 'cache'), 'no folder');
    expect(() => probeBinary(library(''), mark())).not.toThrow();
  });
});
