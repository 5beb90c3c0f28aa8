import { createHmac, sign, timingSafeEqual, verify } from 'node:crypto';
import { WatchedFile, type Clock, type Logger } from '@concordat/foundation';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import type {
  Disbelief,
  MessageAuthenticity,
  MessageSender,
  RecordToSign,
  Signed,
  SignedRecord,
} from '../contract/authenticity.js';
import { SignatureSetupError } from '../contract/errors.js';
import { objectionTo } from '../contract/permissions.js';
import type { Topic } from '../contract/topics.js';
import { hashOf, hashTree, MAXIMUM_LEAVES, rootFrom, type Hash } from './hash-tree.js';
import { parseKeySet, speaksFor, type MessageKey } from './key-set.js';
import { KnownBatches } from './known-batches.js';
import type { SignatureMode, SignatureSettings } from './settings.js';
import {
  bytesOf,
  headerInBatch,
  headerOfRecord,
  MAXIMUM_HEADER_BYTES,
  nameOfBatch,
  parseSignatureHeader,
  SIGNATURE_HEADER,
  type SignatureHeader,
  type SignatureOrigin,
} from './signature-header.js';

/** For announcements, which change something each time; all other messages may be repeated at any time. */
const MAXIMUM_AGE_MS = 300_000;
/** By this much the clock of a sender may be ahead of ours, as at REST. */
const CLOCK_TOLERANCE_MS = 5_000;
const EMPTY = Buffer.alloc(0);
/** What is signed begins with its kind, so that nothing counts as something else. */
const RECORD_ALONE = 'concordat-message-1';
const RECORD_IN_BATCH = 'concordat-message-2';
const BATCH = 'concordat-batch-2';

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
 *
 * Ed25519 takes fifty times as long, so it signs records that leave together once: the root of a hash tree whose leaves
 * they are. Each record has the way from its leaf to the root, and is checked without the others; the signature of a
 * root is checked once.
 */
export class MessageSignatures implements MessageAuthenticity {
  readonly mode: 'warn' | 'require';
  readonly maximumHeaderBytes = SIGNATURE_HEADER.length + MAXIMUM_HEADER_BYTES;
  private readonly knownBatches = new KnownBatches();
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

  sign(records: readonly RecordToSign[]): Readonly<Record<string, string>>[] {
    const key = this.signingKey();
    const signedAt = String(Math.trunc(this.options.clock.now()));
    const origin = { id: key.id, sender: this.options.sender, signedAt };
    const headers: string[] = [];
    const together = key.algorithm === 'ed25519' ? MAXIMUM_LEAVES : 1;
    for (let first = 0; first < records.length; first += together) {
      headers.push(...this.headersOf(records.slice(first, first + together), origin, key));
    }
    return headers.map((header) => ({ [SIGNATURE_HEADER]: header }));
  }

  verify(record: SignedRecord): Signed | Disbelief {
    const header = parseSignatureHeader(record.headers?.[SIGNATURE_HEADER]);
    if (header === undefined) {
      return {
        reason: 'UNSIGNED',
        message: 'the record has no signature; its sender must run with CONCORDAT_SIGNATURES',
      };
    }
    if (header === null) {
      return { reason: 'INVALID_SIGNATURE', message: `the header ${SIGNATURE_HEADER} has another form` };
    }
    const { id, sender, signedAt } = header;
    const key = this.keyOf(id);
    if (!key)
      return { reason: 'UNKNOWN_KEY', message: `the key "${id}" is not among the trusted ones, or was retired` };
    if (key.endsAt !== undefined && this.options.clock.now() >= key.endsAt) {
      return { reason: 'UNKNOWN_KEY', message: `the key "${id}" has ended` };
    }
    if (!this.fits(header, record, key)) {
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

  /** Of records that one signature may cover. */
  private headersOf(records: readonly RecordToSign[], origin: SignatureOrigin, key: SigningKey): string[] {
    const [record] = records;
    if (records.length === 1) {
      return [headerOfRecord(origin, signatureOf(key, this.contentOf(RECORD_ALONE, origin, record!)))];
    }
    const tree = hashTree(records.map((one) => hashOf(this.contentOf(RECORD_IN_BATCH, origin, one))));
    const signature = signatureOf(key, this.rootContentOf(origin, records.length, tree.root));
    const name = nameOfBatch(origin, records.length, signature);
    return tree.proofs.map((proof) => headerInBatch(name, proof));
  }

  private fits(header: SignatureHeader, record: SignedRecord, key: MessageKey): boolean {
    const { batch, signature } = header;
    if (!batch) return isSignature(key, this.contentOf(RECORD_ALONE, header, record), signature);
    if (key.algorithm !== 'ed25519') return false;
    const { count, proof, name } = batch;
    const root = rootFrom(hashOf(this.contentOf(RECORD_IN_BATCH, header, record)), proof, count);
    if (!root) return false;
    // of a batch that is known, garbage costs hashes only
    const isKnown = this.knownBatches.hasRoot(name, root, key);
    if (isKnown !== undefined) return isKnown;
    if (!isSignature(key, this.rootContentOf(header, count, root), signature)) return false;
    this.knownBatches.remember(name, root, key);
    return true;
  }

  /** No two records have the same: no part can contain the character 0, but for the key, whose length is given. */
  private contentOf(kind: string, { id, sender, signedAt }: SignatureOrigin, record: RecordToSign): Buffer {
    const { topic, key, value } = record;
    const text = typeof key === 'string' ? key : (key?.toString('latin1') ?? '');
    const length = key === null ? -1 : text.length;
    const head = `${kind}\0${this.options.cluster}\0${topic}\0${id}\0${sender}\0${signedAt}\0${length}\0${text}\0`;
    return Buffer.concat([Buffer.from(head), value ?? EMPTY]);
  }

  private rootContentOf({ id, sender, signedAt }: SignatureOrigin, count: number, root: Hash): Buffer {
    const head = `${BATCH}\0${this.options.cluster}\0${id}\0${sender}\0${signedAt}\0${count}\0`;
    return Buffer.concat([Buffer.from(head), Buffer.from(root, 'latin1')]);
  }
}

function signatureOf(key: SigningKey, content: Buffer): Buffer {
  if (key.algorithm === 'ed25519') return sign(null, content, key.signer);
  return createHmac('sha256', key.signer).update(content).digest();
}

function isSignature(key: MessageKey, content: Buffer, text: string): boolean {
  const signature = bytesOf(text);
  if (!signature) return false;
  if (key.algorithm === 'ed25519') return signature.length === 64 && verify(null, content, key.verifier, signature);
  const right = createHmac('sha256', key.verifier).update(content).digest();
  return signature.length === right.length && timingSafeEqual(signature, right);
}
