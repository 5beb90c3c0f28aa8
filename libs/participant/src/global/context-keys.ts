import { createHash } from 'node:crypto';
import { WatchedFile, isCoordinatorUrl, shownUrl, silentLogger, type Logger } from '@concordat/foundation';
import { GlobalConfigurationError } from './errors.js';

/** The variable that sets the key where the options do not. */
export const CONTEXT_KEY_VARIABLE = 'CONCORDAT_CONTEXT_KEY';
/** Instead of it: the path of a file with one key a line, read again when it changes. */
export const CONTEXT_KEY_FILE_VARIABLE = 'CONCORDAT_CONTEXT_KEY_FILE';

const MINIMUM_KEY_LENGTH = 16;
/** All are tried for each call; two are needed while one replaces another. */
const MAXIMUM_KEYS = 8;

/** The keys that count now, of which there is at least one: the first signs, all verify. */
export type ContextKeySource = () => readonly string[];

export interface ContextKeySettings {
  /** the option */
  readonly contextKey?: string | readonly string[] | undefined;
  /** the option: the path of a file with them, instead */
  readonly contextKeyFile?: string | undefined;
  readonly cluster: string;
  /** URLs */
  readonly coordinators: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logger?: Logger;
  /** in milliseconds; default: the clock of the machine */
  readonly monotonic?: () => number;
}

/**
 * The keys of the cluster: the options, then the environment; in both a file may hold them. With all coordinators on
 * this machine, a key for development made from the cluster's name.
 *
 * @throws GlobalConfigurationError without a key, for keys that cannot be used, or for coordinators that are no URLs
 */
export function contextKeysOf(settings: ContextKeySettings): ContextKeySource {
  const { contextKey = '', contextKeyFile = '', cluster, coordinators, environment, logger = silentLogger } = settings;
  if (contextKey !== '' && contextKeyFile !== '') throw bothSet('the options contextKey and contextKeyFile');
  if (contextKeyFile !== '') return keysOfFile(contextKeyFile, 'contextKeyFile', settings);
  if (contextKey !== '') return fixedKeys(contextKey);
  const key = environment[CONTEXT_KEY_VARIABLE] ?? '';
  const file = environment[CONTEXT_KEY_FILE_VARIABLE] ?? '';
  if (key !== '' && file !== '') throw bothSet(`${CONTEXT_KEY_VARIABLE} and ${CONTEXT_KEY_FILE_VARIABLE}`);
  if (file !== '') return keysOfFile(file, CONTEXT_KEY_FILE_VARIABLE, settings);
  if (key !== '') return fixedKeys(key, CONTEXT_KEY_VARIABLE);
  if (!coordinators.every(isLoopback)) {
    throw new GlobalConfigurationError(
      `no key for the contexts of transactions: set the option contextKey or the variable ${CONTEXT_KEY_VARIABLE} to a ` +
        `random text of at least ${MINIMUM_KEY_LENGTH} characters (openssl rand -base64 32), or ${CONTEXT_KEY_FILE_VARIABLE} to a file with it, ` +
        'the same in all services of the cluster',
    );
  }
  logger.warn(
    `contexts are signed with a key for development, because all coordinators are on this machine; set ${CONTEXT_KEY_VARIABLE} ` +
      `or ${CONTEXT_KEY_FILE_VARIABLE} in production`,
  );
  return fixedKeys(createHash('sha256').update(`concordat development ${cluster}`).digest('base64url'));
}

/** @param name of where they are set, for errors @throws GlobalConfigurationError for keys that cannot be used */
export function fixedKeys(given: string | readonly string[], name = 'contextKey'): ContextKeySource {
  const keys = [given].flat();
  const fault = faultOf(keys);
  if (fault !== undefined) throw new GlobalConfigurationError(`${name} ${fault}`);
  return () => keys;
}

function bothSet(names: string): GlobalConfigurationError {
  return new GlobalConfigurationError(
    `${names} are both set; use one of them (the file can be replaced without a restart)`,
  );
}

/** @param name of where the file is set, for errors */
function keysOfFile(
  path: string,
  name: string,
  { logger = silentLogger, monotonic }: ContextKeySettings,
): ContextKeySource {
  const file = new WatchedFile<readonly string[]>({
    path,
    kind: 'secret',
    parse: (text) => {
      const lines = text.split('\n').map((line) => line.trim());
      const keys = lines.filter((line) => line !== '' && !line.startsWith('#'));
      const fault = faultOf(keys);
      if (fault === undefined) return { ok: true, content: keys };
      return { ok: false, expected: `a file with one key a line, of which the first signs; this one ${fault}` };
    },
    monotonic: monotonic ?? (() => performance.now()),
    logger,
    failure: (sentence) => new GlobalConfigurationError(`${name}: ${sentence}`),
  });
  return () => file.content;
}

/** Why keys cannot be used, to follow the name of where they are set; undefined when they can. No key is in it. */
function faultOf(keys: readonly string[]): string | undefined {
  if (keys.length === 0) return 'has no key; give at least one';
  if (keys.length > MAXIMUM_KEYS)
    return `has ${keys.length} keys; use at most ${MAXIMUM_KEYS}, of which the first signs`;
  for (const [place, key] of keys.entries()) {
    const which = keys.length === 1 ? '' : ` in key ${place + 1}`;
    if (typeof key !== 'string') return `has something else than text${which}`;
    if (key.length < MINIMUM_KEY_LENGTH) {
      return `has ${key.length} characters${which}; use at least ${MINIMUM_KEY_LENGTH} random ones (openssl rand -base64 32), the same for all services`;
    }
    const earlier = keys.indexOf(key);
    if (earlier < place) return `has the same key twice, as key ${earlier + 1} and as key ${place + 1}; leave one out`;
  }
  return undefined;
}

function isLoopback(url: string): boolean {
  if (!isCoordinatorUrl(url)) {
    throw new GlobalConfigurationError(`coordinators has ${shownUrl(url)}; use URLs such as http://127.0.0.1:8081`);
  }
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);
}
