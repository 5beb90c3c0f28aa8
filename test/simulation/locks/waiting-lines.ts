/** One leadership of one life of a node: its queues live and die with it. */
export interface LockLeadership {
  readonly process: object;
  readonly term: number;
  /** whether it still is, and nobody leads in a later term */
  readonly isCurrent: () => boolean;
}

/** One request for a lock, as its client made it. */
export interface LockAsk {
  readonly name: string;
  readonly owner: string;
  /** undefined: the node does not lead */
  readonly leadership: LockLeadership | undefined;
  /** another had the lock when the request came, and the client waits: it stands in the queue from this moment on */
  readonly isQueued: boolean;
  readonly waitMs: number;
}

interface Place extends Omit<LockAsk, 'isQueued'> {
  readonly sequence: number;
  readonly until: number;
  isQueued: boolean;
  /** its client has an answer, or has hung up */
  isOver: boolean;
}

/**
 * Who waits for which lock: the lines in which clients are served, first come, first served. It knows only what is
 * certain. A request that finds the lock held stands in the queue at once; one that finds it free is proposed first, and
 * may queue later. So a client has been overtaken only if it stands in line for certain, and every request of the one
 * that gets the lock came later, in the same leadership.
 */
export class WaitingLines {
  /** grants of a lock while somebody stood in line for certain */
  contested = 0;
  private readonly places = new Map<string, Place[]>();
  private sequence = 0;

  constructor(
    private readonly violate: (rule: string) => void,
    private readonly now: () => number,
  ) {}

  /** @returns to be called when the client has its answer, or hangs up */
  ask(request: LockAsk): () => void {
    const place: Place = { ...request, sequence: ++this.sequence, until: this.now() + request.waitMs, isOver: false };
    this.places.set(request.name, [...(this.places.get(request.name) ?? []), place]);
    return () => {
      place.isOver = true;
    };
  }

  /** The log grants a lock to one that did not have it. */
  granted(name: string, owner: string): void {
    const all = this.places.get(name) ?? [];
    const own = all.filter((place) => place.owner === owner);
    const waiting = all.filter((place) => place.owner !== owner && this.waits(place));
    if (waiting.length > 0) this.contested++;
    const overtaken = waiting.find((place) => own.length > 0 && own.every((one) => isBehind(one, place)));
    if (overtaken) this.violate(`${owner} gets ${name} before ${overtaken.owner}, which had waited for it longer`);
    this.served(name, owner);
  }

  /** A client has the lock: it waits no longer. What it had asked for and is over cannot be granted later. */
  served(name: string, owner: string): void {
    const all = this.places.get(name) ?? [];
    for (const place of all) if (place.owner === owner) place.isQueued = false;
    this.places.set(
      name,
      all.filter((place) => place.owner !== owner || !place.isOver),
    );
  }

  private waits({ isQueued, isOver, until, leadership }: Place): boolean {
    return isQueued && !isOver && this.now() < until && leadership?.isCurrent() === true;
  }
}

function isBehind(later: Place, earlier: Place): boolean {
  return (
    later.sequence > earlier.sequence &&
    later.leadership?.process === earlier.leadership?.process &&
    later.leadership?.term === earlier.leadership?.term
  );
}
