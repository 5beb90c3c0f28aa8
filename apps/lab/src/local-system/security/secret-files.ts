import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Files of one directory that nobody but its user may read: the directory has the mode 0700, each file 0600. */
export class SecretFiles {
  constructor(readonly directory: string) {}

  path(name: string): string {
    return path.join(this.directory, name);
  }

  has(name: string): boolean {
    return existsSync(this.path(name));
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  text(name: string): string {
    return this.read(name).toString('utf8').trim();
  }

  /** Replaces the whole file by a rename, so that no reader sees half of it. */
  write(name: string, content: string | Buffer): void {
    const file = this.path(name);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const temporary = `${file}.${process.pid}`;
    writeFileSync(temporary, content, { mode: 0o600 });
    renameSync(temporary, file);
  }

  /** Writes the file unless it exists. */
  ensure(name: string, content: () => string | Buffer): void {
    if (!this.has(name)) this.write(name, content());
  }
}
