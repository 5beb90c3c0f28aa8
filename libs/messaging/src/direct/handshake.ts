import { fitText } from '@concordat/foundation';
import { LIMITS } from '@concordat/commit-protocol';
import { z } from 'zod';
import { isParticipantName } from '../contract/topics.js';
import { LinkFrameError, type TextFrameType } from './frames.js';

/** The version of the frames and of the handshake; an end refuses others. */
export const LINK_VERSION = 1;

const MAXIMUM_URL_LENGTH = 512;
const MAXIMUM_MEMBERS = 256;

/** Why a coordinator refuses a stream. Stable. */
export const STREAM_REFUSALS = [
  'OTHER_CLUSTER',
  'UNKNOWN_VERSION',
  'INVALID_HELLO',
  'NOT_YOU',
  'INVALID_FRAME',
  'TOO_MANY_STREAMS',
  'TOO_MANY_HANDSHAKES',
] as const;

export type StreamRefusalCode = (typeof STREAM_REFUSALS)[number];

const status = z.strictObject({
  leads: z.boolean(),
  term: z.int().min(0),
  members: z.array(z.url().max(MAXIMUM_URL_LENGTH)).max(MAXIMUM_MEMBERS),
});

const schemas = {
  hello: z.strictObject({
    v: z.int(),
    cluster: z.string(),
    participant: z.string().refine(isParticipantName, 'must be the name of a participant'),
    instance: z.string().min(1).max(LIMITS.instanceNameLength),
  }),
  welcome: z.strictObject({ nodeId: z.int().min(1), status }),
  refusal: z.strictObject({ code: z.enum(STREAM_REFUSALS), detail: z.string() }),
  status,
} as const satisfies Record<TextFrameType, z.ZodType>;

/** The first frame of a participant. */
export type Hello = z.infer<typeof schemas.hello>;
/** The answer to a participant of the same cluster. */
export type Welcome = z.infer<typeof schemas.welcome>;
/** The answer to any other; then the coordinator closes the stream. */
export type StreamRefusal = z.infer<typeof schemas.refusal>;
/** The status of a coordinator: whether it leads, in which term, and the URLs of all members. */
export type CoordinatorStatus = z.infer<typeof status>;

interface Bodies {
  hello: Hello;
  welcome: Welcome;
  refusal: StreamRefusal;
  status: CoordinatorStatus;
}

/**
 * Parses a handshake frame.
 *
 * @throws LinkFrameError
 */
export function parseText<Type extends TextFrameType>(type: Type, text: string): Bodies[Type] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new LinkFrameError(`a ${type} that is not JSON`);
  }
  const result = schemas[type].safeParse(value);
  if (result.success) return result.data as Bodies[Type];
  const issue = result.error.issues[0]!;
  throw new LinkFrameError(fitText(`a ${type} with a wrong field: ${issue.path.join('.')}: ${issue.message}`, 300));
}

/**
 * Why a coordinator of `cluster` refuses a hello; undefined when it accepts it.
 *
 * @param participants those that the certificate of the other end names; undefined: it was not asked for one
 */
export function refuseHello(
  cluster: string,
  hello: Hello,
  participants?: readonly string[],
): StreamRefusal | undefined {
  if (participants && !participants.includes(hello.participant)) {
    const names = participants.join(', ') || 'no participant';
    const detail = `the certificate is of ${names}; the hello says it is the participant ${hello.participant}`;
    return { code: 'NOT_YOU', detail };
  }
  if (hello.v !== LINK_VERSION) {
    const detail = `the participant speaks version ${hello.v} of the direct link, this coordinator ${LINK_VERSION}; run the same release on both`;
    return { code: 'UNKNOWN_VERSION', detail };
  }
  if (hello.cluster === cluster) return undefined;
  const detail = `this coordinator belongs to the cluster "${cluster}"; the participant is set up for "${fitText(hello.cluster, 80)}"`;
  return { code: 'OTHER_CLUSTER', detail };
}
