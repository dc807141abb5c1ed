import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
// @ts-expect-error: a script has no types
import { uniteSources } from '../../scripts/package/unite.mjs';

let copy: string;
beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'hint-unite-'));
  const files: Record<string, string> = {
    'common/a.cpp': '#define LIMIT 3\nint a = LIMIT;\n',
    'common/b.cpp': '  #  define LIMIT(x) x\n#define OTHER\nint b = LIMIT(4);\n',
    'common/logging.cpp': '',
    'cpu/c.cpp': '',
    'cpu/deep/d.cpp': '',
    'cpu/x64/e.cpp': '',
    'cpu/x64/matmul/brgemm_matmul.cpp': '',
    'cpu/x64/gemm/f32/jit_avx_kernel_sgemm_kern_part1_autogen.cpp': '',
    'cpu/x64/gemm/f32/jit_avx_kernel_b0_sgemm_kern_part1_autogen.cpp': '',
    'cpu/x64/gemm/f32/jit_avx_f32_copy_an_kern_autogen.cpp': '',
    'cpu/x64/gemm/f32/jit_avx_gemv_t_f32_kern.cpp': '',
    'cpu/aarch64/f.cpp': '',
  };
  for (const folder of ['common', 'cpu', 'cpu/x64']) files[`${folder}/CMakeLists.txt`] = '';
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(copy, 'src', name)), { recursive: true });
    await writeFile(join(copy, 'src', name), text);
  }
  (uniteSources as (copy: string, architecture: string) => void)(copy, 'x64');
});
afterAll(() => rm(copy, { recursive: true, force: true }));

const read = (name: string): Promise<string> => readFile(join(copy, 'src', name), 'utf8');

it('sources are united once each, and no macro of one reaches the next', async () => {
  const names = await readdir(join(copy, 'src'), { recursive: true, encoding: 'utf8' });
  const united = names.filter((name) => /united_\d+\.cpp$/.test(name));
  const included = (await Promise.all(united.map(read))).flatMap((text) =>
    [...text.matchAll(/^#include "(.*)\.inc"$/gm)].map(([, name]) => name as string),
  );
  expect(included.sort()).toEqual(
    names
      .filter((name) => name.endsWith('.inc'))
      .map((name) => name.slice(0, -4))
      .sort(),
  );
  expect(await read('common/united_0.cpp')).toContain(
    '#include "common/a.cpp.inc"\n#undef LIMIT\n#include "common/b.cpp.inc"\n#undef LIMIT\n#undef OTHER\n',
  );
  // Those that cannot be, and those of another processor or that are not compiled at all.
  const alone = names.filter((name) => name.endsWith('.cpp') && !united.includes(name)).sort();
  expect(alone).toEqual([
    'common/logging.cpp',
    'cpu/aarch64/f.cpp',
    'cpu/x64/gemm/f32/jit_avx_gemv_t_f32_kern.cpp',
    'cpu/x64/matmul/brgemm_matmul.cpp',
  ]);
});

it('parts of one kernel, which share macros of a header, are a file of their own', async () => {
  const parts = (await readdir(join(copy, 'src/cpu/x64'))).filter((name) => name.startsWith('united'));
  const texts = await Promise.all(parts.map((name) => read(`cpu/x64/${name}`)));
  const of = (kernel: string): string[] => texts.filter((text) => text.includes(kernel));
  expect(of('jit_avx_kernel_sgemm_kern_part1')).toHaveLength(1);
  expect(of('jit_avx_kernel_sgemm_kern_part1')).not.toEqual(of('jit_avx_kernel_b0_sgemm_kern_part1'));
  expect(of('copy_an')[0]).not.toContain('part1');
});

it('what only writes kernels is hardly optimised', async () => {
  const lines = await read('cpu/x64/CMakeLists.txt');
  expect(lines).toMatch(/jit_avx_gemv_t_f32_kern\.cpp PROPERTIES COMPILE_OPTIONS -O1\)/);
  expect(lines.match(/-O0\)/g)!.length).toBeGreaterThan(2);
  expect(await read('cpu/CMakeLists.txt')).toBe('');
});
