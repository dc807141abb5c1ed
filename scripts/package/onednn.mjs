// oneDNN as a static library of only what the engine calls: matrix products, the reorders that pack matrices, and dnnl_sgemm. Debian's
// shared library has all primitives, and is 40 MB.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fail, run } from './run.mjs';
import { uniteSources } from './unite.mjs';

/** Debian's release whose source package is taken. */
const RELEASE = 'trixie';

/** Primitives that nothing asks for, and reorders between types that no matrix is packed from. oneDNN's options only keep them from being registered: they would be compiled all the same, for an hour. */
const PRIMITIVES = [
  ...[
    'batch_normalization',
    'binary',
    'convolution',
    'deconvolution',
    'eltwise',
    'group_normalization',
    'inner_product',
  ],
  ...[
    'layer_normalization',
    'lrn',
    'pooling',
    'prelu',
    'reduction',
    'resampling',
    'rnn',
    'shuffle',
    'softmax',
  ],
];
const REORDERS = [
  ...[
    'comp_bf16_s8',
    'comp_f32_s8',
    'comp_s8_s8',
    'regular_f16',
    'regular_f32_bf16',
    'regular_f32_f16',
    'regular_f32_fp8',
  ],
  ...[
    'regular_f32_s32',
    'regular_f32_s8',
    'regular_f32_u8',
    'regular_fp4',
    'regular_fp8',
    'regular_s32',
    'regular_s4',
  ],
  ...['regular_u4', 'regular_u8'],
];
/** Their implementations, which the lists of those primitives alone refer to. */
const UNUSED =
  /(^|\/)(lrn|rnn|prelu|shuffle|acl)\/|(^|[/_])(conv|deconv|convolution|deconvolution|pool|pooling|lrn|prelu|shuffle|softmax|reduction|resampling|concat|[a-z]*normalization)(_[a-z0-9_]*)?\.cpp$|(^|_)inner_product(_int8)?\.cpp$|brgemm_inner_product|tbb_|(^|\/)(ref_binary|jit_uni_(binary|binary_kernel|eltwise|eltwise_int))\.cpp$/;
/** The engine of oneDNN reads this one. */
const LISTS = /cpu_concat\.cpp$/;

const OPTIONS = {
  CMAKE_BUILD_TYPE: 'Release',
  CMAKE_POSITION_INDEPENDENT_CODE: 'ON',
  CMAKE_CXX_FLAGS: '-w -ffunction-sections -fdata-sections -fvisibility=hidden -fvisibility-inlines-hidden',
  ONEDNN_LIBRARY_TYPE: 'STATIC',
  ONEDNN_BUILD_DOC: 'OFF',
  ONEDNN_BUILD_EXAMPLES: 'OFF',
  ONEDNN_BUILD_TESTS: 'OFF',
  ONEDNN_BUILD_GRAPH: 'OFF',
  ONEDNN_ENABLE_WORKLOAD: 'INFERENCE',
  ONEDNN_ENABLE_PRIMITIVE: 'MATMUL;REORDER',
  // Otherwise code that is not generated at run time is compiled for a newer processor than the oldest.
  ONEDNN_ARCH_OPT_FLAGS: '',
  ONEDNN_ENABLE_JIT_PROFILING: 'OFF',
  ONEDNN_ENABLE_ITT_TASKS: 'OFF',
};

/**
 * @param folder where the source and the builds are kept between calls
 * @param target.toolchain file for CMake, where the target is another machine than this one
 * @returns the folder with lib/libdnnl.a and include/, and that of the source
 */
export function buildOneDnn(folder, target, jobs) {
  const source = process.env.HINT_ONEDNN_SOURCE ?? debianSource(folder);
  const prefix = join(folder, `onednn-${target.name}`);
  if (existsSync(join(prefix, 'lib/libdnnl.a'))) return { prefix, source };
  const pruned = join(folder, `onednn-source-${target.name}`);
  prune(source, pruned, target.onednn);
  const build = join(folder, `onednn-build-${target.name}`);
  const options = { ...OPTIONS, CMAKE_INSTALL_PREFIX: prefix, CMAKE_INSTALL_LIBDIR: 'lib', ...target.cmake };
  const defined = Object.entries(options).map(([name, value]) => `-D${name}=${value}`);
  run('cmake', ['-S', pruned, '-B', build, '-G', 'Unix Makefiles', ...defined]);
  run('cmake', ['--build', build, '--parallel', String(jobs)]);
  run('cmake', ['--install', build]);
  return { prefix, source };
}

/** A copy of the source without what no primitive of ours needs; in its place, lists of no implementations. */
function prune(source, copy, architecture) {
  rmSync(copy, { recursive: true, force: true });
  cpSync(source, copy, { recursive: true });
  const cpu = join(copy, 'src/cpu');
  if (!existsSync(join(cpu, architecture))) fail(`oneDNN in ${source} knows no ${architecture}.`);
  for (const name of readdirSync(cpu, { recursive: true, encoding: 'utf8' }))
    if (name.endsWith('.cpp') && UNUSED.test(name) && !LISTS.test(name)) rmSync(join(cpu, name));
  for (const name of PRIMITIVES) rmSync(join(cpu, `cpu_${name}_list.cpp`), { force: true });
  for (const name of REORDERS) rmSync(join(cpu, 'reorder', `cpu_reorder_${name}.cpp`));
  const lines = [
    ...PRIMITIVES.map(
      (name) => `const impl_list_item_t *get_${name}_impl_list(const ${name}_desc_t *) { return none; }`,
    ),
    ...REORDERS.map(
      (name) =>
        `const impl_list_map_t &${name}_impl_list_map() { static const impl_list_map_t map; return map; }`,
    ),
  ];
  const includes = '#include "cpu/cpu_engine.hpp"\n#include "cpu/reorder/cpu_reorder.hpp"\n';
  const none = 'static const impl_list_item_t none[] = {nullptr};';
  writeFileSync(
    join(cpu, 'unused.cpp'),
    `${includes}namespace dnnl { namespace impl { namespace cpu {\n${none}\n${lines.join('\n')}\n}}}\n`,
  );
  uniteSources(copy, architecture);
}

/** Debian's source package, with its patches, from the mirror that this machine's apt is set up with. */
function debianSource(folder) {
  const source = join(folder, 'onednn-source');
  if (existsSync(join(source, 'CMakeLists.txt'))) return source;
  const state = join(folder, 'apt');
  mkdirSync(join(state, 'lists/partial'), { recursive: true });
  const { stdout } = spawnSync(
    'apt-get',
    ['indextargets', '--format', '$(REPO_URI) $(ORIGIN) $(LABEL)', 'Created-By: Packages'],
    {
      encoding: 'utf8',
    },
  );
  const mirror = /^(\S+) Debian Debian$/m.exec(stdout ?? '')?.[1];
  if (!mirror)
    fail(
      'The source of oneDNN comes with Debian; elsewhere, set HINT_ONEDNN_SOURCE to a folder with oneDNN 3.x.',
    );
  const list = join(state, 'sources.list');
  const key = '/usr/share/keyrings/debian-archive-keyring.gpg';
  writeFileSync(list, `deb-src [signed-by=${key}] ${mirror} ${RELEASE} main\n`);
  const own = [
    '-o',
    `Dir::Etc::sourcelist=${list}`,
    '-o',
    'Dir::Etc::sourceparts=-',
    '-o',
    `Dir::State::lists=${state}/lists`,
  ];
  run('apt-get', [...own, '-qq', 'update']);
  run('apt-get', [...own, '-qq', '--download-only', 'source', 'onednn'], { cwd: state });
  const description = readdirSync(state).find((name) => name.endsWith('.dsc'));
  rmSync(source, { recursive: true, force: true });
  mkdirSync(dirname(source), { recursive: true });
  run('dpkg-source', ['--no-check', '-x', join(state, description), source]);
  return source;
}
