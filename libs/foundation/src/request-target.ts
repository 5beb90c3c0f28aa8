/** What a request asks for: a path with its query, or nothing that can be served. */
export type RequestTarget =
  | { readonly ok: true; readonly pathAndQuery: string }
  /** `reason` ends the sentence "the target …" */
  | { readonly ok: false; readonly reason: string };

const refused = (reason: string): RequestTarget => ({ ok: false, reason });

/** RFC 3986, section 3.3 and 3.4: what a path and a query may hold; `[` and `]`, which many clients send, too. */
const PATH_AND_QUERY = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?[\]]|%[0-9A-Fa-f]{2})*$/;
/** `host`, `host:port`, `[ipv6]:port`; never with a user, which belongs in no request. */
const AUTHORITY = /^(?:[A-Za-z0-9\-._~]+|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?$/;
const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+\-.]*):\/\/([^/?#]*)(.*)$/s;

/**
 * Reads the target of a request in each of the forms of RFC 9112, section 3.2. A server must take the absolute form
 * as it takes the origin form; the host in it names this server, whatever it is. Asked in one place, before anything
 * else looks at the target, so that no two parts of a server understand it differently.
 *
 * @param target as it stands in the request line
 */
export function parseRequestTarget(target: string): RequestTarget {
  if (target.startsWith('/')) return checked(target);
  if (target === '*') return refused('is * and so asks about the server as a whole, which answers nothing about that');
  const absolute = ABSOLUTE.exec(target);
  if (!absolute) return refused('is neither a path nor a URL');
  const [, scheme, authority, rest] = absolute;
  if (!['http', 'https'].includes(scheme!.toLowerCase())) return refused('is a URL of another scheme than http');
  if (!AUTHORITY.test(authority!)) return refused('is a URL without a valid host');
  return checked(rest!.startsWith('/') ? rest! : `/${rest!}`);
}

function checked(pathAndQuery: string): RequestTarget {
  if (PATH_AND_QUERY.test(pathAndQuery)) return { ok: true, pathAndQuery };
  return refused('holds a character that must be percent-encoded, or a % that begins no such code');
}
