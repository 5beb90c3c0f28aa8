export interface PackageManifest {
  readonly name: string;
  readonly version: string;
  readonly type: string;
  readonly license: string;
  readonly description: string;
  readonly engines: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly files: readonly string[];
  readonly sideEffects: boolean | readonly string[];
  readonly bin?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, unknown>>;
  readonly publishConfig: {
    readonly access: string;
    readonly provenance: boolean;
    readonly bin?: Readonly<Record<string, string>>;
  };
}

export interface Workspace {
  /** from the root */
  readonly folder: string;
  readonly manifest: PackageManifest;
  /** the folder that becomes `dist` */
  readonly sources: string;
  /** the sources behind `exports` and the commands */
  readonly entries: readonly string[];
}

export function readWorkspaces(root: string): readonly Workspace[];

/** The public repository, as the root's package.json names it; undefined while there is none. */
export function readRepository(root: string): Readonly<Record<string, string>> | undefined;

/** As npm calls the tarball of a package. */
export function tarballOf(manifest: Pick<PackageManifest, 'name' | 'version'>): string;
