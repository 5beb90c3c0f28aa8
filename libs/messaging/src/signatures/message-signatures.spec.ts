import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { ProtocolMessage } from '@concordat/commit-protocol';
import { silentLogger, VirtualClock } from '@concordat/foundation';
import { encodeMessage, messageKey, type EncodedMessage } from '../contract/codec.js';
import type { DeadLetter } from '../contract/dead-letter.js';
import { SignatureSetupError } from '../contract/errors.js';
import { MessageIntake } from '../contract/intake.js';
import { Namespace } from '../contract/namespace.js';
import { decideTopic, type Topic } from '../contract/topics.js';
import { createKey } from './create-key.js';
import type { MessageSignatures } from './message-signatures.js';
import { SIGNATURE_HEADER } from './signature-header.js';
import { KeyFiles } from './testing/key-files.js';

const transactionId = '018f2d3c-1111-7abc-8def-0123456789ab';
const branchId = '018f2d3c-2222-7abc-8def-0123456789ab';
const vote: ProtocolMessage = {
  type: 'vote',
  transactionId,
  branchId,
  participant: 'bank-a',
  vote: 'yes',
  results: [],
};
const announce: ProtocolMessage = { type: 'announce', participant: 'bank-a', operations: ['debit'] };
const decision: ProtocolMessage = {
  type: 'decision',
  transactionId,
  branchId,
  participant: 'bank-a',
  decision: 'commit',
  attempt: 0,
};

/** A reader of one cluster, and what it says. */
class Reader {
  readonly letters: DeadLetter[] = [];
  readonly told: string[] = [];
  readonly intake: MessageIntake;

  constructor(signatures: MessageSignatures, cluster = 'local') {
    const logger = { ...silentLogger, warn: (text: string) => void this.told.push(text) };
    this.intake = new MessageIntake(
      new Namespace({ cluster }),
      (letter) => this.letters.push(letter),
      logger,
      signatures,
    );
  }

  read(record: EncodedMessage): string {
    const taken = this.intake.take({ ...record, partition: 0, offset: '7' });
    if (taken) return `${taken.message.type} of ${taken.sender ?? 'somebody'}`;
    return this.letters.at(-1)?.headers?.['concordat-reason'] ?? 'nothing';
  }
}

describe('signed records', () => {
  let keys: KeyFiles;
  let clock: VirtualClock;

  beforeEach(() => {
    clock = new VirtualClock(Date.parse('2027-01-15T12:00:00Z'));
    keys = new KeyFiles({ clock });
    keys.add('node');
    keys.add('bank-a', { senders: ['participant:bank-a'] });
    keys.add('bank-b', { senders: ['participant:bank-b'] });
  });

  afterEach(() => keys.remove());

  function recordOf(
    message: ProtocolMessage,
    signatures?: MessageSignatures,
    { topic = 'replies', cluster = 'local', named = 'local' }: { topic?: Topic; cluster?: string; named?: string } = {},
  ): EncodedMessage {
    const entry = {
      topic: new Namespace({ cluster }).topic(topic),
      key: messageKey(message),
      value: encodeMessage(named, message),
    };
    return signatures ? { ...entry, headers: signatures.sign([entry])[0]! } : entry;
  }

  const bankA = (): MessageSignatures => keys.signatures('bank-a', 'participant:bank-a');
  const node = (): MessageSignatures => keys.signatures('node', 'coordinator');

  it('say who has written them', () => {
    const reader = new Reader(node());
    expect(reader.read(recordOf(vote, bankA()))).toBe('vote of participant:bank-a');
    expect(new Reader(bankA()).read(recordOf(decision, node(), { topic: decideTopic('bank-a') }))).toBe(
      'decision of coordinator',
    );
    expect(reader.letters).toEqual([]);
  });

  it('are dead letters, counted, when anything of them was changed', () => {
    const disbelieved: unknown[] = [];
    const listening = keys.signatures('node', 'coordinator', {
      disbelieved: ({ topic, offset }, { reason }) => disbelieved.push([topic, offset, reason]),
    });
    const reader = new Reader(listening);
    const signed = recordOf(vote, bankA());
    const header = signed.headers![SIGNATURE_HEADER]!;
    const withHeader = (text: string): EncodedMessage => ({ ...signed, headers: { [SIGNATURE_HEADER]: text } });
    const [, id, sender, at, signature] = header.split(';');
    const other = encodeMessage('local', { ...vote, vote: 'read-only' });
    expect([
      reader.read({ ...signed, headers: {} }), // stripped
      reader.read({ ...signed, topic: 'concordat.local.outcomes' }),
      reader.read({ ...signed, topic: 'concordat.other.replies' }),
      reader.read({ ...signed, key: branchId }),
      reader.read({ ...signed, key: null }),
      reader.read({ ...signed, value: other }),
      reader.read({ ...signed, value: null }),
      reader.read(withHeader(`1;${id};coordinator;${at};${signature}`)),
      reader.read(withHeader(`1;${id};participant:bank-b;${at};${signature}`)),
      reader.read(withHeader(`1;bank-b;${sender};${at};${signature}`)),
      reader.read(withHeader(`1;${id};${sender};${Number(at) + 1};${signature}`)),
      reader.read(withHeader(`2;${id};${sender};${at};${signature}`)),
      reader.read(withHeader(`1;../../etc/passwd;${sender};${at};${signature}`)),
      reader.read(withHeader(`1;nobody;${sender};${at};${signature}`)),
      reader.read(withHeader(`${header} `)),
      reader.read(withHeader(header + 'A'.repeat(10_000))),
      reader.read({ ...signed, headers: { [SIGNATURE_HEADER]: [header, header] as unknown as string } }),
    ]).toEqual([
      'UNSIGNED',
      ...Array.from({ length: 12 }, () => 'INVALID_SIGNATURE'),
      'UNKNOWN_KEY',
      ...Array.from({ length: 3 }, () => 'INVALID_SIGNATURE'),
    ]);
    expect(reader.intake.deadLetters).toMatchObject({ UNSIGNED: 1, INVALID_SIGNATURE: 15, UNKNOWN_KEY: 1 });
    expect(reader.told).toHaveLength(17);
    expect(disbelieved).toHaveLength(17);
    expect(disbelieved[0]).toEqual(['concordat.local.replies', '7', 'UNSIGNED']);
  });

  it('of another cluster with the same key are dead letters there', () => {
    const other = keys.signatures('node', 'coordinator', { cluster: 'other' });
    const reader = new Reader(other, 'other');
    expect(reader.read({ ...recordOf(vote, bankA()), topic: 'concordat.other.replies' })).toBe('INVALID_SIGNATURE');
    expect(reader.read(recordOf(vote, bankA()))).toBe('INVALID_SIGNATURE');
    const elsewhere = keys.signatures('bank-a', 'participant:bank-a', { cluster: 'other' });
    expect(reader.read(recordOf(vote, elsewhere, { cluster: 'other', named: 'local' }))).toBe('OTHER_CLUSTER');
  });

  it('by a key that was retired or has ended are dead letters, and two keys may be valid at once', () => {
    const reader = new Reader(node());
    const before = recordOf(vote, bankA());
    keys.add('bank-a-2', { senders: ['participant:bank-a'], until: '2027-01-15' });
    clock.advance(1_001);
    const renewed = keys.signatures('bank-a-2', 'participant:bank-a');
    expect(reader.read(recordOf(vote, renewed))).toBe('vote of participant:bank-a');
    expect(reader.read(before)).toBe('vote of participant:bank-a');
    keys.retire('bank-a');
    clock.advance(1_001);
    expect(reader.read(before)).toBe('UNKNOWN_KEY');
    expect(reader.read(recordOf(vote, renewed))).toBe('vote of participant:bank-a');
    clock.advance(43_200_000);
    expect(reader.read(recordOf(vote, renewed))).toBe('UNKNOWN_KEY');
  });

  it('are signed with the first key of the file that has not ended', () => {
    const request = { algorithm: 'ed25519' as const, senders: ['participant:bank-a'] };
    const [old, next] = [
      { id: 'old', until: '2027-01-15', ...request },
      { id: 'next', ...request },
    ].map(createKey);
    keys.write('bank-a.key', `{"keys":[${old!.signing},${next!.signing}]}`);
    const signatures = bankA();
    const keyIdOf = (record: EncodedMessage): string | undefined => record.headers![SIGNATURE_HEADER]!.split(';')[1];
    expect(keyIdOf(recordOf(vote, signatures))).toBe('old');
    clock.advance(43_200_000);
    expect(keyIdOf(recordOf(vote, signatures))).toBe('next');
  });

  it('say only what their sender may say', () => {
    const reader = new Reader(node());
    const bankB = keys.signatures('bank-b', 'participant:bank-b');
    expect(reader.read(recordOf(vote, bankB))).toBe('NOT_ALLOWED_TO_SAY');
    expect(reader.read(recordOf(decision, bankB, { topic: 'replies' }))).toBe('NOT_ALLOWED_TO_SAY');
    expect(reader.read(recordOf({ ...announce, leaving: true }, bankB))).toBe('NOT_ALLOWED_TO_SAY');
    expect(() => keys.signatures('bank-b', 'coordinator')).toThrow('that may speak for coordinator (senders)');
    expect(reader.intake.deadLetters.NOT_ALLOWED_TO_SAY).toBe(3);
  });

  it('may be repeated, but for announcements, which would end what is true by now', () => {
    const reader = new Reader(node());
    const [first, second] = [recordOf(vote, bankA()), recordOf(announce, bankA())];
    clock.advance(300_000);
    expect([reader.read(first), reader.read(first)]).toEqual([
      'vote of participant:bank-a',
      'vote of participant:bank-a',
    ]);
    expect(reader.read(second)).toBe('announce of participant:bank-a');
    clock.advance(1);
    expect([reader.read(first), reader.read(second)]).toEqual(['vote of participant:bank-a', 'TOO_OLD']);
  });

  it('may not say more in the future: an announcement of a clock that is ahead could be repeated for as long', () => {
    const reader = new Reader(node());
    const signedAhead = (ms: number): readonly [EncodedMessage, EncodedMessage] => {
      const ahead = keys.signatures('bank-a', 'participant:bank-a', { clock: new VirtualClock(clock.now() + ms) });
      return [recordOf(vote, ahead), recordOf(announce, ahead)];
    };
    for (const record of signedAhead(5_000)) expect(reader.read(record)).toMatch(/ of participant:bank-a$/);
    const [first, second] = signedAhead(5_001);
    expect([reader.read(first), reader.read(second)]).toEqual(['vote of participant:bank-a', 'FROM_THE_FUTURE']);
    const [, dayAhead] = signedAhead(86_400_000);
    expect(reader.read(dayAhead)).toBe('FROM_THE_FUTURE');
    expect(reader.intake.deadLetters.FROM_THE_FUTURE).toBe(2);
  });

  it('with one secret that all share are told apart from those without', () => {
    keys.add('shared', { algorithm: 'hmac-sha256', senders: ['coordinator', 'participant:*'] });
    const reader = new Reader(keys.signatures('shared', 'coordinator'));
    const signed = recordOf(vote, keys.signatures('shared', 'participant:bank-a'));
    expect(reader.read(signed)).toBe('vote of participant:bank-a');
    expect(reader.read({ ...signed, topic: 'concordat.local.outcomes' })).toBe('INVALID_SIGNATURE');
    expect(reader.read(recordOf(vote, keys.signatures('shared', 'participant:bank-b')))).toBe('NOT_ALLOWED_TO_SAY');
  });

  it('are not required with warn: what is not believed is counted, told now and then, and delivered', () => {
    const reader = new Reader(keys.signatures('node', 'coordinator', { mode: 'warn' }));
    for (let n = 0; n < 5; n++) expect(reader.read(recordOf(vote))).toBe('vote of somebody');
    expect(reader.read(recordOf(vote, keys.signatures('bank-b', 'participant:bank-b')))).toBe('vote of somebody');
    expect(reader.read(recordOf(vote, bankA()))).toBe('vote of participant:bank-a');
    expect(reader.intake.signatureWarnings).toMatchObject({ UNSIGNED: 5, NOT_ALLOWED_TO_SAY: 1 });
    expect(Object.values(reader.intake.deadLetters).every((count) => count === 0)).toBe(true);
    expect(reader.told).toHaveLength(3 + 1); // after 1, 2 and 4 of the first kind
  });

  it('stay as they are when a file becomes wrong, and the log says what it must be', () => {
    const told: string[] = [];
    const logger = { ...silentLogger, error: (text: string) => void told.push(text) };
    const reader = new Reader(keys.signatures('node', 'coordinator', { logger }));
    const signed = recordOf(vote, bankA());
    keys.write('trusted', '{"keys":[{"kid":"x"}]}');
    clock.advance(1_001);
    expect(reader.read(signed)).toBe('vote of participant:bank-a');
    expect(told.join()).toContain('has changed and is not taken');
  });
});

describe('a key file', () => {
  let keys: KeyFiles;
  beforeEach(() => {
    keys = new KeyFiles();
  });
  afterEach(() => keys.remove());

  const secret = createKey({ id: 's', algorithm: 'hmac-sha256', senders: ['coordinator'] }).signing;
  const pair = createKey({ id: 'p', algorithm: 'ed25519', senders: ['coordinator'] });
  const changed = (fields: object): string => JSON.stringify({ ...(JSON.parse(pair.signing) as object), ...fields });

  it.each([
    ['of another form', 'secret', 0o600, 'it is no JSON'],
    ['with nothing in it', '{"keys":[]}', 0o600, 'it has no key'],
    ['with something else', '[1]', 0o600, 'the key 1 is no object'],
    ['without a kid', changed({ kid: undefined }), 0o600, 'needs a kid'],
    ['with a path as kid', changed({ kid: '../x' }), 0o600, 'needs a kid'],
    ['without senders', changed({ senders: undefined }), 0o600, '"p" needs senders'],
    ['with a strange sender', changed({ senders: ['root'] }), 0o600, '"p" has a sender that is none of'],
    ['with a strange end', changed({ until: 'soon' }), 0o600, '"p" has another until'],
    ['with a day that is none', changed({ until: '2027-02-31' }), 0o600, '"p" has another until'],
    ['of another curve', changed({ crv: 'X25519' }), 0o600, 'is neither Ed25519'],
    ['with broken material', changed({ d: 'x' }), 0o600, 'has material that is no Ed25519 key'],
    [
      'with a short secret',
      JSON.stringify({ kid: 's', kty: 'oct', k: 'x', senders: ['coordinator'] }),
      0o600,
      '32 bytes',
    ],
    ['twice', `{"keys":[${pair.signing},${pair.signing}]}`, 0o600, 'two keys have the kid "p"'],
    ['that is public only', pair.trusted, 0o600, 'a private key or secret that may speak for coordinator'],
    ['that others may read', pair.signing, 0o644, 'its mode is 0644, and 0600 would be right (chmod 0600)'],
  ])('%s is refused, with what would be right', (_, text, mode, sentence) => {
    keys.write('trusted', pair.trusted);
    keys.write('k.key', text, mode);
    const open = (): unknown => keys.signatures('k', 'coordinator');
    expect(open).toThrow(SignatureSetupError);
    expect(open).toThrow(sentence);
    const { d } = JSON.parse(pair.signing) as { d: string };
    try {
      open();
    } catch (error) {
      expect(String(error)).not.toContain(d);
    }
  });

  it('with trusted keys may be read by all if they are public, and by nobody else if one is a secret', () => {
    keys.write('k.key', pair.signing);
    keys.write('trusted', pair.trusted, 0o644);
    expect(keys.signatures('k', 'coordinator').mode).toBe('require');
    keys.write('trusted', pair.trusted, 0o666);
    expect(() => keys.signatures('k', 'coordinator')).toThrow('0644 would be right');
    keys.write('trusted', secret, 0o644);
    expect(() => keys.signatures('k', 'coordinator')).toThrow('0600 would be right');
  });
});
