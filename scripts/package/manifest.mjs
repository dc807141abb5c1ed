// What the package.json of each published package says, derived from that of the repository.

const SCOPE = '@hint-engine';

/** The main package: what a dependent needs, and a package a platform of which npm installs the one that fits. */
export function mainManifest(own, targets) {
  const {
    name,
    version,
    description,
    keywords,
    license,
    author,
    homepage,
    repository,
    bugs,
    type,
    engines,
    bin,
  } = own;
  const { main, types, exports, dependencies, peerDependencies, peerDependenciesMeta } = own;
  const cuda = `${SCOPE}/linux-x64-cuda`;
  return {
    ...{
      name,
      version,
      description,
      keywords,
      license,
      author,
      homepage,
      repository,
      bugs,
      type,
      engines,
      bin,
    },
    ...{ main, types, exports, dependencies },
    optionalDependencies: Object.fromEntries(targets.map((target) => [`${SCOPE}/${target}`, version])),
    // Of npm's kinds of dependency the one that is not installed unasked: the library is for machines with a GPU alone.
    peerDependencies: { ...peerDependencies, [cuda]: version },
    peerDependenciesMeta: { ...peerDependenciesMeta, [cuda]: { optional: true } },
  };
}

/** A platform's package. npm leaves it out where `os`, `cpu` or `libc` differ. */
export function platformManifest(own, { name, arch }, { cuda = false } = {}) {
  const { version, license, author, homepage, repository, bugs, engines } = own;
  return {
    name: `${SCOPE}/${name}${cuda ? '-cuda' : ''}`,
    version,
    description: `${cuda ? 'The CUDA library' : 'The native engine'} of hint-engine for Linux on ${arch}; install hint-engine instead.`,
    ...{ license, author, homepage, repository, bugs, engines },
    os: ['linux'],
    cpu: [arch],
    libc: ['glibc'],
    // Package managers that keep packages zipped have to lay this one out as files.
    preferUnplugged: true,
  };
}
