import { ParticipantConfigurationError } from '../../runtime/errors.js';
import type { PostgresTls, SslMode } from '../settings.js';

/** Weakest first, with the meaning that they have in `psql` and libpq. */
export const SSL_MODES = ['disable', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;

/** Words of a URL that other clients of PostgreSQL write for the same. */
const SYNONYMS: Readonly<Record<string, SslMode>> = { 'no-verify': 'require', true: 'verify-full', '1': 'verify-full' };
/** libpq's word for the authorities of the platform. */
const SYSTEM_AUTHORITIES = 'system';
const SSL_PARAMETERS = ['sslmode', 'ssl', 'sslrootcert', 'sslcert', 'sslkey', 'sslnegotiation', 'uselibpqcompat'];

export interface SslOfUrl {
  /** undefined: the URL says nothing of TLS */
  readonly tls: PostgresTls | undefined;
  /** without the parameters that speak of TLS */
  readonly rest: string;
}

export function isSslMode(text: string): text is SslMode {
  return SSL_MODES.some((mode) => mode === text);
}

/**
 * Takes the TLS parameters of libpq out of a URL.
 *
 * @throws ParticipantConfigurationError for a mode that is none, and for files without a mode that uses them
 */
export function takeSslFromUrl(connectionString: string): SslOfUrl {
  if (!URL.canParse(connectionString)) return { tls: undefined, rest: connectionString };
  const url = new URL(connectionString);
  const given = new Map(SSL_PARAMETERS.map((name) => [name, url.searchParams.get(name)]));
  if ([...given.values()].every((value) => value === null)) return { tls: undefined, rest: connectionString };
  for (const name of SSL_PARAMETERS) url.searchParams.delete(name);
  return { tls: checkTls(tlsOf(given), 'the database URL'), rest: url.href };
}

/** @throws ParticipantConfigurationError when the settings contradict themselves; `where` they stand */
export function checkTls(tls: PostgresTls, where: string): PostgresTls {
  const fault = tlsFault(tls);
  if (fault !== undefined) throw new ParticipantConfigurationError(`${where} ${fault}`);
  return tls;
}

/** Of what mode and files say together; the rest of a sentence. */
export function tlsFault({ mode, ca, certificate, key, negotiation = 'postgres' }: PostgresTls): string | undefined {
  if (!isSslMode(mode)) return `has the sslmode "${String(mode)}"; use one of ${SSL_MODES.join(', ')}`;
  if (mode === 'disable' && (ca ?? certificate ?? key) !== undefined) {
    return 'has files for TLS and the sslmode disable; use verify-full, or leave the files out';
  }
  if (mode === 'verify-ca' && ca === undefined) {
    return (
      'has the sslmode verify-ca without an authority; give the file with it (sslrootcert, or ca), or use verify-full: ' +
      'anybody may have a certificate of a public authority'
    );
  }
  if ((certificate === undefined) !== (key === undefined)) {
    return 'has only one of client certificate and key; give both (sslcert and sslkey, or certificate and key)';
  }
  if (negotiation !== 'postgres' && negotiation !== 'direct') {
    return `has the sslnegotiation "${String(negotiation)}"; use postgres or direct`;
  }
  if (negotiation === 'direct' && (mode === 'disable' || mode === 'prefer')) {
    return `has sslnegotiation=direct with the sslmode ${mode}; use require, verify-ca or verify-full`;
  }
  return undefined;
}

/** Whether the server has to show a certificate of a trusted authority. As in libpq, an authority makes `require` ask. */
export function verifiesServer({ mode, ca }: PostgresTls): boolean {
  return mode === 'verify-full' || mode === 'verify-ca' || (mode === 'require' && ca !== undefined);
}

function tlsOf(given: ReadonlyMap<string, string | null>): PostgresTls {
  const text = (name: string): string | undefined => given.get(name) || undefined;
  const [ca, certificate, key] = [text('sslrootcert'), text('sslcert'), text('sslkey')];
  const isSystem = ca === SYSTEM_AUTHORITIES;
  const negotiation = text('sslnegotiation');
  return {
    mode: modeOf(text('sslmode') ?? text('ssl'), (ca ?? certificate ?? key ?? negotiation) !== undefined),
    ...(ca !== undefined && !isSystem && { ca }),
    ...(certificate !== undefined && { certificate }),
    ...(key !== undefined && { key }),
    ...(negotiation !== undefined && { negotiation: negotiation as 'postgres' | 'direct' }),
  };
}

/** As `pg` does: files alone mean that the server is verified. */
function modeOf(text: string | undefined, hasOthers: boolean): SslMode {
  if (text === undefined) return hasOthers ? 'verify-full' : 'disable';
  if (text === 'false' || text === '0') return 'disable';
  return (SYNONYMS[text] ?? text) as SslMode;
}
