import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The secrets of a secured local system, as texts that can be looked for. */
export class SecretsInFiles {
  private readonly found = new Map<string, string>();

  /** Remembers those that a directory has now, beside earlier ones. */
  collect(directory: string): void {
    for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
      if (!entry.isFile()) continue;
      const file = path.join(entry.parentPath, entry.name);
      for (const secret of secretsIn(path.relative(directory, file), readFileSync(file, 'utf8'))) {
        this.found.set(secret, path.relative(directory, file));
      }
    }
  }

  add(secret: string, what: string): void {
    this.found.set(secret, what);
  }

  /** What kinds of files they are from: `token-client`, `kafka`. */
  get kinds(): readonly string[] {
    return [...new Set([...this.found.values()].map((file) => file.split('/')[0]!))].toSorted();
  }

  /** The names of those in a text. */
  in(text: string): string[] {
    return [...this.found].flatMap(([secret, name]) => (text.includes(secret) ? [name] : []));
  }

  /** The files below a directory that have one of them, with relative paths. */
  filesBelow(directory: string, except: readonly string[] = []): string[] {
    const own = mkdtempSync(path.join(tmpdir(), 'concordat-secrets-'));
    const patterns = path.join(own, 'patterns');
    writeFileSync(patterns, `${[...this.found.keys()].join('\n')}\n`, { mode: 0o600 });
    try {
      const exclude = except.map((name) => `--exclude-dir=${name}`);
      const { stdout, stderr, status } = spawnSync('grep', ['-rlaF', ...exclude, '-f', patterns, '.'], {
        cwd: directory,
        encoding: 'utf8',
      });
      // 2: a file of a running database has gone meanwhile, which is said for each
      const complaints = stderr.split('\n').filter((line) => line !== '' && !line.includes('No such file'));
      if (status === null || complaints.length > 0) throw new Error(`grep failed: ${complaints.join('\n')}`);
      const lines = stdout.split('\n').filter((line) => line !== '');
      return lines.map((line) => path.normalize(line)).toSorted();
    } finally {
      rmSync(own, { recursive: true });
    }
  }
}

/** The second line of a private key is its own; the first one is that of all keys of the kind. */
function secretsIn(name: string, text: string): string[] {
  const keys = [...text.matchAll(/PRIVATE KEY-----\n.+\n(.+)\n/g)].map(([, line]) => line!);
  if (keys.length > 0) return keys;
  if (name.endsWith('.json')) return [...text.matchAll(/"d" ?: ?"([^"]+)"/g)].map(([, value]) => value!);
  if (name === 'context-key') return text.split('\n').filter((line) => line !== '');
  return /^(?:kafka|postgres)\/|^token-/.test(name) ? [text.trim()] : [];
}

/** The words of all processes, as every user of the machine sees them. */
export function processList(): string {
  return execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8', maxBuffer: 16 * 1_024 * 1_024 });
}
