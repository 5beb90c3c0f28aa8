import type {
  Acceptor,
  BranchAddress,
  Decision,
  PrepareMessage,
  ProtocolMessage,
  Protocol,
} from '@concordat/commit-protocol';

export const PARTICIPANT = 'bank-a';
export const TERM = 7;

/** What a handler is asked to do. */
export type Work = 'write' | 'read' | 'refuse';

/** A state in which a branch waits for messages, and what its row must come to when its real decision arrives. */
export interface Part {
  readonly name: string;
  readonly protocol: Protocol;
  readonly work: Work;
  readonly isPreparedByService?: boolean;
  /** what a coordinator that keeps the rules has sent so far */
  readonly heard: readonly Heard[];
  /** its last message waits for the database, as for a lock */
  readonly isHeld?: boolean;
  /** the one decision of its transaction; none where it decides by itself */
  readonly decision: Decision | undefined;
  readonly ledger: 'committed' | 'aborted' | undefined;
}

export type Heard = 'prepare' | 'one-phase' | 'commit' | 'abort' | 'accept' | 'promise' | 'due' | 'contradiction';

const YES = { work: 'write', decision: 'commit', ledger: 'committed' } as const;
const READ = { work: 'read', decision: 'commit', ledger: undefined } as const;
const NO = { work: 'refuse', decision: 'abort', ledger: 'aborted' } as const;
const TWO = { protocol: '2pc' } as const;
const THREE = { protocol: '3pc' } as const;

/** Every state of a branch at a participant, in both protocols. */
export const PARTS: readonly Part[] = [
  { name: 'nothing is known', ...TWO, ...YES, heard: [] },
  { name: 'working', ...TWO, ...YES, heard: ['prepare'], isHeld: true },
  { name: 'voted yes', ...TWO, ...YES, heard: ['prepare'] },
  { name: 'voted yes, to be aborted', ...TWO, ...YES, decision: 'abort', ledger: 'aborted', heard: ['prepare'] },
  // it holds nothing, so nobody tells it
  { name: 'voted read-only', ...TWO, ...READ, decision: undefined, heard: ['prepare'] },
  { name: 'voted no', ...TWO, ...NO, heard: ['prepare'] },
  { name: 'deciding', ...TWO, ...YES, heard: ['prepare', 'commit'], isHeld: true },
  { name: 'committed', ...TWO, ...YES, heard: ['prepare', 'commit'] },
  { name: 'aborted', ...TWO, ...YES, decision: 'abort', ledger: 'aborted', heard: ['prepare', 'abort'] },
  { name: 'stopped', ...TWO, ...YES, heard: ['prepare', 'commit', 'contradiction'] },
  { name: 'prepared by its service', ...TWO, ...YES, isPreparedByService: true, heard: [] },
  { name: 'working in one phase', ...TWO, ...YES, decision: undefined, heard: ['one-phase'], isHeld: true },
  { name: 'ended in one phase', ...TWO, ...YES, decision: undefined, heard: ['one-phase'] },
  { name: 'working in three phases', ...THREE, ...YES, heard: ['prepare'], isHeld: true },
  { name: 'voted yes in three phases', ...THREE, ...YES, heard: ['prepare'] },
  { name: 'voted read-only in three phases', ...THREE, ...READ, heard: ['prepare'] },
  { name: 'voted no in three phases', ...THREE, ...NO, heard: ['prepare'] },
  { name: 'accepted', ...THREE, ...YES, heard: ['prepare', 'accept'] },
  { name: 'promised', ...THREE, ...YES, heard: ['prepare', 'accept', 'promise'] },
  { name: 'its own ballot runs', ...THREE, ...YES, heard: ['prepare', 'accept', 'due'] },
  { name: 'deciding in three phases', ...THREE, ...YES, heard: ['prepare', 'accept', 'commit'], isHeld: true },
  { name: 'committed in three phases', ...THREE, ...YES, heard: ['prepare', 'accept', 'commit'] },
];

/** One branch on the stage, with those of its transaction that are elsewhere. */
export interface Actor {
  readonly part: Part;
  readonly address: BranchAddress;
  readonly acceptors: readonly Acceptor[];
}

export function prepareOf({ part, address, acceptors }: Actor, term: number, attempt = 0): PrepareMessage {
  const work = {
    type: 'prepare',
    ...address,
    operations: part.isPreparedByService ? [] : [{ operation: part.work, payload: {}, keys: [] }],
    deadline: Date.UTC(2026, 0, 2),
    attempt,
    epoch: { term, index: 1 },
  } as const;
  return part.protocol === '3pc' ? { ...work, protocol: '3pc', acceptors } : { ...work, protocol: '2pc' };
}

/** What a coordinator that keeps the rules sends. */
export function messageOf(actor: Actor, heard: Heard): ProtocolMessage[] {
  const { address, acceptors } = actor;
  const decide = (decision: Decision): ProtocolMessage => ({ type: 'decision', ...address, decision, attempt: 0 });
  const first = { round: 0, proposer: 0 };
  switch (heard) {
    case 'prepare':
      return [prepareOf(actor, TERM)];
    case 'one-phase': {
      const { operations, deadline, attempt } = prepareOf(actor, TERM);
      return [{ type: 'commit-one-phase', ...address, operations, deadline, attempt }];
    }
    case 'commit':
    case 'abort':
      return [decide(heard)];
    case 'accept':
      return [
        { type: 'ballot-request', ...address, request: { type: 'accept', ballot: first, value: 'commit' }, acceptors },
      ];
    case 'promise':
      return [
        {
          type: 'ballot-request',
          ...address,
          request: { type: 'promise', ballot: { round: 1, proposer: 0 } },
          acceptors,
        },
      ];
    case 'due':
      return [{ type: 'termination-due', ...address }];
    case 'contradiction':
      return [decide('abort')];
  }
}
