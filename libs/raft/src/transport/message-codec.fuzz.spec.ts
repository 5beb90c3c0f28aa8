import { describe, expect, it } from '@jest/globals';
import { SeededRandom } from '@concordat/foundation';
import { decodeConfiguration } from '../core/membership/configuration-codec.js';
import { MAXIMUM_INTEGER, type Message } from '../core/types.js';
import { MalformedFrameError } from './frame-limits.js';
import { decodeFrame } from './message-decoder.js';
import { encodeFrame } from './message-encoder.js';
import { mutateFrame, sampleFrames } from './testing/mutated-frames.js';
import { comparable } from './testing/sample-messages.js';

const frameCount = 200_000;
const seed = Number(process.env['FUZZ_SEED'] ?? 20_250_101);
const replay = `FUZZ_SEED=${seed} npm run jest -- --selectProjects unit -- libs/raft/src/transport/message-codec.fuzz`;

/** Every number of a message, wherever it stands. */
function numbersOf(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return [];
  return Object.values(value).flatMap(numbersOf);
}

/** What the core may rely on; said once more in other words than the decoder's. */
function faultOf(message: Message): string | undefined {
  if (!numbersOf(message).every((value) => Number.isInteger(value) && value >= 0 && value <= MAXIMUM_INTEGER))
    return 'a number is none from 0 to 2^48';
  if (message.from < 1 || message.to < 1) return 'a node id is 0';
  if (message.type === 'append-entries') {
    const terms = [message.previousTerm, ...message.entries.map((entry) => entry.term), message.term];
    if (terms.some((term, at) => at > 0 && term < terms[at - 1]!)) return 'terms fall';
    if (message.entries.some((entry, at) => entry.index !== message.previousIndex + 1 + at)) return 'a gap';
    if (message.entries.some((entry) => entry.term === 0)) return 'an entry of term 0';
    if (message.entries.some((entry) => entry.kind === 'no-op' && entry.data.length > 0)) return 'a no-op with data';
    if (message.entries.some((entry) => entry.kind === 'configuration' && !decodeConfiguration(entry.data)))
      return 'a configuration that is none';
  }
  if (message.type === 'snapshot-chunk') {
    if (message.offset + message.data.length > message.sizeBytes) return 'a piece beyond the end';
    if (message.checksum > 0xffff_ffff) return 'a checksum of more than 32 bits';
  }
  return undefined;
}

describe('200,000 mutated frames', () => {
  it('are refused as malformed, or give sound messages that survive another round', () => {
    const random = new SeededRandom(seed);
    const originals = sampleFrames();
    let [refused, accepted] = [0, 0];
    for (let round = 0; round < frameCount; round++) {
      const frame = mutateFrame(random, originals);
      const messages = decodeOrRefuse(frame, round);
      if (!messages) {
        refused++;
        continue;
      }
      accepted++;
      const fault = messages.map(faultOf).find((text) => text !== undefined);
      if (fault !== undefined) throw new Error(`frame ${round} gave an unsound message: ${fault}; replay: ${replay}`);
      const again = decodeFrame(encodeFrame(messages)).messages;
      if (JSON.stringify(comparable(again)) !== JSON.stringify(comparable(messages)))
        throw new Error(`frame ${round} does not survive being encoded again; replay: ${replay}`);
    }
    expect(refused + accepted).toBe(frameCount);
    expect(refused).toBeGreaterThan(frameCount / 10); // the mutations do harm …
    expect(accepted).toBeGreaterThan(frameCount / 10); // … but not always, so both ways are gone
  }, 60_000);
});

function decodeOrRefuse(frame: Buffer, round: number): readonly Message[] | undefined {
  try {
    return decodeFrame(frame).messages;
  } catch (error) {
    if (error instanceof MalformedFrameError) return undefined;
    throw new Error(`frame ${round} (${frame.toString('hex')}) failed otherwise; replay: ${replay}`, { cause: error });
  }
}
