import { expect, it } from 'vitest';
// @ts-expect-error: a script has no types
import { isNewer, newestGlibc, undefinedSymbols } from '../../scripts/package/native.mjs';

const table = `
hint.node:     file format elf64-x86-64

DYNAMIC SYMBOL TABLE:
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.2.5) memset
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.34) pthread_join
0000000000000000      DF *UND*\t0000000000000000 (GLIBC_2.9) pipe2
0000000000000000      DF *UND*\t0000000000000000 (OMP_1.0)    omp_get_num_threads
0000000000000000      D  *UND*\t0000000000000000  Base        napi_throw
0000000000000000  w   D  *UND*\t0000000000000000  Base        __gmon_start__
0000000000031190 g    DF .text\t0000000000000174  Base        napi_register_module_v1
`;

it('the newest glibc that a binary calls is found by its number, not by its text', () => {
  expect(newestGlibc(table)).toEqual([2, 34]);
  expect(isNewer([2, 34], [2, 4])).toBe(true);
  expect(isNewer([2, 34], [2, 34])).toBe(false);
  expect(isNewer([3, 0], [2, 36])).toBe(true);
});

it('a name that neither Node.js nor a library of the system has is found', () => {
  expect(undefinedSymbols(table)).toEqual([]);
  const lacking = '0000000000000000      DF *UND*\t0000000000000000  Base        dnnl_sgemm\n';
  expect(undefinedSymbols(`${table}${lacking}`)).toEqual(['dnnl_sgemm']);
  expect(undefinedSymbols(`${table}${lacking.replace('Base ', '     ')}`)).toEqual(['dnnl_sgemm']);
});
