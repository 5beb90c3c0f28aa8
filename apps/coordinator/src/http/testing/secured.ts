import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApiToken } from '../../auth/credentials/api-tokens.js';
import { AUDIENCE, ISSUER, TestIssuer } from '../../auth/testing/issuer.js';

/** Who may do what, by the name of the token. */
const BEARERS = {
  alice: ['client'],
  bob: ['client'],
  watcher: ['observer'],
  oscar: ['operator'],
  prometheus: ['metrics'],
  bank: ['participant:bank-a'],
  shop: ['client', 'participant:shop'],
  node: ['node'],
} as const;
export type Bearer = keyof typeof BEARERS;

/** What coordinators need to ask who sends a request, and tokens to show them. */
export class Secured {
  readonly directory = mkdtempSync(join(tmpdir(), 'concordat-secured-'));
  readonly tokenFile = join(this.directory, 'tokens');
  readonly keyFile = join(this.directory, 'keys.json');
  readonly auditFile = join(this.directory, 'audit.jsonl');
  private readonly tokens = new Map<string, string>();

  private constructor(readonly issuer: TestIssuer) {}

  static async create(): Promise<Secured> {
    const secured = new Secured(await TestIssuer.create());
    const lines: string[] = [];
    for (const [name, roles] of Object.entries(BEARERS)) {
      const { token, line } = createApiToken({ name, roles });
      secured.tokens.set(name, token);
      lines.push(line);
    }
    writeFileSync(secured.tokenFile, lines.join('\n'), { mode: 0o600 });
    writeFileSync(secured.keyFile, JSON.stringify(await secured.issuer.keySet()));
    return secured;
  }

  get environment(): Readonly<Record<string, string>> {
    return {
      CONCORDAT_AUTH_TOKEN_FILE: this.tokenFile,
      CONCORDAT_AUTH_KEY_FILE: this.keyFile,
      CONCORDAT_AUTH_ISSUER: ISSUER,
      CONCORDAT_AUTH_AUDIENCE: AUDIENCE,
      CONCORDAT_AUDIT_FILE: this.auditFile,
    };
  }

  token(name: Bearer): string {
    return this.tokens.get(name)!;
  }

  header(name: Bearer): { readonly authorization: string } {
    return { authorization: `Bearer ${this.token(name)}` };
  }

  /** The lines of the audit so far. */
  audit(): Record<string, unknown>[] {
    const text = readFileSync(this.auditFile, 'utf8');
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }
}
