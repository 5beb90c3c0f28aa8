export type RequestTarget =
  | { readonly ok: true; readonly pathAndQuery: string }
  /** `reason` ends the sentence "the target …" */
  | { readonly ok: false; readonly reason: string };

const refused = (reason: string): RequestTarget => ({ ok: false, reason });

/** RFC 3986, sections 3.3 and 3.4: the characters of a path and a query; also `[` and `]`, which many clients send. */
const PATH_AND_QUERY = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?[\]]|%[0-9A-Fa-f]{2})*$/;
/** `host`, `host:port`, `[ipv6]:port`; never with a user. */
const AUTHORITY = /^(?:[A-Za-z0-9\-._~]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+\-.]*):\/\/([^/?#]*)(.*)$/s;

/**
 * Parses the target of a request in each of the forms of RFC 9112, section 3.2. The absolute form equals the origin
 * form; its host is ignored. Called once, before any routing, so that all parts of a server understand the target in
 * the same way.
 *
 * @param target from the request line
 */
export function parseRequestTarget(target: string): RequestTarget {
  if (target.startsWith('/')) return checked(target);
  if (target === '*') return refused('is *, which this server does not support');
  const absolute = ABSOLUTE.exec(target);
  if (!absolute) return refused('is neither a path nor a URL');
  const [, scheme, authority, rest] = absolute;
  if (!['http', 'https'].includes(scheme!.toLowerCase())) return refused('is a URL with another scheme than http');
  if (!AUTHORITY.test(authority!)) return refused('is a URL without a valid host');
  return checked(rest!.startsWith('/') ? rest! : `/${rest!}`);
}

function checked(pathAndQuery: string): RequestTarget {
  if (PATH_AND_QUERY.test(pathAndQuery)) return { ok: true, pathAndQuery };
  return refused('contains a character that must be percent-encoded, or an invalid percent-encoding');
}
