import type { LogRecord, Protocol, ProtocolMessage, Vote } from '@concordat/commit-protocol';

/** A state in which a transaction waits for messages, and what it must come to when honest ones arrive. */
export interface Part {
  readonly name: string;
  readonly protocol: Protocol;
  readonly branches: number;
  /** begun, enlisted and left open; else it is executed in one call */
  readonly isInteractive?: boolean;
  /** stood before the leader that is under fire was elected */
  readonly isOlder?: boolean;
  /** which of its proposals waits in the log */
  readonly holds?: LogRecord['type'];
  /** the vote of a branch, by its place from 0 */
  vote(place: number): Vote;
  /** which messages are answered before the storm, by the place of the branch */
  answers(message: ProtocolMessage, place: number): boolean;
  readonly outcome: 'committed' | 'aborted';
}

type Answers = Part['answers'];

const yes = (): Vote => 'yes';
const nothing: Answers = () => false;
const everything: Answers = () => true;
const work: Answers = ({ type }) => type === 'prepare';
const workOfFirst: Answers = ({ type }, place) => type === 'prepare' && place === 0;
const untilDecided: Answers = ({ type }) => type === 'prepare' || type === 'ballot-request';
const first =
  (before: Answers, type: ProtocolMessage['type']): Answers =>
  (message, place) =>
    before(message, place) || (message.type === type && place === 0);

const TWO = { protocol: '2pc', branches: 2, vote: yes, outcome: 'committed' } as const;
const THREE = { protocol: '3pc', branches: 3, vote: yes, outcome: 'committed' } as const;
const refusedByLast = (place: number): Vote => (place === 0 ? 'yes' : 'no');
const halfRead = (place: number): Vote => (place === 0 ? 'yes' : 'read-only');
const promises: Answers = (message, place) =>
  work(message, place) || (message.type === 'ballot-request' && message.request.type === 'promise');

/** Every state of a transaction on a leader, in both protocols. */
export const PARTS: readonly Part[] = [
  { name: 'active', ...TWO, isInteractive: true, answers: nothing },
  { name: 'preparing', ...TWO, answers: nothing },
  { name: 'some voted', ...TWO, answers: workOfFirst },
  { name: 'deciding', ...TWO, answers: work, holds: 'decide' },
  { name: 'committing', ...TWO, answers: work },
  { name: 'committing, one is done', ...TWO, answers: first(work, 'decision') },
  { name: 'committing, one only read', ...TWO, vote: halfRead, answers: work },
  { name: 'aborting', ...TWO, vote: refusedByLast, answers: work, outcome: 'aborted' },
  { name: 'ended', ...TWO, answers: everything },
  { name: 'taken over', ...TWO, isOlder: true, answers: workOfFirst },
  { name: 'delegated', ...TWO, branches: 1, answers: nothing },
  { name: 'delegated and ended', ...TWO, branches: 1, answers: everything },
  { name: 'active in three phases', ...THREE, isInteractive: true, answers: nothing },
  { name: 'preparing in three phases', ...THREE, answers: nothing },
  { name: 'some voted in three phases', ...THREE, answers: workOfFirst },
  { name: 'pre-committing', ...THREE, answers: work, holds: 'pre-commit' },
  { name: 'pre-committed', ...THREE, answers: work },
  { name: 'pre-committed, one accepted', ...THREE, answers: first(work, 'ballot-request') },
  { name: 'pre-committed, some only read', ...THREE, vote: halfRead, answers: work },
  { name: 'deciding by ballot', ...THREE, answers: untilDecided, holds: 'decide' },
  { name: 'committing in three phases', ...THREE, answers: untilDecided },
  { name: 'aborting in three phases', ...THREE, vote: refusedByLast, answers: work, outcome: 'aborted' },
  { name: 'ended in three phases', ...THREE, answers: everything },
  { name: 'pre-committed by an earlier leader', ...THREE, isOlder: true, answers: work, outcome: 'aborted' },
  { name: 'promised to a later leader', ...THREE, isOlder: true, answers: promises, outcome: 'aborted' },
  { name: 'delegated in three phases', ...THREE, branches: 1, answers: nothing },
];
