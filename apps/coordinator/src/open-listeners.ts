import { formatAddress, type Address, type Environment, type VariableProblem } from '@concordat/foundation';
import { isLoopback } from './auth-variables.js';
import type { Config } from './config.js';
import { HTTP_TLS_FILES, RAFT_TLS_FILES } from './tls-variables.js';

export type Listeners = Pick<
  Config,
  'http' | 'raft' | 'direct' | 'link' | 'tls' | 'raftTls' | 'auth' | 'isOpen' | 'plainLinks' | 'signatures'
>;

/** A listener beyond loopback that takes plain text, and believes anyone who connects. */
interface PlainLink {
  readonly address: Address;
  /** who anybody could be there */
  readonly as: string;
  readonly remedy: string;
}

/**
 * Why this process must not start: others could reach it, and nobody would be asked who he is, though nobody has said
 * aloud that this is meant.
 */
export function openListenerProblems(config: Listeners, environment: Environment): VariableProblem[] {
  const { http, auth, isOpen, plainLinks } = config;
  if (isOpen) return [];
  const problems: VariableProblem[] = [];
  if (auth === undefined && !isLoopback(http.host)) {
    const expected =
      `"none" to let everybody in who reaches ${formatAddress(http)}, where REST listens, and that is more than loopback; ` +
      'or set CONCORDAT_AUTH_TOKEN_FILE ("concordat token create" makes tokens), CONCORDAT_AUTH_JWKS_URL or ' +
      'CONCORDAT_AUTH_KEY_FILE for authentication';
    problems.push({ variable: 'CONCORDAT_AUTH', value: undefined, expected });
  }
  const links = plainLinksOf(config);
  if (links.length > 0 && plainLinks === 'refuse') {
    const remedies = links.map(({ remedy }) => remedy).join(', and ');
    const expected = `"accept" to believe anyone who reaches ${describe(links)}, in plain text and beyond loopback; or set ${remedies}`;
    problems.push({
      variable: 'CONCORDAT_PLAIN_LINKS',
      value: environment['CONCORDAT_PLAIN_LINKS']?.trim() || undefined,
      expected,
    });
  }
  return problems;
}

/** What was said aloud and should be repeated at each start, and what authentication at REST does not protect. */
export function openListenerWarnings(config: Listeners): string[] {
  const { isOpen, auth, link, signatures } = config;
  if (isOpen) return ['CONCORDAT_AUTH is none: everybody who reaches the REST interface may do everything'];
  const links = plainLinksOf(config);
  const warnings: string[] = [];
  if (links.length > 0) {
    warnings.push(
      `CONCORDAT_PLAIN_LINKS is accept: anyone who reaches ${describe(links)}, is believed without a proof`,
    );
  }
  if (auth && link !== 'direct' && signatures?.mode !== 'require') {
    const remedy = signatures
      ? 'set CONCORDAT_SIGNATURES=require when the warnings are counted no more'
      : 'set CONCORDAT_SIGNATURES, CONCORDAT_SIGNING_KEY_FILE and CONCORDAT_TRUSTED_KEYS_FILE';
    warnings.push(
      'REST asks who is there, but messages over Kafka are believed without a signature: anyone who may write to the ' +
        `topics can vote and decide; ${remedy}`,
    );
  }
  return warnings;
}

function plainLinksOf({ raft, raftTls, direct, link, tls }: Listeners): PlainLink[] {
  const links: PlainLink[] = [];
  if (raftTls?.mode !== 'require' && !isLoopback(raft.host)) {
    const remedy = raftTls ? 'CONCORDAT_RAFT_TLS=require' : RAFT_TLS_FILES;
    links.push({ address: raft, as: 'another coordinator', remedy });
  }
  if (link !== 'kafka' && tls?.mode !== 'require' && !isLoopback(direct.host)) {
    const remedy = tls ? 'CONCORDAT_TLS=require' : HTTP_TLS_FILES;
    links.push({ address: direct, as: 'any participant', remedy });
  }
  return links;
}

function describe(links: readonly PlainLink[]): string {
  return links.map(({ address, as }) => `${formatAddress(address)} as ${as}`).join(' or ');
}
