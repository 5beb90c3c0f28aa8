import { createHash } from 'node:crypto';
import type { Principal } from './credentials/principal.js';

/** A token that was verified is verified again after this time: the clock by which it ends may have been set. */
export const KNOWN_FOR_MS = 60_000;
/** The least recently used ones are forgotten beyond it, and verified again. */
const MAXIMUM_KNOWN = 10_000;

interface Known {
  readonly principal: Principal;
  /** on the monotonic clock */
  readonly until: number;
}

/** The principals of tokens that were verified a moment ago, and count still. Keeps no token, only its hash. */
export class KnownPrincipals {
  private readonly byHash = new Map<string, Known>(); // the least recently used first

  constructor(
    private readonly monotonic: () => number,
    private readonly maximum = MAXIMUM_KNOWN,
  ) {}

  get size(): number {
    return this.byHash.size;
  }

  find(token: string): Principal | undefined {
    const hash = hashOf(token);
    const known = this.byHash.get(hash);
    if (known === undefined) return undefined;
    this.byHash.delete(hash);
    if (known.until <= this.monotonic() || known.principal.counts?.() === false) return undefined;
    this.byHash.set(hash, known);
    return known.principal;
  }

  /** @param validForMs until the token ends */
  remember(token: string, principal: Principal, validForMs: number): void {
    const until = this.monotonic() + Math.min(validForMs, KNOWN_FOR_MS);
    this.byHash.set(hashOf(token), { principal, until });
    if (this.byHash.size <= this.maximum) return;
    const [oldest] = this.byHash.keys();
    this.byHash.delete(oldest!);
  }
}

function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}
