import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { waitFor } from '../support/wait-for.js';
import { environment, RunningCommand, tarballs } from './application.js';
import type { Step } from './guide.js';

const WAIT = { timeoutMs: 120_000, intervalMs: 50 };
/** Of the shell, for its working directory at the end. */
const PLACE_FILE = 3;
/** npm asks the registry only for what it has not seen before. */
const NPM = { npm_config_prefer_offline: 'true', npm_config_audit: 'false', npm_config_fund: 'false' };

export interface GuideRunOptions {
  /** where the reader begins; default: a new folder outside of the repository */
  readonly folder?: string;
  /** what is run in the place of a line of the guide */
  readonly insteadOf?: Readonly<Record<string, string>>;
}

/** A reader who follows a guide word for word, in an empty folder outside of the repository. */
export class GuideRun {
  private readonly services: RunningCommand[] = [];
  private readonly root = mkdtempSync(path.join(tmpdir(), 'concordat-guide-'));
  private readonly insteadOf: Readonly<Record<string, string>>;
  private folder: string;

  constructor({ folder, insteadOf = {} }: GuideRunOptions = {}) {
    chmodSync(this.root, 0o755); // as any folder of a user: PostgreSQL does not run as root
    this.folder = folder ?? this.root;
    this.insteadOf = insteadOf;
  }

  /** where the reader is now */
  get place(): string {
    return this.folder;
  }

  /** @throws Error when a command fails, or prints something else than the guide says */
  async follow(step: Step): Promise<void> {
    if (step.kind === 'file') this.save(step.name, step.content);
    else if (step.kind === 'service') await this.start(step.text.trim(), step.prints.trimEnd().split('\n'));
    else this.run(step.text, step.prints);
  }

  /** Ends the services in the reverse order, as Ctrl-C does. */
  async end(): Promise<void> {
    for (const service of this.services.splice(0).reverse()) await service.stop('SIGINT');
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  private save(name: string, content: string): void {
    const file = path.join(this.folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, content);
  }

  private async start(text: string, lines: readonly string[]): Promise<void> {
    const service = new RunningCommand(this.folder, 'sh', ['-c', `exec ${text}`]);
    this.services.push(service);
    for (const line of lines) {
      await waitFor(`"${text}" prints "${line}"`, () => service.hasPrinted(`${line}\n`), WAIT);
    }
  }

  private run(text: string, expected: string | undefined): void {
    const { status, stdout, stderr, output } = spawnSync(
      'sh',
      ['-ec', `${this.commandsOf(text)}\npwd >&${PLACE_FILE}`],
      {
        cwd: this.folder,
        encoding: 'utf8',
        env: { ...environment(), ...NPM },
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      },
    );
    if (status !== 0) throw new Error(`this failed (${status}):\n${text}${stdout}${stderr}`);
    if (expected !== undefined && stdout !== expected) {
      throw new Error(`this printed\n${stdout}${stderr}and the guide says that it prints\n${expected}for\n${text}`);
    }
    this.folder = output[PLACE_FILE]?.trim() ?? this.folder;
  }

  private commandsOf(text: string): string {
    const lines = text.split('\n').map((line) => this.insteadOf[line] ?? withTarballs(line));
    return lines.join('\n');
  }
}

/** Until the packages are in the registry, their tarballs take the places of their names, as the guide says. */
function withTarballs(line: string): string {
  if (!line.startsWith('npm install ')) return line;
  const files = Object.values(tarballs()).join(' ');
  return line.replace(/ @concordat\/nestjs(?= )/, ` ${files}`).replace(/ concordat(?= )/, '');
}
