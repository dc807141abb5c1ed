// Sources of oneDNN compiled together. One by one, most of the time goes into headers that all of them read, and into optimising code that
// only writes kernels, once in a process: 26 s for a file of copies, of which 23 together take 25 s where nothing is optimised.
import { appendFileSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What has to be read before any `using namespace` of the sources. */
const FIRST = ['common/inner_product_pd.hpp', 'cpu/cpu_inner_product_pd.hpp'];

const isAutogen = (name) => name.endsWith('autogen.cpp');
/** Parts of one kernel, which share macros of its header. */
const partsOf = (kernel) => (name) => name.includes(`${kernel}_part`);
const KERNELS = ['f32_copy_at_kern', 'kernel_b0_sgemm_kern', 'kernel_sgemm_kern'];

/**
 * Files that are united, below src/: those of a folder, or of the folders in it too, that `takes` takes. What comes first takes first.
 * `optimised`: the level of the compiler where it is not that of the build.
 */
const GROUPS = {
  common: [{ folder: 'common', takes: (name) => !/logging|threadpool/.test(name), optimised: 1 }],
  cpu: [
    { folder: 'cpu', isDeep: true, takes: (name) => !/^(x64|aarch64|sycl|rv64|ppc64|s390x)\//.test(name) },
  ],
  x64: [
    ...KERNELS.map((kernel) => ({ folder: 'cpu/x64', isDeep: true, takes: partsOf(kernel), optimised: 0 })),
    { folder: 'cpu/x64', isDeep: true, takes: isAutogen, optimised: 0 },
    // They specialise templates that the others use, or mean other names by the same words.
    {
      folder: 'cpu/x64',
      isDeep: true,
      takes: (name) => !/^gemm\/|postops_injector|brgemm_matmul\.cpp$/.test(name),
      optimised: 2,
    },
  ],
};

/** What writes kernels and is not united. */
const WRITES_KERNELS = /(_kern|injector)\.cpp$/;

/**
 * Unites the sources in a copy of oneDNN.
 *
 * @param architecture folder of src/cpu
 */
export function uniteSources(copy, architecture) {
  const source = join(copy, 'src');
  const first = [...FIRST, `cpu/${architecture}/jit_generator.hpp`];
  for (const [index, group] of [...GROUPS.common, ...GROUPS.cpu, ...(GROUPS[architecture] ?? [])].entries()) {
    const { folder, isDeep = false, takes, optimised } = group;
    const found = readdirSync(join(source, folder), { recursive: isDeep, encoding: 'utf8' });
    const taken = found.filter((name) => name.endsWith('.cpp') && !name.startsWith('united') && takes(name));
    const lines = first.map((name) => `#include "${name}"`);
    for (const name of taken.sort()) {
      const text = readFileSync(join(source, folder, name), 'utf8');
      // oneDNN's CMake files look for .cpp.
      renameSync(join(source, folder, name), join(source, folder, `${name}.inc`));
      const macros = [...text.matchAll(/^[ \t]*#[ \t]*define[ \t]+(\w+)/gm)].map(([, macro]) => macro);
      lines.push(`#include "${folder}/${name}.inc"`, ...new Set(macros.map((macro) => `#undef ${macro}`)));
    }
    const united = `united_${index}.cpp`;
    writeFileSync(join(source, folder, united), `${lines.join('\n')}\n`);
    if (optimised !== undefined) setLevel(source, folder, [united], optimised);
  }
  const folder = `cpu/${architecture}`;
  const rest = readdirSync(join(source, folder), { recursive: true, encoding: 'utf8' });
  setLevel(
    source,
    folder,
    rest.filter((name) => WRITES_KERNELS.test(name)),
    1,
  );
}

function setLevel(source, folder, names, level) {
  if (names.length === 0) return;
  const paths = names.map((name) => `\${CMAKE_CURRENT_SOURCE_DIR}/${name}`).join(' ');
  const line = `set_source_files_properties(${paths} PROPERTIES COMPILE_OPTIONS -O${level})`;
  appendFileSync(join(source, folder, 'CMakeLists.txt'), `\n${line}\n`);
}
