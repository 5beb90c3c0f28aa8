import { createHmac, sign, timingSafeEqual, verify } from 'node:crypto';
import { WatchedFile, type Clock, type Logger } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import type { Disbelief, MessageAuthenticity, MessageSender, Signed, SignedRecord } from '../contract/authenticity.js';
import type { EncodedMessage } from '../contract/codec.js';
import { SignatureSetupError } from '../contract/errors.js';
import { objectionTo } from '../contract/permissions.js';
import type { Topic } from '../contract/topics.js';
import { parseKeySet, speaksFor, type MessageKey } from './key-set.js';
import type { SignatureMode, SignatureSettings } from './settings.js';

/** The header of a record: version, key id, sender, time of signing in milliseconds since 1970, signature. */
export const SIGNATURE_HEADER = 'concordat-signature';
const HEADER =
  /^1;([A-Za-z0-9][A-Za-z0-9._-]{0,99});(coordinator|participant:[a-z0-9][a-z0-9-]{0,62});(\d{1,15});([A-Za-z0-9_-]{43}|[A-Za-z0-9_-]{86})$/;
const MAXIMUM_HEADER_BYTES = 512;
/** For announcements, which change something each time; all other messages may be repeated at any time. */
const MAXIMUM_AGE_MS = 300_000;
/** By this much the clock of a sender may be ahead of ours, as at REST. */
const CLOCK_TOLERANCE_MS = 5_000;
const EMPTY = Buffer.alloc(0);

export interface MessageSignaturesOptions extends Omit<SignatureSettings, 'mode'> {
  readonly mode: Exclude<SignatureMode, 'off'>;
  readonly cluster: string;
  /** who this process is */
  readonly sender: MessageSender;
  readonly clock: Clock;
  readonly logger: Logger;
  /** see `MessageAuthenticity` */
  readonly disbelieved?: MessageAuthenticity['disbelieved'];
}

interface SigningKey extends MessageKey {
  readonly signer: NonNullable<MessageKey['signer']>;
}

/**
 * Signs records of one process and checks those of others: Ed25519, with which nobody can speak for another, or
 * HMAC-SHA-256 with a secret that all share. Signed are cluster, topic, key, sender, time and message. Both files are
 * read again when they change.
 */
export class MessageSignatures implements MessageAuthenticity {
  readonly mode: 'warn' | 'require';
  private readonly signing: WatchedFile<readonly SigningKey[]>;
  private readonly trusted: WatchedFile<ReadonlyMap<string, MessageKey>>;

  /** @throws SignatureSetupError when a file cannot be read, is not private, or has no key that this process may use */
  constructor(private readonly options: MessageSignaturesOptions) {
    const { mode, signingKeyFile, trustedKeysFile = signingKeyFile, sender, clock, logger } = options;
    this.mode = mode;
    const shared = {
      monotonic: () => clock.monotonic(),
      logger,
      failure: (sentence: string) => new SignatureSetupError(sentence),
    };
    this.signing = new WatchedFile<readonly SigningKey[]>({
      ...shared,
      path: signingKeyFile,
      kind: 'secret',
      parse: (text) => {
        const set = parseKeySet(text, signingKeyFile);
        if (!set.ok) return set;
        const content = set.keys.filter((key): key is SigningKey => key.signer !== undefined && speaksFor(key, sender));
        if (content.length > 0) return { ok: true, content };
        return { ok: false, expected: `a file with a private key or secret that may speak for ${sender} (senders)` };
      },
    });
    this.trusted = new WatchedFile<ReadonlyMap<string, MessageKey>>({
      ...shared,
      path: trustedKeysFile,
      kind: 'trusted',
      parse: (text) => {
        const set = parseKeySet(text, trustedKeysFile);
        return set.ok ? { ok: true, content: new Map(set.keys.map((key) => [key.id, key])) } : set;
      },
    });
  }

  sign({ topic, key, value }: Pick<EncodedMessage, 'topic' | 'key' | 'value'>): Readonly<Record<string, string>> {
    const content = this.signingKey();
    const signedAt = Math.trunc(this.options.clock.now());
    const head = this.headOf(content.id, this.options.sender, String(signedAt), { topic, key });
    const signature = signatureOf(content, head, value ?? EMPTY).toString('base64url');
    return { [SIGNATURE_HEADER]: `1;${content.id};${this.options.sender};${signedAt};${signature}` };
  }

  verify(record: SignedRecord): Signed | Disbelief {
    const header = headerOf(record.headers?.[SIGNATURE_HEADER]);
    if (header === undefined) {
      return {
        reason: 'UNSIGNED',
        message: 'the record has no signature; its sender must run with CONCORDAT_SIGNATURES',
      };
    }
    const [, id, sender, signedAt, signature] = HEADER.exec(header) ?? [];
    if (id === undefined || sender === undefined || signedAt === undefined || signature === undefined) {
      return { reason: 'INVALID_SIGNATURE', message: `the header ${SIGNATURE_HEADER} has another form` };
    }
    const key = this.keyOf(id);
    if (!key)
      return { reason: 'UNKNOWN_KEY', message: `the key "${id}" is not among the trusted ones, or was retired` };
    if (key.endsAt !== undefined && this.options.clock.now() >= key.endsAt) {
      return { reason: 'UNKNOWN_KEY', message: `the key "${id}" has ended` };
    }
    const head = this.headOf(id, sender, signedAt, record);
    if (!isSignature(key, head, record.value ?? EMPTY, signature)) {
      return {
        reason: 'INVALID_SIGNATURE',
        message: `the signature by "${id}" does not fit this record on this topic`,
      };
    }
    if (!speaksFor(key, sender as MessageSender)) {
      return { reason: 'NOT_ALLOWED_TO_SAY', message: `the key "${id}" may not speak for ${sender}` };
    }
    return { sender: sender as MessageSender, signedAt: Number(signedAt) };
  }

  objection({ sender, signedAt }: Signed, topic: Topic, message: ProtocolMessage): Disbelief | undefined {
    const complaint = objectionTo(sender, topic, message);
    if (complaint !== undefined) return { reason: 'NOT_ALLOWED_TO_SAY', message: complaint };
    if (message.type !== 'announce') return undefined;
    const ageMs = this.options.clock.now() - signedAt;
    if (ageMs < -CLOCK_TOLERANCE_MS) {
      const ahead = `the announcement was signed ${Math.round(-ageMs / 1_000)} seconds from now`;
      return { reason: 'FROM_THE_FUTURE', message: `${ahead}, and could be repeated as long: set the clocks right` };
    }
    if (ageMs <= MAXIMUM_AGE_MS) return undefined;
    const age = `the announcement was signed more than ${MAXIMUM_AGE_MS / 60_000} minutes ago`;
    return { reason: 'TOO_OLD', message: `${age}: it is a repetition, or the clocks differ` };
  }

  disbelieved(...told: Parameters<NonNullable<MessageAuthenticity['disbelieved']>>): void {
    this.options.disbelieved?.(...told);
  }

  /** The first of the file that has not ended; if all have ended, readers say so. */
  private signingKey(): SigningKey {
    const keys = this.signing.content;
    if (keys.length === 1) return keys[0]!;
    const now = this.options.clock.now();
    return keys.find(({ endsAt }) => endsAt === undefined || now < endsAt) ?? keys[0]!;
  }

  /** A process believes its own key, also where the trusted ones do not list it yet. */
  private keyOf(id: string): MessageKey | undefined {
    const key = this.trusted.content.get(id);
    if (key) return key;
    return this.signing.content.find((own) => own.id === id);
  }

  /** No two records have the same: no part can contain the character 0, but for the key, whose length is given. */
  private headOf(id: string, sender: string, signedAt: string, { topic, key }: SignedRecord | Named): string {
    const text = typeof key === 'string' ? key : (key?.toString('latin1') ?? '');
    const length = key === null ? -1 : text.length;
    return `concordat-message-1\0${this.options.cluster}\0${topic}\0${id}\0${sender}\0${signedAt}\0${length}\0${text}\0`;
  }
}

type Named = Pick<EncodedMessage, 'topic' | 'key'>;

function signatureOf(key: SigningKey, head: string, value: Buffer): Buffer {
  if (key.algorithm === 'ed25519') return sign(null, Buffer.concat([Buffer.from(head), value]), key.signer);
  return createHmac('sha256', key.signer).update(head).update(value).digest();
}

function isSignature(key: MessageKey, head: string, value: Buffer, text: string): boolean {
  const signature = Buffer.from(text, 'base64url');
  if (signature.toString('base64url') !== text) return false; // unused bits of the last character
  if (key.algorithm === 'ed25519') {
    return signature.length === 64 && verify(null, Buffer.concat([Buffer.from(head), value]), key.verifier, signature);
  }
  const right = createHmac('sha256', key.verifier).update(head).update(value).digest();
  return signature.length === right.length && timingSafeEqual(signature, right);
}

/** Undefined without one; several of one name fit no form. */
function headerOf(header: Buffer | string | undefined | readonly (Buffer | string)[]): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header !== 'string' && !Buffer.isBuffer(header)) return 'several';
  return header.length > MAXIMUM_HEADER_BYTES ? 'too long' : header.toString('latin1');
}
