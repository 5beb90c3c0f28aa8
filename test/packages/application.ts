import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readWorkspaces, tarballOf } from '../../scripts/workspaces.mjs';
import { freePort } from '../support/postgres.js';

const ROOT = path.resolve(import.meta.dirname, '../..');
const TARBALLS = path.join(ROOT, 'dist/packages');

/** A version of Nest, with the compiler that a new application gets with it. */
export interface NestVersion {
  readonly nest: '11' | '12';
  readonly typescript: string;
}

export type ModuleFormat = 'module' | 'commonjs';

/** Until version 12 it had versions of its own. */
const NEST_AXIOS = { 11: '^4.0.0', 12: '^12.0.0' } as const;

/** A folder outside of the repository, into which npm has installed the tarballs and Nest. */
export class InstalledApplication {
  private constructor(readonly folder: string) {}

  static install({ nest, typescript }: NestVersion): InstalledApplication {
    const dependencies = {
      ...nestPackages(nest),
      '@types/node': '^20.19.0',
      '@nestjs/axios': NEST_AXIOS[nest],
      '@opentelemetry/api': '^1.9.0',
      '@opentelemetry/sdk-node': '^0.301.0',
      axios: '^1.18.0',
      'drizzle-orm': '^0.45.0',
      kysely: '^0.28.0',
      'reflect-metadata': '^0.2.2',
      rxjs: '^7.8.2',
      typescript,
    };
    return InstalledApplication.with({ dependencies });
  }

  /** The tarballs, and further packages. */
  static with({ dependencies }: { readonly dependencies: Readonly<Record<string, string>> }): InstalledApplication {
    const folder = mkdtempSync(path.join(tmpdir(), 'concordat-packages-'));
    const application = new InstalledApplication(folder);
    const all = { ...tarballs(), ...dependencies };
    application.write('package.json', { name: 'a-new-application', private: true, dependencies: all });
    const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];
    const { status, output } = application.run('npm', ['install', ...flags]);
    if (status !== 0) {
      throw new Error(
        `npm could not install the packages into an empty folder. The test needs the npm registry: check the network and "npm ping".\n${output}`,
      );
    }
    return application;
  }

  /** Compiles the application with the compiler of its own folder. Returns the program. @throws Error */
  build(format: ModuleFormat): string {
    mkdirSync(path.join(this.folder, format));
    this.write(`${format}/package.json`, { type: format });
    this.write(`${format}/tsconfig.json`, {
      compilerOptions: {
        module: 'nodenext',
        target: 'ES2023',
        types: ['node'],
        strict: true,
        skipLibCheck: true,
        esModuleInterop: true,
        isolatedModules: true,
        experimentalDecorators: true,
        emitDecoratorMetadata: true,
        outDir: 'dist',
        rootDir: '.',
      },
    });
    copyFileSync(path.join(import.meta.dirname, 'application/main.ts'), path.join(this.folder, format, 'main.ts'));
    const { status, output } = this.run('npx', ['--no-install', 'tsc', '-p', format]);
    if (status !== 0) throw new Error(`the application does not compile:\n${output}`);
    return path.join(format, 'dist/main.js');
  }

  save(file: string, content: string): void {
    writeFileSync(path.join(this.folder, file), content);
  }

  /** Runs a command to its end. */
  run(
    command: string,
    words: readonly string[],
    variables: NodeJS.ProcessEnv = {},
  ): { readonly status: number | null; readonly stdout: string; readonly output: string } {
    const { status, stdout, stderr, error } = spawnSync(command, words, {
      cwd: this.folder,
      encoding: 'utf8',
      env: { ...environment(), ...variables },
    });
    return { status, stdout, output: `${stdout}${stderr}${error ? error.message : ''}` };
  }

  start(command: string, words: readonly string[], variables: NodeJS.ProcessEnv = {}): RunningCommand {
    return new RunningCommand(this.folder, command, words, variables);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  private write(file: string, content: unknown): void {
    this.save(file, JSON.stringify(content, null, 2));
  }
}

/** A command with all the processes that it starts. */
export class RunningCommand {
  private text = '';
  private readonly child: ChildProcess;

  constructor(cwd: string, command: string, words: readonly string[], variables: NodeJS.ProcessEnv = {}) {
    const env = { ...environment(), ...variables };
    const child = spawn(command, words, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => (this.text += chunk.toString()));
    }
    this.child = child;
  }

  /** what it has printed so far, on both outputs */
  get output(): string {
    return this.text;
  }

  /** @throws Error with its output when it has ended */
  isRunning(): true {
    if (this.child.exitCode !== null) throw new Error(`it ended with ${this.child.exitCode}:\n${this.text}`);
    return true;
  }

  /** @throws Error with its output when it has ended without having printed this */
  hasPrinted(text: string): boolean {
    return this.text.includes(text) || !this.isRunning();
  }

  async stop(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<number | null> {
    const { child } = this;
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return child.exitCode;
    process.kill(-child.pid, signal); // npx runs a shell, and that the command
    const [code] = (await once(child, 'exit')) as [number | null];
    return code;
  }
}

/** Port of the REST interface of `concordat dev`, which takes the ones 1,000 below and above as well. */
export async function portForDevelopment(): Promise<number> {
  for (;;) {
    const port = await freePort();
    const all = await Promise.all([port - 1_000, port + 1_000].map(isFree));
    if (port <= 64_535 && !all.includes(false)) return port;
  }
}

/** Every public module of the packages, by the name that a user imports. */
export function publicModules(): readonly string[] {
  return readWorkspaces(ROOT).flatMap(({ manifest }) =>
    Object.entries(manifest.exports)
      .filter(([, target]) => typeof target !== 'string')
      .map(([name]) => path.posix.join(manifest.name, name)),
  );
}

/** What a user installs only for the sub-path that needs it. */
export function optionalPeers(): readonly string[] {
  return readWorkspaces(ROOT).flatMap(({ manifest }) => Object.keys(manifest.peerDependenciesMeta ?? {}));
}

/** Packs what has changed since the last time. */
export function pack(): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, [path.join(ROOT, 'scripts/pack.mjs')], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`npm run pack failed:\n${stdout}${stderr}`);
}

/** By the name of a package its tarball. */
export function tarballs(): Readonly<Record<string, string>> {
  const packages = readWorkspaces(ROOT).map(({ manifest }) => manifest);
  return Object.fromEntries(
    packages.map((manifest) => [manifest.name, `file:${path.join(TARBALLS, tarballOf(manifest))}`]),
  );
}

function nestPackages(version: string): Readonly<Record<string, string>> {
  const names = ['common', 'core', 'microservices', 'platform-express'];
  return Object.fromEntries(names.map((name) => [`@nestjs/${name}`, `^${version}.0.0`]));
}

/** Without what this process has from its own npm and from Jest, which would reach into the repository. */
export function environment(): NodeJS.ProcessEnv {
  const foreign =
    /^(npm_(lifecycle|package|config_local_prefix|command|execpath|node_execpath)|NODE_OPTIONS|NODE_PATH|NODE_ENV|JEST)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

/** Whether nobody listens on this port. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}
