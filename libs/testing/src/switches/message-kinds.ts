import type { CoordinatorMessage, ProtocolMessage, ReplyMessage } from '@concordat/commit-protocol';
import { InvalidArgumentError, UnknownNameError } from '../errors.js';

/**
 * What the coordinator and a participant talk about: the work and the vote (`prepare`), in three phases the acceptance
 * of the decision (`precommit`), and the two decisions. Each has a request and a reply.
 */
export const MESSAGE_KINDS = ['prepare', 'precommit', 'commit', 'abort'] as const;

export type MessageKind = (typeof MESSAGE_KINDS)[number];

/** `request`: to the participant; `reply`: from it. */
export type Direction = 'request' | 'reply';

/** A message that a switch may concern. */
export interface KnownMessage {
  readonly direction: Direction;
  readonly kind: MessageKind;
  readonly participant: string;
  readonly transactionId: string;
}

/** @throws UnknownNameError listing the kinds */
export function checkKinds(kinds: readonly string[]): readonly MessageKind[] {
  if (kinds.length === 0) {
    throw new InvalidArgumentError(`name at least one kind of message; there are: ${MESSAGE_KINDS.join(', ')}`);
  }
  const isKind = (kind: string): kind is MessageKind => MESSAGE_KINDS.some((known) => known === kind);
  return kinds.map((kind) => {
    if (isKind(kind)) return kind;
    throw new UnknownNameError(`no kind of message is called "${kind}"; there are: ${MESSAGE_KINDS.join(', ')}`);
  });
}

/** Undefined for messages that no switch concerns: rulings, inquiries and their answers, announcements. */
export function requestOf(message: ProtocolMessage): KnownMessage | undefined {
  const kind = requestKind(message as CoordinatorMessage);
  return kind && known('request', kind, message);
}

/**
 * Like `requestOf`, of a reply.
 *
 * @param isDelegated whether the branch was left to decide alone: then its `done` is the reply to the work
 */
export function replyOf(
  message: ProtocolMessage,
  isDelegated: (branchId: string) => boolean,
): KnownMessage | undefined {
  const kind = replyKind(message as ReplyMessage, isDelegated);
  return kind && known('reply', kind, message);
}

function known(direction: Direction, kind: MessageKind, message: ProtocolMessage): KnownMessage | undefined {
  if (!('participant' in message) || !('transactionId' in message)) return undefined;
  const { participant, transactionId } = message;
  return { direction, kind, participant, transactionId };
}

function requestKind(message: CoordinatorMessage): MessageKind | undefined {
  switch (message.type) {
    case 'prepare':
    case 'commit-one-phase':
      return 'prepare';
    case 'ballot-request':
      return 'precommit';
    case 'decision':
      return message.decision;
    default:
      return undefined;
  }
}

function replyKind(message: ReplyMessage, isDelegated: (branchId: string) => boolean): MessageKind | undefined {
  switch (message.type) {
    case 'vote':
      return 'prepare';
    case 'ballot-answer':
      return 'precommit';
    case 'done':
      if (isDelegated(message.branchId)) return 'prepare';
      return message.end === 'aborted' || message.end === 'heuristic-rollback' ? 'abort' : 'commit';
    default:
      return undefined;
  }
}
