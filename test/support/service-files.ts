import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { formatProblems, type Environment, type FileKind, type VariableProblem } from '@concordat/foundation';
import { LocalAuthority } from '@concordat/foundation/authority';
import { createKey } from '@concordat/messaging';

export const CLUSTER = 'local';
export const SENDER = 'participant:orders';

/** What a service may be given as a file. */
export const SERVICE_FILES = {
  authority: 'trusted',
  certificate: 'public',
  key: 'secret',
  password: 'secret',
  signingKey: 'secret',
  trustedKeys: 'trusted',
  contextKeys: 'secret',
} as const satisfies Readonly<Record<string, FileKind>>;
export type ServiceFile = keyof typeof SERVICE_FILES;
export type ServiceFilePaths = Readonly<Record<ServiceFile, string>>;

const WRONG: Readonly<Record<FileKind, number>> = { secret: 0o644, trusted: 0o666, public: 0o666 };

/** What a refusal says to do. */
export function rightModeOf(file: ServiceFile): string {
  return SERVICE_FILES[file] === 'secret' ? 'chmod 0600' : 'chmod 0644';
}

/** One file of each kind, with content and mode that are right. */
export class ServiceFiles {
  private readonly directory = mkdtempSync(path.join(tmpdir(), 'concordat-service-files-'));
  readonly paths: ServiceFilePaths;

  constructor() {
    const authority = LocalAuthority.create('services');
    const { cert, key } = authority.issue({ subject: 'orders' });
    const signing = createKey({ id: 'k1', algorithm: 'ed25519', senders: [SENDER] });
    this.paths = {
      authority: this.write('authority', authority.certificate),
      certificate: this.write('certificate', cert),
      key: this.write('key', key),
      password: this.write('password', 'secret'),
      signingKey: this.write('signingKey', signing.signing),
      trustedKeys: this.write('trustedKeys', `{"keys":[${signing.trusted}]}`),
      contextKeys: this.write('contextKeys', 'a key of at least 16 characters'),
    };
  }

  /** With the mode that is wrong for the file. */
  async whileOpen<Result>(file: ServiceFile, ask: () => Result | Promise<Result>): Promise<Result> {
    chmodSync(this.paths[file], WRONG[SERVICE_FILES[file]]);
    try {
      return await ask();
    } finally {
      chmodSync(this.paths[file], 0o600);
    }
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  private write(name: ServiceFile, content: string | Buffer): string {
    const file = path.join(this.directory, name);
    writeFileSync(file, content, { mode: 0o600 });
    return file;
  }
}

/** The variables of the demo services that name files. */
const VARIABLES: Readonly<Record<string, ServiceFile>> = {
  CONCORDAT_CLIENT_TLS_CA: 'authority',
  CONCORDAT_CLIENT_TLS_CERT: 'certificate',
  CONCORDAT_CLIENT_TLS_KEY: 'key',
  CONCORDAT_SIGNING_KEY_FILE: 'signingKey',
  CONCORDAT_TRUSTED_KEYS_FILE: 'trustedKeys',
  KAFKA_TLS_CA: 'authority',
  KAFKA_TLS_CERT: 'certificate',
  KAFKA_TLS_KEY: 'key',
  KAFKA_SASL_USERNAME_FILE: 'password',
  KAFKA_SASL_PASSWORD_FILE: 'password',
  DATABASE_TLS_CA: 'authority',
  DATABASE_TLS_CERT: 'certificate',
  DATABASE_TLS_KEY: 'key',
  DATABASE_PASSWORD_FILE: 'password',
};

/**
 * Tests that a process refuses each file that others may touch more than they should.
 *
 * @param variables all that it knows
 * @param own what its environment needs beside those of the demo services
 * @param parse what is wrong with an environment
 */
export function describeFileVariables(
  variables: object,
  own: Environment,
  parse: (environment: Environment) => readonly VariableProblem[],
): void {
  const names = Object.keys(variables).filter((name) => /_FILE$|_TLS_(CA|CERT|KEY)$/.test(name));
  let files: ServiceFiles;
  beforeAll(() => void (files = new ServiceFiles()));
  afterAll(() => files.remove());

  const problems = (): readonly VariableProblem[] =>
    parse({
      CONCORDAT_LINK: 'both',
      CONCORDAT_CLUSTER: CLUSTER,
      CONCORDAT_COORDINATORS: 'https://node-1.example:8081',
      CONCORDAT_SIGNATURES: 'require',
      DATABASE_URL: 'postgres://orders@db:5432/orders',
      KAFKA_BROKERS: 'kafka:9092',
      KAFKA_SASL_MECHANISM: 'plain',
      ...own,
      ...Object.fromEntries(names.map((name) => [name, files.paths[VARIABLES[name]!]])),
    });

  it('each have a rule, and are taken with the modes that are right', () => {
    expect(names.filter((name) => VARIABLES[name] === undefined)).toEqual([]);
    expect(formatProblems(problems())).toBe(formatProblems([]));
  });

  it.each(names)('%s: others may not touch more than they should', async (name) => {
    const file = VARIABLES[name]!;
    const found = await files.whileOpen(file, problems);
    if (SERVICE_FILES[file] === 'public') return expect(found).toEqual([]);
    const expected = expect.stringContaining(rightModeOf(file));
    expect(found).toContainEqual(expect.objectContaining({ variable: name, expected }));
  });
}
