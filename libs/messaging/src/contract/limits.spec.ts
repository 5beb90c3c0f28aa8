import { describe, expect, it } from '@jest/globals';
import { LIMITS, type Acceptor, type OperationCall, type ProtocolMessage } from '@concordat/commit-protocol';
import { decodeMessage, encodeMessage } from './codec.js';
import { isParticipantName } from './topics.js';

const CLUSTER = 'c'.repeat(63);
const idOf = (n: number): string => `018f2d3c-1111-7abc-8def-${String(n).padStart(12, '0')}`;
const PARTICIPANT = 'p'.repeat(LIMITS.participantNameLength);
const ADDRESS = { transactionId: idOf(0), branchId: idOf(1), participant: PARTICIPANT };

const acceptors: Acceptor[] = Array.from({ length: LIMITS.branches }, (_, n) => {
  return { branchId: idOf(n + 1), participant: PARTICIPANT };
});

/** Operations of together `LIMITS.operationsBytes`, as many and with names as long as there can be. */
function largestOperations(): OperationCall[] {
  const operation = '\u{10ffff}'.repeat(LIMITS.operationNameLength / 2);
  const room = LIMITS.operationsBytes / LIMITS.operations;
  return Array.from({ length: LIMITS.operations }, () => {
    const empty = { operation, payload: '', keys: ['k'.repeat(LIMITS.keyLength)] };
    return { ...empty, payload: 'x'.repeat(room - Buffer.byteLength(JSON.stringify(empty)) - 1) };
  });
}

const results = ['x'.repeat(LIMITS.resultsBytes - 4)];
const error = { code: 'X'.repeat(LIMITS.errorCodeLength), message: '\u{10ffff}'.repeat(LIMITS.errorMessageLength / 2) };
const largest: ProtocolMessage[] = [
  {
    type: 'prepare',
    ...ADDRESS,
    protocol: '3pc',
    operations: largestOperations(),
    deadline: Number.MAX_SAFE_INTEGER,
    attempt: Number.MAX_SAFE_INTEGER,
    epoch: { term: Number.MAX_SAFE_INTEGER, index: Number.MAX_SAFE_INTEGER },
    acceptors,
    enlistedVote: 'read-only',
  },
  { type: 'commit-one-phase', ...ADDRESS, operations: largestOperations(), deadline: 0, attempt: 0 },
  { type: 'vote', ...ADDRESS, vote: 'yes', results, error },
  { type: 'done', ...ADDRESS, end: 'heuristic-rollback', results, error },
  {
    type: 'ballot-request',
    ...ADDRESS,
    request: { type: 'accept', ballot: { round: 1, proposer: LIMITS.branches }, value: 'commit' },
    acceptors,
    proposer: acceptors[0]!,
  },
  {
    type: 'branches-decided',
    ...ADDRESS,
    decision: 'commit',
    amnesiacs: acceptors.map(({ branchId }) => branchId),
  },
  {
    type: 'outcome',
    transactionId: idOf(0),
    outcome: 'committed',
    decidedAt: 0,
    endedAt: 0,
    participants: acceptors.map(({ participant }) => participant),
  },
];

describe('the largest message of each kind', () => {
  it.each(largest.map((message) => [message.type, message] as const))('%s can be sent and read', (_type, message) => {
    const bytes = encodeMessage(CLUSTER, message);
    expect(bytes.length).toBeLessThan(LIMITS.messageBytes);
    expect(decodeMessage(CLUSTER, bytes)).toEqual(message);
  });

  it('has a name as long as a participant may have', () => {
    expect([isParticipantName(PARTICIPANT), isParticipantName(`${PARTICIPANT}p`)]).toEqual([true, false]);
  });
});
