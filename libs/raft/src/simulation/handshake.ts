import type { Clock } from '@concordat/foundation';
import type { SimulatedProcess } from '@concordat/foundation/testing';
import type { Incarnation, Message, NodeId } from '../core/types.js';
import { ProcessClaims, type Claimant } from '../transport/process-claims.js';
import type { Speaker } from './simulated-network.js';

/** Numbers of the processes of a machine; those of its twin come after them. */
const FIRST_TWIN_PROCESS = 1_000_000;

/** An echo is answered with the next ping but one at the latest, and patience is three pings. */
const ANSWER_OF_PATIENCE = 2 / 3;

export interface HandshakeSurroundings {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** the sender of messages in that node's name, where a second process with that id runs or has run */
  originalOf(nodeId: NodeId): Original | undefined;
}

interface Original {
  readonly record: { readonly incarnation: Incarnation | undefined };
  readonly speaker: Speaker | undefined;
}

/**
 * What a process of the transport knows of other processes, which messages do not show: streams are opened before the
 * first message. A node's first machine is connected to all others while its process lives; a second process with its
 * id asks with each message.
 */
export class Handshake {
  private readonly claims: ProcessClaims;
  onSecondProcess: (witness: NodeId) => void = () => undefined;

  constructor(
    private readonly nodeId: NodeId,
    private readonly surroundings: HandshakeSurroundings,
    private readonly patienceMs: number,
  ) {
    this.claims = new ProcessClaims(patienceMs);
  }

  /** By what others tell this process. */
  speaker(life: number, isTwin: boolean, process: SimulatedProcess): Speaker {
    return {
      process: isTwin ? FIRST_TWIN_PROCESS + life : life,
      isTwin,
      isAlive: () => process.isAlive,
      judged: (by, verdict) => {
        this.claims.judgedBy(by, verdict);
        if (verdict === 'second') this.onSecondProcess(by);
      },
    };
  }

  /** Whether this process accepts the message. */
  admits({ from, fromIncarnation }: Message, speaker: Speaker): boolean {
    return this.accepts(from, fromIncarnation, speaker) && this.claims.listensTo(from);
  }

  /** A process opens a stream to this one. @returns whether it is accepted */
  accepts(from: NodeId, incarnation: Incarnation, speaker: Speaker): boolean {
    const original = this.surroundings.originalOf(from);
    if (!original) return true;
    const now = this.surroundings.clock.monotonic();
    const isOfOriginal = original.record.incarnation === incarnation;
    if (!speaker.isAlive()) return !speaker.isTwin || !isOfOriginal; // a copy's last messages end with its streams
    if (original.speaker && isOfOriginal) this.claims.claim(from, incarnation, this.claimant(original.speaker), now);
    const verdict = this.claims.claim(from, incarnation, this.claimant(speaker), now);
    speaker.judged(this.nodeId, verdict);
    return verdict === 'accepted';
  }

  private claimant(speaker: Speaker): Claimant {
    const { clock } = this.surroundings;
    return {
      process: speaker.process,
      isOpen: () => speaker.isAlive(),
      heardAt: () => clock.monotonic(),
      aliveAt: () => clock.monotonic() - ANSWER_OF_PATIENCE * this.patienceMs,
    };
  }
}
