import { chmodSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readFilesAgain, silentLogger, type Logger } from '@concordat/foundation';
import { contextKeysOf, type ContextKeySettings } from './context-keys.js';
import { GlobalConfigurationError } from './errors.js';

const FIRST = 'canary-first-0123456789';
const SECOND = 'canary-second-012345678';
const NINE = Array.from({ length: 9 }, (_, place) => `canary-of-many-${place}-0123456789`);

const settings = (changes: Partial<ContextKeySettings>): ContextKeySettings => ({
  cluster: 'local',
  coordinators: ['http://127.0.0.1:8081', 'http://localhost:8082', 'http://[::1]:8083'],
  environment: {},
  logger: silentLogger,
  ...changes,
});
const keysOf = (changes: Partial<ContextKeySettings>): readonly string[] => contextKeysOf(settings(changes))();

/** The sentence with which it fails; no key is in it. */
function refusal(changes: Partial<ContextKeySettings>): string {
  try {
    contextKeysOf(settings(changes));
  } catch (error) {
    expect(error).toBeInstanceOf(GlobalConfigurationError);
    const { message } = error as GlobalConfigurationError;
    expect(message).not.toContain('canary');
    return message;
  }
  throw new Error('it was taken');
}

describe('the key of the cluster', () => {
  it('is the option, then the variable', () => {
    const environment = { CONCORDAT_CONTEXT_KEY: 'from the environment' };
    expect(keysOf({ contextKey: 'from the options', environment })).toEqual(['from the options']);
    expect(keysOf({ contextKey: [FIRST, SECOND], environment })).toEqual([FIRST, SECOND]);
    expect(keysOf({ environment })).toEqual(['from the environment']);
    expect(keysOf({ contextKey: '', environment })).toEqual(['from the environment']);
  });

  it('is made from the name of the cluster on one machine, which is said once', () => {
    const lines: string[] = [];
    const logger = { ...silentLogger, warn: (line: string) => void lines.push(line) };
    const [key] = keysOf({ logger });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('set CONCORDAT_CONTEXT_KEY or CONCORDAT_CONTEXT_KEY_FILE in production');
    expect(keysOf({})).toEqual([key]);
    expect(keysOf({ cluster: 'other' })).not.toEqual([key]);
  });

  it.each<[string, Partial<ContextKeySettings>, string]>([
    ['is missing', { coordinators: ['http://127.0.0.1:1', 'http://concordat.internal:8081'] }, 'openssl rand'],
    [
      'is empty in the environment',
      {
        coordinators: ['http://10.0.0.1:1'],
        environment: { CONCORDAT_CONTEXT_KEY: '', CONCORDAT_CONTEXT_KEY_FILE: '' },
      },
      'set the option contextKey',
    ],
    ['belongs to no URL', { coordinators: ['127.0.0.1:8081'] }, 'use URLs such as'],
    [
      'belongs to a URL with a password',
      { coordinators: ['http://me:canary@127.0.0.1:8081'] },
      'coordinators has a URL with a user or a password',
    ],
    ['can be guessed', { contextKey: 'canary' }, 'contextKey has 6 characters; use at least 16 random ones'],
    [
      'can be guessed in the environment',
      { environment: { CONCORDAT_CONTEXT_KEY: 'canary' } },
      'CONCORDAT_CONTEXT_KEY has 6 characters; use at least 16 random ones',
    ],
    [
      'can be guessed as one of several',
      { contextKey: [FIRST, 'canary'] },
      'contextKey has 6 characters in key 2; use at least 16',
    ],
    ['is an empty list', { contextKey: [] }, 'contextKey has no key'],
    ['is one of too many', { contextKey: NINE }, 'contextKey has 9 keys; use at most 8'],
    [
      'is there twice',
      { contextKey: [FIRST, SECOND, FIRST] },
      'contextKey has the same key twice, as key 1 and as key 3',
    ],
    ['is a number', { contextKey: 7 as never }, 'contextKey has something else than text'],
    ['is no text', { contextKey: [FIRST, 7 as never] }, 'contextKey has something else than text in key 2'],
    [
      'is in the environment and in a file',
      { environment: { CONCORDAT_CONTEXT_KEY: FIRST, CONCORDAT_CONTEXT_KEY_FILE: '/nowhere' } },
      'CONCORDAT_CONTEXT_KEY and CONCORDAT_CONTEXT_KEY_FILE are both set; use one of them',
    ],
    [
      'is an option and in a file of the options',
      { contextKey: FIRST, contextKeyFile: '/nowhere' },
      'the options contextKey and contextKeyFile are both set; use one of them',
    ],
  ])('%s: the start says what to set', (_what, changes, sentence) => {
    expect(refusal(changes)).toContain(sentence);
  });

  it('may be one of eight', () => {
    expect(keysOf({ contextKey: NINE.slice(1) })).toHaveLength(8);
  });
});

describe('a file with the keys of the cluster', () => {
  let directory: string;
  let file: string;
  let lines: string[];
  let logger: Logger;
  let now: number;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'concordat-context-keys-'));
    file = join(directory, 'context-keys');
    writeFileSync(file, `# of 2026\n${FIRST}\n`, { mode: 0o600 });
    const told: string[] = (lines = []);
    const note = (text: string): void => void told.push(text);
    logger = { debug: note, info: note, warn: note, error: note };
    now = 0;
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const ofFile = (): Partial<ContextKeySettings> => ({
    environment: { CONCORDAT_CONTEXT_KEY_FILE: file },
    monotonic: () => now,
    logger,
  });

  it('has one a line, between comments, empty lines and spaces', () => {
    writeFileSync(file, `\n# the new one\r\n  ${SECOND}\r\n\n${FIRST}`);
    expect(keysOf(ofFile())).toEqual([SECOND, FIRST]);
    expect(keysOf({ ...ofFile(), contextKey: 'from the options' })).toEqual(['from the options']);
  });

  it('may be that of an option, before any variable', () => {
    const other = join(directory, 'other-keys');
    writeFileSync(other, SECOND, { mode: 0o600 });
    expect(keysOf({ ...ofFile(), contextKeyFile: other })).toEqual([SECOND]);
    expect(keysOf({ environment: { CONCORDAT_CONTEXT_KEY: FIRST }, contextKeyFile: other })).toEqual([SECOND]);
    chmodSync(other, 0o644);
    expect(refusal({ contextKeyFile: other })).toMatch(/^contextKeyFile: .*\(chmod 0600\)$/);
  });

  it.each<[string, () => void, string]>([
    ['may be read by others', () => chmodSync(file, 0o644), 'its mode is 0644, and 0600 would be right (chmod 0600)'],
    ['may be written by others', () => chmodSync(file, 0o606), 'its mode is 0606, and 0600 would be right'],
    ['is not there', () => rmSync(file), 'the path of a readable file (Error: ENOENT'],
    [
      'is empty',
      () => writeFileSync(file, '# nothing yet\n'),
      'a file with one key a line, of which the first signs; this one has no key',
    ],
    ['has a short key', () => writeFileSync(file, `${FIRST}\ncanary\n`), 'this one has 6 characters in key 2'],
    ['has a key twice', () => writeFileSync(file, `${FIRST}\n ${FIRST}\n`), 'as key 1 and as key 2'],
    ['has too many', () => writeFileSync(file, NINE.join('\n')), 'this one has 9 keys; use at most 8'],
  ])('that %s is refused at the start, and later what it said before counts', (_what, spoil, sentence) => {
    const keys = contextKeysOf(settings(ofFile()));
    spoil();
    const message = refusal(ofFile());
    expect(message).toContain(`CONCORDAT_CONTEXT_KEY_FILE: ${file} must be `);
    expect(message).toContain(sentence);
    now += 1_001;
    expect(keys()).toEqual([FIRST]);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`${file} has changed and is not taken; what it said before counts. It must be `);
    expect(lines[0]).toContain(sentence);
    expect(lines[0]).not.toContain('canary');
  });

  it('is read again when it changes, and on request', () => {
    const keys = contextKeysOf(settings(ofFile()));
    writeFileSync(file, `${FIRST}\n${SECOND}\n`);
    now = 999;
    expect(keys()).toEqual([FIRST]);
    now = 1_000;
    expect(keys()).toEqual([FIRST, SECOND]);
    writeFileSync(file, `${SECOND}\n${FIRST}\n`);
    utimesSync(file, 1, 1);
    readFilesAgain();
    expect(keys()).toEqual([SECOND, FIRST]);
    expect(lines).toEqual([`${file} has changed and is read again`, `${file} is asked for and is read again`]);
  });
});
